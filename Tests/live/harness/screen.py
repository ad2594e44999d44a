"""A terminal's screen, as far as the program may use one: what is on it, and what has scrolled out of it.

Text, carriage return, line feed, colours, `ESC [ n A` and `B`, `ESC [ K`, `ESC [ J`, `ESC 7` and `8` (the cursor's place),
`ESC [ ? 7 h` and `l` (whether long rows go on in the next one); all else is noted in `unknown`. Rows that
are longer than the window is wide go on in the next one, and are broken anew when the width changes, as tmux and most
terminals do it.
"""

import re

SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.unknown = []
        self.colours = 0
        # Each row, and whether the next one goes on with it.
        self._lines, self._goes_on = [""], [False]
        self._row = self._column = 0
        self._wraps = True
        self._saved = (0, 0)
        self._rest = b""

    def feed(self, data):
        """Takes bytes as they come: a character or a sequence may be torn."""
        data = self._rest + data
        text = data.decode(errors="ignore")
        self._rest = data[len(text.encode()):]
        torn = re.search(r"\x1b(\[[0-9;?]*)?$", text)
        if torn:
            self._rest = text[torn.start():].encode() + self._rest
            text = text[:torn.start()]
        place = 0
        while place < len(text):
            found = SEQUENCE.match(text, place)
            if found:
                self._obey(*found.groups())
                place = found.end()
            elif text[place:place + 2] in ("\x1b7", "\x1b8"):
                self._remember(text[place + 1] == "7")
                place += 2
            else:
                self._put(text[place])
                place += 1

    @property
    def history(self):
        """All rows that were written, those that have scrolled out first; without spaces at their ends."""
        lines = [line.rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def window(self):
        """The rows that can be seen."""
        return [line.rstrip() for line in self._lines[self._top:]]

    @property
    def cursor(self):
        """Its row within `history`, and its column."""
        return self._row, self._column

    def resize(self, rows, columns):
        # What gets too low loses what is below the cursor first.
        surplus = len(self._lines) - self._top - rows
        while surplus > 0 and len(self._lines) - 1 > self._row:
            self._lines.pop()
            self._goes_on.pop()
            surplus -= 1
        self._goes_on[-1] = False
        self.rows = rows
        if columns == self.columns:
            return
        # What is blank below the cursor is no line.
        while len(self._lines) - 1 > self._row and not self._lines[-1].rstrip():
            self._lines.pop()
            self._goes_on.pop()
        self.columns = columns
        lines, goes_on, cursor, begin = [], [], None, 0
        while begin < len(self._lines):
            end = begin
            while self._goes_on[end]:
                end += 1
            whole = "".join(self._lines[begin:end + 1])
            if begin <= self._row <= end:
                offset = sum(len(line) for line in self._lines[begin:self._row]) + self._column
                cursor = len(lines) + offset // columns, offset % columns
            parts = [whole[at:at + columns] for at in range(0, len(whole), columns)] or [""]
            lines += parts
            goes_on += [True] * (len(parts) - 1) + [False]
            begin = end + 1
        self._lines, self._goes_on = lines, goes_on
        self._row, self._column = cursor
        self._make_row()

    @property
    def _top(self):
        return max(0, len(self._lines) - self.rows)

    def _make_row(self):
        while len(self._lines) <= self._row:
            self._lines.append("")
            self._goes_on.append(False)

    def _put(self, character):
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row += 1
            self._make_row()
        elif character < " " or character == "\x7f":
            self.unknown.append(character)
        else:
            if self._column == self.columns and not self._wraps:
                self._column -= 1
            if self._column == self.columns:
                self._goes_on[self._row] = True
                self._row, self._column = self._row + 1, 0
                self._make_row()
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[:self._column] + character + line[self._column + 1:]
            self._column += 1

    def _remember(self, is_saved):
        # By its place in the window, wherever the text has gone meanwhile.
        if is_saved:
            self._saved = (self._row - self._top, self._column)
        else:
            self._row, self._column = self._top + self._saved[0], self._saved[1]

    def _obey(self, numbers, letter):
        if letter == "m":
            self.colours += 1
        elif numbers == "?7" and letter in "hl":
            self._wraps = letter == "h"
        elif letter == "A":
            # No further than the window's first row: what is above it cannot be reached.
            self._row = max(self._top, self._row - int(numbers or 1))
        elif letter == "B":
            self._row = min(self._top + self.rows - 1, self._row + int(numbers or 1))
            self._make_row()
        elif letter == "K" and not numbers:
            self._lines[self._row] = self._lines[self._row][:self._column]
            self._goes_on[self._row] = False
        elif letter == "J" and not numbers:
            self._lines[self._row] = self._lines[self._row][:self._column]
            for row in range(self._row, len(self._lines)):
                self._goes_on[row] = False
                self._lines[row] = self._lines[row] if row == self._row else ""
        else:
            self.unknown.append(f"ESC [ {numbers} {letter}")
