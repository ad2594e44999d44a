// The JSON lines, word for word where pipelines are written against them.

import Foundation
import Testing

@testable import Handshake
@testable import Output

@Suite struct JSONLinesTests {
    private func lines() -> [String] {
        let capture = Capture()
        ArticleCase().tell(JSONLinesSink(output: capture.output))
        return capture.lines().dropLast()
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func firstStep() {
        #expect(
            lines()[1] == """
                {"@timestamp":"2025-01-31T23:59:59.500000000Z","ecs":{"version":"8.11.0"},"event":{"kind":"event",\
                "dataset":"nattrace.step","action":"syn","sequence":0},"source":{"ip":"198.51.100.7","port":41234},\
                "destination":{"ip":"203.0.113.10","port":80,"nat":{"ip":"10.0.0.2","port":8080}},"network":{"type":\
                "ipv4","transport":"tcp","community_id":"1:0DyH5/O6WVoLu80dQPVU7t9xEtk="},"observer":{"ingress":{\
                "interface":{"name":"eth0"}},"egress":{"interface":{"name":"eth0"}}},"nattrace":{"connection":\
                "4b11b437151a797d","offset_ns":0,"stage":"ingress","function":"net:netif_receive_skb","backend":\
                "tracepoint","netns":{"inode":4026532177,"name":"gateway"},"cpu":1,"packet":{"source":{"ip":\
                "198.51.100.7","port":41234},"destination":{"ip":"203.0.113.10","port":80},"flags":"SYN","seq":\
                3735928559}}}
                """)
    }

