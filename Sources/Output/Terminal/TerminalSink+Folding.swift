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

    /// ` … 23:59:59Z no_listener again, 12 times: 198.51.100.7:41234 → 203.0.113.10:80`
    private func repetition(_ block: RepeatedBlock) -> [String] {
        let head = " \(style.ellipsis) "
        let time = clock.timeOfDay(block.time).prefix(8) + "Z "
        let code = block.code.rawValue
        let text =
            "\(code)\(gluedSpace)again, \(block.count)\(gluedSpace)times:"
            + " \(style.flow(block.tuple.source, block.tuple.destination))"
        let indent = columns(head) + time.count
        return wrapped(text, width: usableWidth - 1 - indent).enumerated().map { index, part in
            guard index == 0 else { return String(repeating: " ", count: indent) + part }
            return head + style.paint(String(time), .dim) + style.paint(code, .bad) + part.dropFirst(code.count)
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
