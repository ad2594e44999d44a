// Connections made by hand, and pages read back.

import Foundation
import Glibc
import Testing

@testable import Handshake
@testable import Output
@testable import Report

/// Names as nobody should have them, and rule texts.
let hostileTexts = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "' onclick='x",
    "{{data}}", "<!--", "]]>", "&lt;b&gt;", "\u{202e}gnp.exe", "\u{2028}\u{2029}\u{0}\u{1b}[31m", "javascript:alert(1)",
]

func end(_ address: String, _ port: UInt16) -> Endpoint { Endpoint(address: IPAddress(address)!, port: port) }

/// A SYN that came in, was translated, and was dropped: all words that come from outside are `text`.
func hostileConnection(_ text: String) -> Connection {
    let dialled = Tuple(source: end("198.51.100.7", 40_000), destination: end("203.0.113.10", 80))
    let translated = Tuple(source: dialled.source, destination: end("10.0.0.2", 8080))
    let connection = Connection(isn: 7, dialled: dialled, startTime: 1000)
    let rule = Rule(id: text, ruleset: text, text: text)
    let process = ProcessIdentity(pid: 7, name: text, unit: text, container: text)
    func step(_ number: Int, _ action: Action, _ stage: Stage?, _ tuple: Tuple, _ detail: StepDetail = .none) -> Step {
        Step(
            sequence: number, time: 1000 + UInt64(number) * 1_000_000, offset: UInt64(number) * 1_000_000,
            action: action, stage: stage, function: text, backend: .kprobe, netns: 5, netnsName: text, cpu: 0,
            packet: Packet(tuple: tuple, flags: .syn, seq: 7, ack: 0, payload: 0), conntrack: nil, reason: text,
            rule: rule, process: process, interface: text, detail: detail, course: Course())
    }
    connection.steps = [
        step(0, .syn, .ingress, dialled),
        step(
            1, .natDestination, .prerouting, dialled,
            .translation(before: dialled, after: translated, asked: nil)),
        step(2, .drop, .input, translated),
    ]
    connection.course.translated = translated
    return connection
}

func hostileVerdict(_ text: String) -> Verdict {
    let process = ProcessIdentity(pid: 7, name: text, unit: text, container: text)
    return Verdict(
        code: .filterDropped, outcome: .failure, sentence: text, advice: [text, "See it: nft list \(text)"],
        evidence: [
            .rule(Rule(id: text, ruleset: text, text: text)), .sysctl(name: text, value: text), .route(text),
            .interface(name: text, addresses: []), .counter(name: text, value: 1),
            .listener(
                Listener(
                    address: IPAddress("10.0.0.2")!, port: 8080, isIPv6Only: nil,
                    interface: .init(index: 1, name: text),
                    acceptQueue: 0, acceptQueueLimit: 1, inode: 1, process: process,
                    elsewhere: .init(inode: 6, name: text))),
        ],
        checklist: Checklist(synArrived: true), stage: .input, function: text, reason: text, netns: 5, netnsName: text,
        rule: Rule(id: text, ruleset: text, text: text), process: process, time: 9_000_000, duration: 2_000_000,
        isRevised: false)
}

func plainStart(_ text: String = "host") -> StartInfo {
    StartInfo(
        version: "0.1.0", hostName: text, kernel: text, backends: ["net:netif_receive_skb": "tracepoint", text: text],
        missing: [.init(hook: text, loss: text)], filter: text, time: 0, realtimeOffset: 1_738_367_999_500_000_000)
}

/// A verdict on a connection of its own, from another port and at another time.
func judged(
    _ code: VerdictCode, _ number: Int, port: UInt16 = 80, outcome: Outcome? = nil, isRevised: Bool = false
) -> (Verdict, Connection) {
    let dialled = Tuple(
        source: end("198.51.100.7", UInt16(1024 + number)), destination: end("203.0.113.10", port))
    let connection = Connection(isn: UInt32(number), dialled: dialled, startTime: UInt64(1000 + number * 1000))
    connection.steps = [
        Step(
            sequence: 0, time: connection.startTime, offset: 0, action: .syn, stage: .ingress, function: "f",
            backend: .tracepoint, netns: 5, netnsName: "web", cpu: 0,
            packet: Packet(tuple: dialled, flags: .syn, seq: 7, ack: 0, payload: 0), conntrack: nil, reason: nil,
            rule: nil, process: nil, interface: "eth0", detail: .none, course: Course())
    ]
    let verdict = Verdict(
        code: code, outcome: outcome ?? (code == .established ? .success : .failure),
        sentence: "It was \(code.rawValue).",
        advice: [], evidence: [], checklist: Checklist(), stage: nil, function: nil, reason: nil, netns: 0,
        netnsName: nil, rule: nil, process: nil, time: 2000, duration: 0, isRevised: isRevised)
    return (verdict, connection)
}

/// A page, and what a browser would read in it.
struct ReadPage {
    let html: String

    init(_ sink: ReportSink, _ source: ReportSource = ReportSource(name: "a.ntrace", version: "0.1.0")) throws {
        var template = Array("/tmp/nattrace-report-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            close(descriptor)
            unlink(path)
        }
        let output = OutputBuffer(descriptor: descriptor, name: path)
        sink.write(source, to: output)
        try #require(output.flush() == .open)
        html = try String(contentsOfFile: path, encoding: .utf8)
    }

    /// What is before the data.
    var markup: Substring {
        html[..<(html.range(of: "<script type=\"application/octet-stream\"")?.lowerBound ?? html.endIndex)]
    }

    func between(_ start: String, _ stop: String) -> String? {
        guard let open = html.range(of: start), let close = html.range(of: stop, range: open.upperBound..<html.endIndex)
        else { return nil }
        return String(html[open.upperBound..<close.lowerBound])
    }

    func data(_ id: String) throws -> Any {
        let text = try #require(between("<script type=\"application/octet-stream\" id=\"\(id)\">", "</script>"))
        let packed = try #require(Data(base64Encoded: text))
        return try JSONSerialization.jsonObject(with: Data(try #require(unpacked(Array(packed)))))
    }

    /// [block, index, code, client, dialled, translated] of each row, as texts.
    var rows: [[String]] {
        get throws {
            let index = try #require(try data("index") as? [String: Any])
            let blocks = try #require(index["blocks"] as? [[Any]])
            var rows: [[String]] = []
            for block in blocks {
                let strings = try #require(block[1] as? [String])
                let list = try #require(block[2] as? [[Any]])
                for row in list {
                    try #require(row.count == 12)
                    func text(_ place: Int) throws -> String { strings[try #require(row[place] as? Int)] }
                    rows.append(["\(block[0])", "\(row[0])"] + (try [4, 6, 7, 8].map(text)))
                }
            }
            return rows
        }
    }

    func details(_ block: String, _ index: String) throws -> (strings: [String], details: [String: Any]) {
        let read = try #require(try data("block-\(block)") as? [Any])
        let all = try #require(read[1] as? [[String: Any]])
        return (try #require(read[0] as? [String]), all[try #require(Int(index))])
    }
}
