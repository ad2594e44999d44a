// Draws the ladder of a connection: lines for the client, for the stages of each network namespace and for the
// backend; time runs downwards, one row for each step. Drawn when a connection is opened.

const LADDER = {
  gutter: 98, // for the times, on the left
  gap: 78, // between the lines of a namespace
  head: 64, // above the first row
  row: 38, // of a step with one line of text
  line: 15, // more for each other line
  onward: 16, // more where a packet goes on
  pause: 22, // more after a long time without a step
  character: 6.5, // how wide one is, about
  bold: 7.4,
};
/** Microseconds that are worth a gap in the drawing. */
const LONG_PAUSE = 200000;
/** Characters of a line of text; the table below has all of them. */
const LONGEST_LABEL = 84;
/** As in ladder.css. */
const BOLD_TONES = ["rewrite", "bad", "failure"];

function ladder(details, titleID) {
  const { lines, rows } = journey(details);
  const { places, bands, width } = columns(lines);
  const figure = shape("svg", { class: "ladder", role: "img", "aria-labelledby": titleID });
  const back = shape("g", {});
  const front = shape("g", {});
  figure.append(back, front);
  let y = LADDER.head;
  for (const row of rows) {
    if (row.pause >= LONG_PAUSE) {
      y += LADDER.pause;
      front.append(label(LADDER.gutter - 12, y - 6, "⋮ " + (row.pause / 1e6).toFixed(2) + " s", "pause", "end"));
    }
    y = drawRow(row, y, front, back, { places, width, isEnd: row.index === details.end, outcome: details.outcome });
  }
  const height = y + 12;
  back.prepend(...bands.map((band) => shape("rect", {
    class: "band", x: band.start, y: 4, width: band.end - band.start, height: height - 4, rx: 6,
  })));
  heads(lines, places, bands, height, back);
  figure.setAttribute("viewBox", `0 0 ${width} ${height}`);
  figure.setAttribute("width", width);
  figure.setAttribute("height", height);
  return figure;
}

/** Where the lines stand, and the bands that hold those of a namespace. */
function columns(lines) {
  const places = [];
  const bands = [];
  let x = LADDER.gutter;
  lines.forEach((line, index) => {
    if (line.kind !== "stage") {
      const half = Math.min(Math.max(textWidth(line.name), 60), 130) / 2;
      places.push(x + half + 6);
      x += 2 * half + 18;
      return;
    }
    const isFirst = lines[index - 1].netns !== line.netns;
    const isLast = lines[index + 1].netns !== line.netns;
    if (isFirst) bands.push({ netns: line.netns, start: x, end: 0 });
    places.push(x + LADDER.gap / 2);
    x += LADDER.gap;
    if (isLast) {
      const band = bands[bands.length - 1];
      const wanted = Math.min(netnsName(line.netns).length * LADDER.bold + 20, 190);
      x = Math.max(x, band.start + wanted);
      band.end = x;
      x += 10;
    }
  });
  return { places, bands, width: Math.max(x + 8, 640) };
}

/** One without a name has its number, which says little by itself. */
function netnsName(netns) {
  if (!netns) return "network namespace not known";
  return /^\d+$/.test(netns) ? "netns " + netns : netns;
}

function heads(lines, places, bands, height, into) {
  for (const band of bands) {
    const name = netnsName(band.netns);
    const shown = shortened(name, (band.end - band.start) / LADDER.bold);
    into.append(label((band.start + band.end) / 2, 22, shown, "netns", "middle", name));
  }
  lines.forEach((line, index) => {
    const x = places[index];
    into.append(shape("line", { class: "lifeline " + line.kind, x1: x, x2: x, y1: LADDER.head - 14, y2: height - 6 }));
    if (line.kind === "stage") {
      into.append(label(x, LADDER.head - 22, line.name, "stage", "middle"));
    } else {
      into.append(label(x, 22, line.kind, "netns", "middle"));
      into.append(label(x, LADDER.head - 22, shortened(line.name, 20), "stage", "middle", line.name));
    }
  });
}

/** Draws one step; returns where the next one begins. */
function drawRow(row, y, front, back, { places, width, isEnd, outcome }) {
  const { step } = row;
  const texts = [(step.isConcluded ? "~ " : "") + step.what];
  if (row.packet) texts.push(row.packet);
  if (step.remark) texts.push(step.remark);
  const x = places[row.line];
  const from = row.from === null ? x : places[row.from];
  const height = LADDER.row + LADDER.line * (texts.length - 1) + (row.onward ? LADDER.onward : 0);
  const middle = y + 8 + LADDER.line * texts.length;
  const group = shape("g", { class: "step " + step.tone + (isEnd ? " end" : "") });

  if (isEnd) back.append(shape("rect", { class: "end-band", x: 0, y: y - 1, width, height: height - 2 }));
  const margin = LADDER.gutter - 12;
  group.append(label(margin, isEnd ? middle - 10 : middle + 4, "+" + milliseconds(step.offset), "time", "end"));
  if (isEnd) group.append(label(margin, middle + 6, endWords(outcome), "end-word", "end"));
  if (from !== x) group.append(arrow(from, x, middle, row.isUnseen));
  if (row.onward) group.append(arrow(x, places[row.onward.line], middle + LADDER.onward, row.onward.isUnseen, middle));
  group.append(marker(x, middle, step, isEnd));

  const start = Math.min(from, x) + (from === x ? 12 : 8);
  const isBold = isEnd || BOLD_TONES.includes(step.tone);
  texts.forEach((text, index) => {
    const shown = shortened(text, LONGEST_LABEL);
    const fits = start + shown.length * (isBold && index === 0 ? LADDER.bold : LADDER.character) <= width - 4;
    const line = y + 12 + LADDER.line * index;
    const [place, anchor] = fits ? [start, "start"] : [width - 6, "end"];
    group.append(label(place, line, shown, index === 0 ? "what" : "detail", anchor, text));
  });
  front.append(group);
  return y + height;
}

/** From one line to another; where it starts below its step, it comes down to there first. */
function arrow(from, to, y, isUnseen, above = y) {
  const tip = to > from ? to - 6 : to + 6;
  const back = to > from ? tip - 7 : tip + 7;
  return shape("g", { class: "arrow" + (isUnseen ? " unseen" : "") },
    shape("path", { class: "shaft", d: `M${from} ${above}V${y}H${tip}` }),
    shape("path", { class: "tip", d: `M${tip} ${y}L${back} ${y - 4.5}V${y + 4.5}Z` }));
}

/** Shapes differ, so that nothing depends on colour. */
function marker(x, y, step, isEnd) {
  if (isEnd) {
    return shape("g", { class: "marker" }, shape("circle", { cx: x, cy: y, r: 9 }),
      shape("path", { class: "cross", d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x + 4} ${y - 4}L${x - 4} ${y + 4}` }));
  }
  if (step.tone === "rewrite") {
    return shape("path", { class: "marker", d: `M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z` });
  }
  if (step.tone === "failure") return shape("rect", { class: "marker", x: x - 5, y: y - 5, width: 10, height: 10 });
  return shape("circle", { class: "marker" + (step.isConcluded ? " concluded" : ""), cx: x, cy: y, r: 4.5 });
}

function label(x, y, text, kind, anchor, full) {
  const node = shape("text", { class: kind, x, y, "text-anchor": anchor }, text);
  if (full && full !== text) node.append(shape("title", {}, full));
  return node;
}

function textWidth(text) {
  return text.length * LADDER.character;
}

function shortened(text, length) {
  return text.length <= length ? text : text.slice(0, Math.max(1, Math.floor(length) - 1)) + "…";
}
