// What a terminal says of blocks that it was not given to show.

import Handshake

extension TerminalSink: BlockSink {
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