    @Test func startLossAndStop() {
        let all = lines()
        #expect(
            all.first == """
                {"@timestamp":"2025-01-31T23:59:59.499995000Z","ecs":{"version":"8.11.0"},"event":{"kind":"event",\
                "dataset":"nattrace.start"},"host":{"name":"gateway","os":{"kernel":"6.12.0"}},"nattrace":{"version":\
                "0.1.0","schema":{"version":"1.0"},"backend":{"net:netif_receive_skb":"tracepoint",\
                "nf_nat_setup_info":"kprobe"},"missing":[{"hook":"nf_send_reset","loss":"resets made by rules"}],\
                "filter":"--dport 80"}}
                """)
        #expect(
            all[all.count - 2] == """
                {"@timestamp":"2025-01-31T23:59:59.500900000Z","ecs":{"version":"8.11.0"},"event":{"kind":"event",\
                "dataset":"nattrace.loss"},"nattrace":{"lost":{"events":12,"since":"2025-01-31T23:59:59.500100000Z",\
                "total":30,"reason":"ring buffer full","scope":"observations"}}}
                """)
        #expect(
            all.last == """
                {"@timestamp":"2025-01-31T23:59:59.501000000Z","ecs":{"version":"8.11.0"},"event":{"kind":"event",\
                "dataset":"nattrace.stop"},"nattrace":{"verdicts":{"established":2,"listener_loopback_only":1},\
                "events":57,"observations":60,"lost":{"total":0,"observations":3}}}
                """)
    }

    @Test func nothingIsNullOrEmpty() throws {
        func check(_ value: Any, _ path: String) {
            switch value {
            case let object as [String: Any]:
                #expect(!object.isEmpty || path.hasSuffix(".verdicts"), "\(path)")
                for (key, value) in object { check(value, path + "." + key) }
            case let list as [Any]:
                #expect(!list.isEmpty, "\(path)")
                for value in list { check(value, path + "[]") }
            case let text as String: #expect(!text.isEmpty, "\(path)")
            default: #expect(!(value is NSNull), "\(path)")
            }
        }
        let bare = Capture()
        tellBareRun(JSONLinesSink(output: bare.output))
        for line in lines() + bare.lines().dropLast() { check(try object(line), "") }
    }

    @Test func verdictCarriesEvidence() throws {
        let line = try object(try #require(lines().first { $0.contains("nattrace.verdict") }))
        let event = try #require(line["event"] as? [String: Any])
        #expect(event["category"] as? [String] == ["network"])
        #expect(event["outcome"] as? String == "failure")
        #expect(event["start"] as? String == "2025-01-31T23:59:59.500000000Z")
        #expect(event["duration"] as? Int == 60_499)
        let own = try #require(line["nattrace"] as? [String: Any])
        #expect(own["verdict"] as? String == "listener_loopback_only")
        #expect(own["revised"] == nil)
        let evidence = try #require(own["evidence"] as? [[String: Any]])
        #expect(
            evidence.compactMap { $0["kind"] as? String }
                == ["listener", "sysctl", "route", "conntrack_entry", "rule", "interface", "counter"])
        #expect(evidence[0]["ip"] as? String == "127.0.0.1")
        #expect((evidence[0]["process"] as? [String: Any])?["name"] as? String == "python3")
        #expect((evidence[0]["accept_queue"] as? [String: Int]) == ["length": 0, "limit": 128])
        let checklist = try #require(own["checklist"] as? [String: Any])
        #expect(checklist["listener_matches"] as? Bool == false)
        #expect(checklist["answer"] as? String == "rst")
    }

    @Test func onlyTranslatedEndsHaveNAT() {
        let connection = Connection(
            isn: 1, dialled: tuple("192.0.2.1", 1000, "192.0.2.2", 80), startTime: 0)
        var course = Course()
        course.translated = tuple("192.0.2.1", 1000, "192.0.2.2", 8080)
        let capture = Capture()
        JSONLinesSink(output: capture.output).step(makeStep(0, at: 0, .syn, nil, course: course), of: connection)
        let line = capture.text()
        #expect(line.contains(#""source":{"ip":"192.0.2.1","port":1000}"#))
        #expect(
            line.contains(
                #""destination":{"ip":"192.0.2.2","port":80,"nat":{"ip":"192.0.2.2","port":8080}}"#))
    }

    @Test func hostileNamesStayInsideTheirStrings() throws {
        let hostile = "a\"b\\c\u{1b}[31m\u{7f}\u{85}\n\u{0}é→🦊"
        let article = ArticleCase()
        var course = Course()
        course.ingressInterface = hostile
        let step = makeStep(
            0, at: 0, .syn, .ingress, netnsName: hostile, rule: Rule(id: nil, ruleset: nil, text: hostile),
            process: ProcessIdentity(pid: 7, name: hostile), course: course)
        let capture = Capture()
        JSONLinesSink(output: capture.output).step(step, of: article.connection)
        let line = capture.text()
        #expect(line.hasSuffix("}\n"))
        #expect(line.dropLast().unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value) })
        let object = try object(line)
        #expect((object["process"] as? [String: Any])?["name"] as? String == hostile)
        #expect((object["rule"] as? [String: Any])?["name"] as? String == hostile)
    }

    /// Clean text is passed over eight bytes at a time: what is to be escaped may stand anywhere in them.
    @Test func whatIsEscapedIsSoAtEachPlace() {
        let escapes = [
            ("\"", "\\\""), ("\\", "\\\\"), ("\n", "\\n"), ("\u{1f}", "\\u001f"), ("\u{7f}", "\\u007f"),
            ("\u{85}", "\\u0085"), (" ", " "), ("~", "~"), ("!", "!"), ("#", "#"), ("[", "["), ("]", "]"),
            ("é", "é"), ("→", "→"), ("\u{a0}", "\u{a0}"),
        ]
        for (character, expected) in escapes {
            for before in 0..<17 {
                for after in 0..<17 {
                    let (head, tail) = (String(repeating: "a", count: before), String(repeating: "z", count: after))
                    let capture = Capture()
                    capture.output.jsonString(head + character + tail)
                    #expect(capture.text() == "\"\(head)\(expected)\(tail)\"")
                }
            }
        }
    }

    /// Pieces are remembered by what they say: as many different lines as there are, whatever was written before.
    @Test func linesDoNotDependOnThoseBefore() {
        let all = Capture()
        let sink = JSONLinesSink(output: all.output)
        var expected = ""
        for round in 0..<2 {
            for number in 0..<UInt16(3000) {
                let dialled = tuple("192.0.2.\(number % 250)", number, "2001:db8::\(number % 7)", 80 + number % 3)
                let connection = Connection(isn: UInt32(number), dialled: dialled, startTime: 0)
                var course = Course()
                if number % 2 == 1 { course.translated = dialled.reversed }
                if number % 3 == 1 { course.egressInterface = "eth\(number % 5)" }
                let entry = ConntrackEntry(
                    identity: 1, original: dialled, reply: dialled.reversed,
                    status: ConntrackStatus(rawValue: UInt32(number % 600)), state: UInt8(number % 12),
                    zone: number % 4, isReplyDirection: number % 5 == 0, isNew: false)
                let step = makeStep(
                    round, at: UInt64(number), .syn, Stage.allCases[Int(number) % Stage.allCases.count],
                    function: "f\(number % 40)", backend: Backend.allCases[Int(number) % Backend.allCases.count],
                    netns: UInt32(number % 9), netnsName: number % 9 == 0 ? nil : "n\(number % 9)",
                    packet: Packet(tuple: dialled, flags: .syn, seq: 1, ack: 0, payload: 0), conntrack: entry,
                    course: course)
                sink.step(step, of: connection)
                let alone = Capture()
                JSONLinesSink(output: alone.output).step(step, of: connection)
                expected += alone.text()
            }
        }
        #expect(all.text() == expected)
    }

    @Test func bytesThatAreNoTextAreReplaced() {
        let capture = Capture()
        let bytes: [UInt8] = [0x61, 0xff, 0xc3, 0x28, 0x1f]
        bytes.withUnsafeBufferPointer { capture.output.jsonString(bytes: $0) }
        #expect(capture.text() == "\"a\u{fffd}\u{fffd}(\\u001f\"")
    }

    /// docs/nattrace.schema.json and the sink must not drift apart.
    @Test func everyLineFitsTheSchema() throws {
        let file = TemporaryFile()
        let capture = Capture()
        let sink = JSONLinesSink(output: capture.output)
        ArticleCase().tell(sink)
        ArticleCase(isIPv6: true).tell(sink)
        tellBareRun(sink)
        tellEveryWord(sink)
        file.bytes = Array(capture.text().utf8)
        let (status, said) = try validate(file)
        #expect(status == 0, "\(said)")
        #expect(said.hasSuffix(" passed, 0 failed\n"), "\(said)")
    }

    /// A schema that takes anything would prove nothing.
    @Test func theSchemaRefuses() throws {
        let changes = [
            (#""action":"syn""#, #""action":"sin""#),
            (#""stage":"ingress""#, #""stage":"""#),
            (#""seq":3735928559"#, #""seq":null"#),
            (#""sequence":0"#, #""sequence":-1"#),
            (#""port":41234"#, #""port":"41234""#),
            (#""ip":"198.51.100.7""#, #""ip":"198.51.100""#),
            (#""connection":"4b11b437151a797d""#, #""connection":"0123""#),
            (#""cpu":1"#, #""cpu":1,"cpus":2"#),
            (#""backend":"tracepoint""#, #""backend":"guess""#),
            (#".500000000Z"#, #".5Z"#),
            (#""ecs":{"version":"8.11.0"},"#, ""),
            (#""kind":"event","#, #""kind":"event","kind":"event","#),
        ]
        let line = lines()[1]
        let file = TemporaryFile()
        var bad = ""
        for (from, to) in changes {
            bad += line.replacingCharacters(in: try #require(line.range(of: from)), with: to) + "\n"
        }
        file.bytes = Array(bad.utf8)
        let (status, said) = try validate(file)
        #expect(status == 1)
        #expect(said.hasSuffix("\n0 passed, \(changes.count) failed\n"), "\(said)")
    }

    private func validate(_ file: TemporaryFile) throws -> (status: Int32, said: String) {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        process.executableURL = tests.appendingPathComponent("schema/validate")
        process.arguments = [file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, said)
    }

    /// The least that can be known.
    private func tellBareRun(_ sink: some Sink) {
        sink.start(
            StartInfo(
                version: "0.1.0", hostName: "", kernel: "6.1.0", backends: [:], missing: [], filter: "", time: 0,
                realtimeOffset: 0))
        let connection = Connection(
            isn: 0, dialled: tuple("::1", 1, "::ffff:192.0.2.1", 2), startTime: 0)
        connection.course.ingressInterface = ""
        connection.course.translated = connection.dialled
        sink.step(makeStep(0, at: 0, .route, nil, backend: .inferred), of: connection)
        let entry = ConntrackEntry(
            identity: 1, original: connection.dialled, reply: connection.dialled.reversed, status: [], state: 200,
            zone: 0, isReplyDirection: true, isNew: false)
        sink.step(
            makeStep(
                1, at: 0, .drop, nil, function: "", netnsName: "",
                packet: Packet(tuple: connection.dialled, flags: [], seq: 0, ack: 0, payload: 0),
                conntrack: entry, reason: "", rule: Rule(), process: ProcessIdentity(pid: 1, name: "")),
            of: connection)
        sink.verdict(makeVerdict(.unexplained, .unknown, ""), of: connection)
        sink.stop(Totals())
    }

    /// Every action, stage, backend, code and shape of a detail at least once.
    private func tellEveryWord(_ sink: some Sink) {
        let connection = ArticleCase().connection
        connection.course.egressInterface = nil
        for action in Action.allCases { sink.step(makeStep(0, at: 1, action, .forward), of: connection) }
        for stage in Stage.allCases { sink.step(makeStep(0, at: 1, .route, stage), of: connection) }
        for backend in Backend.allCases { sink.step(makeStep(0, at: 1, .route, nil, backend: backend), of: connection) }
        let end = connection.dialled.destination
        func translation(_ flags: UInt32) -> StepDetail {
            .translation(
                before: connection.dialled, after: connection.dialled,
                asked: NATRange(first: end, last: end, flags: flags))
        }
        let details: [StepDetail] = [
            .listener(BoundListener(address: end.address, port: 80, interfaceIndex: 3)), .reset(.active),
            .socketState(from: .synSent, to: .close), translation(0), translation(1), translation(2),
        ]
        for detail in details { sink.step(makeStep(0, at: 1, .listener, .socket, detail: detail), of: connection) }
        for bits in UInt8.min...UInt8.max {
            let packet = Packet(
                tuple: connection.dialled, flags: TCPFlags(rawValue: bits), seq: .max, ack: .max, payload: .max)
            sink.step(makeStep(0, at: .max / 4, .ack, nil, packet: packet), of: connection)
        }
        for code in VerdictCode.allCases {
            for outcome in [Outcome.success, .failure, .unknown] {
                sink.verdict(makeVerdict(code, outcome, "so", isRevised: true), of: connection)
            }
        }
        let listener = Listener(
            address: end.address, port: 80, isIPv6Only: false, interface: .init(index: 4, name: "vrf0"),
            acceptQueue: 129, acceptQueueLimit: 128, inode: 1, process: nil)
        sink.verdict(
            makeVerdict(
                .listenerOtherDevice, .failure, "so",
                evidence: [
                    .listener(listener), .interface(name: "lo", addresses: []), .sysctl(name: "a.b", value: ""),
                    .rule(Rule(id: nil, ruleset: "ip filter input", text: nil)),
                ], checklist: Checklist(answer: Checklist.Answer.none)), of: connection)
    }
}
