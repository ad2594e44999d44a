// What a terminal says of blocks that it was not given to show.

import Handshake

extension TerminalSink: BlockSink {
    /// Where rows can be taken back, one row for each kind, as it is now; else a line each time.
    public func repeated(_ block: RepeatedBlock) {
        guard holdsRepeats else { return write(block) }
        held.removeAll { $0.kind == block.kind }
        held.append(block)
        holdsNews = true
        if held.count > Self.maximumHeld { write(held.removeFirst()) }
    }

    /// What is not written yet, as rows for the bottom of the terminal.
    public func heldRows() -> [String] {
        holdsNews = false
        return held.flatMap(repetition)
    }

    /// Before anything else is written.
    func letGoOfHeld() {
        let blocks = held
        held = []
        blocks.forEach(write)
    }

    private func write(_ block: RepeatedBlock) {
        repetition(block).forEach(write)
        endsWithRepeat = true
    }

    /// ` … no_listener again: 198.51.100.7:41234 → 203.0.113.10:80, 12 times so far`, and when.
    private func repetition(_ block: RepeatedBlock) -> [String] {
        let head = " \(style.ellipsis) "
        let code = block.code.rawValue
        let text =
            "\(code) again: \(style.flow(block.tuple.source, block.tuple.destination)),"
            + " \(block.count)\(gluedSpace)times\(gluedSpace)so\(gluedSpace)far"
        let time = clock.timeOfDay(block.time)
        let width = usableWidth - 1 - columns(head)
        let parts = wrapped(text, width: width)
        return parts.enumerated().map { index, part in
            let isFirst = index == 0
            var shown = isFirst ? head : String(repeating: " ", count: columns(head))
            shown += isFirst ? style.paint(code, .bad) + part.dropFirst(code.count) : part
            let gap = width - columns(part) - time.utf8.count
            if index == parts.count - 1, gap >= 2 {
                shown += String(repeating: " ", count: gap) + style.paint(time, .dim)
            }
            return shown
        }
    }

    public func folded(_ blocks: FoldedBlocks) {
        var texts = blocks.alike.map { alike in
            let kind = alike.kind
            var text = "\(alike.count) more like this in the last second: \(kind.code.rawValue) \(kind.destination)"
            // Its text stands in the blocks that were shown.
            if var rule = kind.rule {
                rule.text = nil
                if let name = StepWords.rule(rule, style: style) { text += " by \(name)" }
            }
            return text + " (e.g. from\(gluedSpace)\(alike.client))"
        }
        if !blocks.others.isEmpty {
            let sum = blocks.others.reduce(0) { $0 + $1.count }
            let codes = blocks.others.map { "\($0.count)\(gluedSpace)\($0.code.rawValue)" }.joined(separator: ", ")
            texts.append("\(sum) \(texts.isEmpty ? "more" : "others") in the last second: \(codes)")
        }
        let indent = columns(style.ellipsis) + 2
        for text in texts {
            for (index, part) in wrapped(text, width: usableWidth - indent).enumerated() {
                say((index == 0 ? " \(style.ellipsis) " : String(repeating: " ", count: indent)) + part, .warning)
            }
        }
        say("", .plain)
    }
}
