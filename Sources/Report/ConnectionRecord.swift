// A connection as the page has it: a row of the list, and what is shown when it is opened. data.js reads it.

import Handshake
import Output

/// Strings of a block, each once; the empty one is the first.
struct StringTable {
    private(set) var json = JSONList()
    private var numbers: [String: Int] = [:]

    init() { _ = number(of: "") }

    mutating func number(of text: String) -> Int {
        if let known = numbers[text] { return known }
        let number = numbers.count
        numbers[text] = number
        json.add(text)
        return number
    }
}

/// Where the details of a connection stand: which block, and which in it.
struct DetailPlace: Equatable {
    var block: Int32
    var index: Int32
}

/// What is told of a connection, in words.
struct ConnectionRecord {
    let verdict: Verdict
    let connection: Connection
    let wording: Wording
    /// What this verdict replaces.
    var earlier: DetailPlace?
    /// Whether observations were lost while it was under way.
    var isIncomplete = false
    /// CLOCK_MONOTONIC, nanoseconds: when the recording begins.
    var base: UInt64

    /// Microseconds, which stay whole numbers in JavaScript.
    private var start: UInt64 { (connection.startTime - min(connection.startTime, base)) / 1000 }

    var dialled: String { connection.dialled.destination.description }

    /// What the destination became; empty: it was not translated.
    var translated: String {
        guard let translated = connection.translated, translated.destination != connection.dialled.destination else {
            return ""
        }
        return translated.destination.description
    }

    /// [index, start, duration, id, code, outcome, client, dialled, translated, words, sentence, flags]
    func row(_ index: Int, _ strings: inout StringTable) -> [UInt8] {
        var row = JSONList()
        row.open()
        row.add(index)
        row.add(start)
        row.add(verdict.duration / 1000)
        let digits = String(connection.id, radix: 16)
        row.add(String(repeating: "0", count: 16 - digits.count) + digits)
        row.add(strings.number(of: verdict.code.rawValue))
        row.add(strings.number(of: verdict.outcome.rawValue))
        row.add(strings.number(of: connection.dialled.source.description))
        row.add(strings.number(of: dialled))
        row.add(strings.number(of: translated))
        row.add(strings.number(of: searched))
        row.add(strings.number(of: wording.outside(verdict.sentence)))
        row.add((verdict.isRevised ? 1 : 0) + (isIncomplete ? 2 : 0))
        row.close()
        return row.bytes
    }

    /// What else a person may look for: rules, namespaces, devices, processes.
    private var searched: String {
        var words: [String] = []
        func add(_ word: String) { if !word.isEmpty, !words.contains(word) { words.append(word) } }
        add(wording.rule(verdict.rule))
        add(wording.process(verdict.process))
        var last: (netns: UInt32, device: String?) = (0, nil)
        for step in connection.steps {
            let device = step.interface
            if step.netns != last.netns { add(wording.netns(step.netns, step.netnsName)) }
            if device != last.device { add(wording.outside(device)) }
            last = (step.netns, device)
            add(wording.rule(step.rule))
            if words.count >= Self.maximumWords { break }
        }
        return words.joined(separator: " ")
    }
    private static let maximumWords = 24

    /// The whole story, as an object.
    func details(_ strings: inout StringTable) -> [UInt8] {
        var json = JSONList()
        func add(_ text: String) { json.add(strings.number(of: text)) }
        json.open("{")
        json.key("sentence")
        add(wording.outside(verdict.sentence))
        json.key("code")
        add(verdict.code.rawValue)
        json.key("outcome")
        add(verdict.outcome.rawValue)
        json.key("where")
        add(wording.place(of: verdict))
        json.key("rule")
        add(wording.rule(verdict.rule))
        json.key("checked")
        add(wording.checks(verdict.checklist))
        json.key("community")
        add(connection.communityID)
        json.key("evidence")
        json.open()
        for evidence in verdict.evidence { add(wording.evidence(evidence)) }
        json.close()
        json.key("advice")
        json.open()
        for advice in verdict.advice {
            let parts = CommandInAdvice(wording.outside(advice))
            json.open()
            add(parts.before)
            add(parts.command)
            add(parts.after)
            json.add(parts.isPlain ? 1 : 0)
            json.close()
        }
        json.close()
        json.key("client")
        add(connection.dialled.source.description)
        json.key("server")
        add(translated.isEmpty ? dialled : translated)
        json.key("end")
        json.add(end ?? -1)
        json.key("omitted")
        json.add(connection.omittedSteps)
        if let earlier {
            json.key("earlier")
            json.open()
            json.add(earlier.block)
            json.add(earlier.index)
            json.close()
        }
        json.key("steps")
        json.open()
        for step in connection.steps { self.step(step, &json, &strings) }
        json.close()
        json.close("}")
        return json.bytes
    }

    /// [offset in µs, flags, action, stage, what, tone, remark, role, source, destination, numbers, netns, device,
    /// function, backend, reason]
    private func step(_ step: Step, _ json: inout JSONList, _ strings: inout StringTable) {
        let text = wording.step(step, of: connection)
        json.open()
        json.add(step.offset / 1000)
        json.add((step.backend == .inferred ? 1 : 0) + (text.isAnswer ? 2 : 0))
        let words = [
            step.action.rawValue, step.stage?.name ?? "", text.what, text.tone, text.remark, text.role, text.source,
            text.destination, Self.numbers(step.packet), text.netns, text.device, text.function, step.backend.name,
            text.reason,
        ]
        for word in words { json.add(strings.number(of: word)) }
        json.close()
    }

    /// `seq 7, ack 8`
    private static func numbers(_ packet: Packet?) -> String {
        guard let packet else { return "" }
        return "seq \(packet.seq)" + (packet.flags.contains(.ack) ? ", ack \(packet.ack)" : "")
    }

    /// The step that the verdict says it ended at: the last one there, since a SYN that is sent again comes by again.
    private var end: Int? {
        guard verdict.outcome != .success, verdict.stage != nil || verdict.function != nil else { return nil }
        return connection.steps.lastIndex {
            $0.netns == verdict.netns && $0.stage == verdict.stage && $0.function == verdict.function
        }
    }
}
