// Recordings of several machines merged: real ones of three hosts, with their clocks set off, and made-up connections that
// must not become one.

import Glibc
import Testing

@testable import Handshake
@testable import Output

/// The three hosts of Tests/deploy/clickhouse, which are network namespaces of one machine: their clocks are the same.
private enum ThreeHosts {
    static let folder =
        #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/deploy/clickhouse/recordings/"
    static let roles = ["client", "gateway", "backend"]

    static func path(_ role: String) -> String { folder + role + ".ntrace" }

    /// What is found in the recordings of these roles, with the clocks so far ahead (nanoseconds); and how far they are
    /// in truth, as their headers have it.
    static func journeys(
        _ roles: [String], ahead: [String: Int64] = [:], filter: ConnectionFilter = ConnectionFilter(),
        selection: VerdictSelection = VerdictSelection()
    ) throws -> (journeys: Journeys, truth: [Int64]) {
        let parts = ConnectionParts(filter: filter)
        for role in roles {
            let reader = try RecordingReader(path: path(role))
            let collector = parts.collector()
            var start = reader.header.start
            start.realtimeOffset += ahead[role] ?? 0
            collector.start(start)
            let explainer = Explainer(options: options(reader.header), facts: reader.facts, sink: collector)
            try explainer.replay(reader) { true }
            explainer.finish(at: explainer.time)
        }
        let offsets = parts.starts.map(\.realtimeOffset)
        return (Journeys(parts, selection: selection), offsets.map { $0 - offsets[0] })
    }

    static func options(_ header: RecordingHeader) -> ExplainerOptions {
        var options = ExplainerOptions()
        options.unansweredAfter = header.unansweredAfter
        options.hooks = Set(header.start.backends.keys)
        return options
    }

    static func replay(_ roles: [String]) -> MergedReplay.Request {
        MergedReplay.Request(paths: roles.map(path), options: options)
    }
}

extension Journeys {
    /// `gateway+client: code`: hosts in the order of the way, the one that decides, and its verdict.
    fileprivate func inWords(_ roles: [String]) -> [String] {
        all.filter(\.isWanted).map { journey in
            let hosts = journey.parts.map { roles[parts.all[$0].recording] }
            let decisive = parts.all[journey.decisive]
            return hosts.joined(separator: "+")
                + ": \(decisive.code?.rawValue ?? "-") on \(roles[decisive.recording])"
        }.sorted()
    }
}

@Suite struct MergingTests {
    private static let everything = [
        "client+gateway+backend: established on backend", "client+gateway+backend: established on backend",
        "client+gateway+backend: established on backend", "client+gateway+backend: established on backend",
        "client+gateway+backend: filter_dropped on backend", "client+gateway+backend: no_listener on backend",
        "client+gateway+backend: no_listener on backend", "client+gateway: filter_dropped on gateway",
    ]

    @Test(arguments: [
        ["client", "gateway", "backend"], ["backend", "client", "gateway"], ["gateway", "backend", "client"],
    ])
    func findsTheSameInAnyOrder(roles: [String]) throws {
        #expect(try ThreeHosts.journeys(roles).journeys.inWords(roles) == Self.everything)
    }

    @Test(arguments: [
        ["gateway": 1_500_000_000, "backend": -37_250_000], ["client": 299_000_000_000], ["backend": 1, "gateway": -1],
        ["client": -3_000_000, "gateway": 59_000_000_000],
    ])
    func findsHowFarClocksAreApart(ahead: [String: Int64]) throws {
        let roles = ThreeHosts.roles
        let (journeys, truth) = try ThreeHosts.journeys(roles, ahead: ahead)
        for (clock, truth) in zip(journeys.clocks, truth) {
            #expect(clock.reference == 0 && clock.contradicting == 0)
            #expect((clock.ahead - truth).magnitude <= clock.within.magnitude, "\(clock) \(truth)")
            // Half of a round trip here, which is what can be known.
            #expect(clock.within < 20_000)
        }
        #expect(journeys.inWords(roles) == Self.everything)
    }

    /// Without the gateway, only what was not translated is known to be the same.
    @Test func joinsOnlyWhatCameAsItLeft() throws {
        let roles = ["client", "backend"]
        let found = try ThreeHosts.journeys(roles).journeys.inWords(roles)
        #expect(found.filter { $0.hasPrefix("client+backend") }.count == 2)
        #expect(found.count == 15 - 2)
    }

    @Test func choosesWholeConnections() throws {
        let roles = ThreeHosts.roles
        func found(_ selection: VerdictSelection, port: UInt16? = nil) throws -> [String] {
            var filter = ConnectionFilter()
            if let port { filter.destinationPorts = [port...port] }
            return try ThreeHosts.journeys(roles, filter: filter, selection: selection).journeys.inWords(roles)
        }
        // The backend's port, which the client does not know.
        #expect(try found(VerdictSelection(), port: 8081) == ["client+gateway+backend: no_listener on backend"])
        #expect(try found(VerdictSelection(failedOnly: true)).count == 4)
        #expect(
            try found(VerdictSelection(codes: [.resetByBackend])) == [
                "client+gateway+backend: no_listener on backend", "client+gateway+backend: no_listener on backend",
            ])
    }

    // MARK: what is told

    private func told(_ roles: [String], _ edit: (inout MergedReplay.Request) -> Void = { _ in }) throws -> String {
        let capture = Capture()
        var request = ThreeHosts.replay(roles)
        edit(&request)
        let replay = try MergedReplay(request) { _ in }
        let terminal = TerminalSink(output: capture.output, width: 80, colour: false, unicode: true, follow: false)
        let totals = try replay.tell(as: .blocks(terminal, blocksPerSecond: 0), progress: { _ in }, while: { true })
        #expect(totals.verdicts.values.reduce(0, +) == 8 && totals.events == 116)
        #expect(replay.errors.isEmpty && replay.warnings.isEmpty)
        return capture.text()
    }

    @Test func tellsAConnectionOnce() throws {
        let text = try told(ThreeHosts.roles) { $0.selection = VerdictSelection(codes: [.noListener]) }
        let blocks = text.split(separator: "10.77.0.2:59646 → 203.0.113.10:81 ⇒ 10.77.2.10:8081 ")
        let block = try #require(blocks.count == 2 ? blocks[1] : blocks.first)
        func place(_ words: String) throws -> Substring.Index { try #require(block.firstRange(of: words)?.lowerBound) }
        let order = try [
            " host client, netns nt-fleet", " host gateway, netns nt-fleet", "ahead of client,",
            " host backend, netns nt-fleet", "RST made: NO_SOCKET", " ✗ no_listener  on backend, after 0.018 ms",
            "   change    Start what should listen on port 8081", " ✗ reset_by_backend  on client, after 0.056 ms",
            " ✗ reset_by_backend  on gateway, after 0.048 ms",
        ].map(place)
        #expect(order == order.sorted())
        // What the others advise is to look here.
        #expect(!block.contains("On the machine that has"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    /// Never does a packet come before it left, and never does an offset go back.
    @Test(arguments: [[Int64](), [1_000_000, -2_000_000]])
    func tellsStepsInOrder(ahead: [Int64]) throws {
        let (journeys, _) = try ThreeHosts.journeys(
            ThreeHosts.roles, ahead: Dictionary(uniqueKeysWithValues: zip(["gateway", "backend"], ahead)))
        for journey in journeys.all {
            for (a, b) in zip(journey.parts.indices, journey.parts.indices.dropFirst()) {
                let (from, to) = (journeys.parts.all[journey.parts[a]], journeys.parts.all[journey.parts[b]])
                let (fromAhead, toAhead) = try (#require(journey.ahead[a]), #require(journey.ahead[b]))
                let shared = from.passages.filter { $0.way == .left && to.passage($0.packet, .came, $0.tuple) != nil }
                #expect(!shared.isEmpty)
                for left in shared where left.isOfOnePacket {
                    let came = try #require(to.passage(left.packet, .came, left.tuple))
                    #expect(came.first - toAhead >= left.last - fromAhead)
                }
            }
        }
    }

    @Test func countsConnectionsOnce() throws {
        let capture = Capture()
        let summary = SummarySink(
            output: capture.output, style: TerminalStyle(colour: false, unicode: true), width: 80)
        let replay = try MergedReplay(ThreeHosts.replay(ThreeHosts.roles)) { _ in }
        let totals = try replay.tell(as: .summary(summary), progress: { _ in }, while: { true })
        #expect(totals.verdicts == [.established: 4, .noListener: 2, .filterDropped: 2])
        let text = capture.text()
        #expect(text.contains(" ✗ no_listener     203.0.113.10:81 ⇒ 10.77.2.10:8081             1  03:06:26Z"))
        #expect(text.contains("203.0.113.10:83  on gateway: Accept it before:"))
        #expect(!text.contains("reset_by_backend") && !text.contains("syn_unanswered"))
    }

    @Test func writesLinesThatBelongTogether() throws {
        let capture = Capture()
        let replay = try MergedReplay(ThreeHosts.replay(ThreeHosts.roles)) { _ in }
        _ = try replay.tell(as: .lines(capture.output), progress: { _ in }, while: { true })
        let lines = capture.lines().dropLast()
        func value(_ line: String, _ key: String) -> String? {
            guard let begin = line.firstRange(of: "\"\(key)\":\"")?.upperBound else { return nil }
            return String(line[begin...].prefix { $0 != "\"" })
        }
        #expect(
            lines.allSatisfy {
                value($0, "path")?.hasSuffix(".ntrace") == true && $0.contains("\"host\":{\"name\":\"vm\"")
            })
        let datasets = lines.map { value($0, "dataset") ?? "" }
        #expect(Array(datasets.prefix(3)) == Array(repeating: "nattrace.start", count: 3))
        #expect(Array(datasets.suffix(3)) == Array(repeating: "nattrace.stop", count: 3))
        let verdicts = lines.filter { value($0, "dataset") == "nattrace.verdict" }
        #expect(verdicts.count == 23 && Set(verdicts.map { value($0, "journey") }).count == 8)
        #expect(verdicts.count { $0.contains("\"decisive\":true") } == 8)
        let steps = lines.filter { value($0, "dataset") == "nattrace.step" }
        #expect(Set(steps.map { value($0, "journey") }) == Set(verdicts.map { value($0, "journey") }))
        // In one order of time, but for steps that were concluded later.
        let times = steps.filter { !$0.contains("\"inferred\"") }.compactMap { value($0, "@timestamp") }
        #expect(times == times.sorted())
    }

    /// What one recording says alone stays as it is, to the letter, but for what was added.
    @Test(arguments: ThreeHosts.roles) func changesNoVerdict(role: String) throws {
        func lines(_ tell: (OutputBuffer) throws -> Void) throws -> [String] {
            let capture = Capture()
            try tell(capture.output)
            return capture.lines().filter { $0.contains("nattrace.verdict") }.map { line in
                String(line[line.firstRange(of: "\"event\"")!.lowerBound...])
            }.sorted()
        }
        let alone = try lines { output in
            let reader = try RecordingReader(path: ThreeHosts.path(role))
            let sink = JSONLinesSink(output: output)
            sink.start(reader.header.start)
            let explainer = Explainer(options: ThreeHosts.options(reader.header), facts: reader.facts, sink: sink)
            try explainer.replay(reader) { true }
            explainer.finish(at: explainer.time)
        }
        // The first one's times are left as they are.
        let roles = [role] + ThreeHosts.roles.filter { $0 != role }
        let merged = try lines { output in
            let replay = try MergedReplay(ThreeHosts.replay(roles)) { _ in }
            _ = try replay.tell(as: .lines(output), progress: { _ in }, while: { true })
        }
        func plain(_ line: String) -> String {
            var line = line
            for key in [",\"journey\":", ",\"decisive\":"] {
                guard let begin = line.firstRange(of: key) else { continue }
                let end = line[begin.upperBound...].firstIndex(of: ",") ?? line.endIndex
                line.removeSubrange(begin.lowerBound..<end)
            }
            return line
        }
        let without = Set(merged.map(plain))
        #expect(!alone.isEmpty && alone.allSatisfy(without.contains))
    }

    @Test func refusesOneRecordingTwice() {
        #expect(throws: MergeError.sameRecording(ThreeHosts.path("client"), ThreeHosts.path("client"))) {
            _ = try MergedReplay(ThreeHosts.replay(["client", "client"])) { _ in }
        }
    }

    /// What stands before the damage is told.
    @Test func tellsWhatADamagedRecordingHas() throws {
        let file = TemporaryFile()
        file.bytes = try bytes(of: ThreeHosts.path("backend")).dropLast(40)
        var request = ThreeHosts.replay(["client", "gateway", "backend"])
        request.paths[2] = file.path
        let capture = Capture()
        let replay = try MergedReplay(request) { _ in }
        _ = try replay.tell(as: .lines(capture.output), progress: { _ in }, while: { true })
        #expect(replay.errors.map(\.name) == [file.path])
        #expect(capture.text().contains("\"no_listener\""))
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &bytes, bytes.count)
        try #require(count > 0 && count < bytes.count)
        return Array(bytes.prefix(count))
    }

    @Test func stopsAfterSoMany() throws {
        let text = try { () throws -> String in
            let capture = Capture()
            var request = ThreeHosts.replay(ThreeHosts.roles)
            request.maximum = 2
            let replay = try MergedReplay(request) { _ in }
            let terminal = TerminalSink(output: capture.output, width: 80, colour: false, unicode: true, follow: false)
            _ = try replay.tell(as: .blocks(terminal, blocksPerSecond: 0), progress: { _ in }, while: { true })
            return capture.text()
        }()
        #expect(text.split(separator: "\n").count { $0.contains("on backend, after") } == 2)
    }

    // MARK: made up

    private static let second: UInt64 = 1_000_000_000

    /// A connection that leaves a machine, or comes to it, and is not answered. Times are those of all clocks.
    private func part(
        of sink: any Sink, _ ends: Tuple, isn: UInt32 = 7, at time: UInt64, _ stage: Stage,
        code: VerdictCode = .synUnanswered
    ) {
        let connection = Connection(isn: isn, dialled: ends, startTime: time)
        var step = makeStep(
            0, at: 0, .syn, stage, backend: .tracepoint,
            packet: Packet(tuple: ends, flags: .syn, seq: isn, ack: 0, payload: 0), interface: "eth0")
        step.time = time
        sink.step(step, of: connection)
        sink.verdict(makeVerdict(code, .failure, "x"), of: connection)
    }

    /// A handshake that was answered, from the first machine to the second, over a way of 10 µs.
    private func answered(_ from: any Sink, _ to: any Sink, port: UInt16, at time: UInt64) {
        let ends = tuple("10.0.0.1", port, "10.0.0.2", 80)
        func told(_ sink: any Sink, _ synStage: Stage, _ answerStage: Stage, _ syn: UInt64, _ answer: UInt64) {
            let connection = Connection(isn: UInt32(port), dialled: ends, startTime: syn)
            var first = makeStep(
                0, at: 0, .syn, synStage, backend: .tracepoint,
                packet: Packet(tuple: ends, flags: .syn, seq: UInt32(port), ack: 0, payload: 0))
            first.time = syn
            var second = makeStep(
                1, at: 0, .synack, answerStage, backend: .tracepoint,
                packet: Packet(tuple: ends.reversed, flags: [.syn, .ack], seq: 1, ack: UInt32(port) + 1, payload: 0))
            second.time = answer
            sink.step(first, of: connection)
            sink.step(second, of: connection)
            sink.verdict(makeVerdict(.established, .success, "x"), of: connection)
        }
        told(from, .egress, .ingress, time, time + 30_000)
        told(to, .ingress, .egress, time + 10_000, time + 20_000)
    }

    private func machine(_ parts: ConnectionParts, ahead: Int64 = 0) -> any Sink {
        let sink = parts.collector()
        var start = ArticleCase.start
        start.realtimeOffset += ahead
        start.hostName = "host \(parts.starts.count)"
        sink.start(start)
        return sink
    }

    private let ends = tuple("192.0.2.1", 1000, "192.0.2.2", 80)

    @Test func doesNotJoinByTheNumberAlone() {
        let parts = ConnectionParts()
        let (a, b) = (machine(parts), machine(parts))
        answered(a, b, port: 1, at: Self.second)
        part(of: a, ends, at: 2 * Self.second, .egress)
        part(of: b, tuple("192.0.2.1", 1001, "192.0.2.2", 80), at: 2 * Self.second + 10_000, .ingress)
        #expect(Journeys(parts).all.map(\.parts.count) == [2, 1, 1])
    }

    /// Both dialled it, or it came to both: neither had it from the other.
    @Test(arguments: [Stage.egress, .ingress]) func doesNotJoinWhatWentNowhere(stage: Stage) {
        let parts = ConnectionParts()
        let (a, b) = (machine(parts), machine(parts))
        answered(a, b, port: 1, at: Self.second)
        part(of: a, ends, at: 2 * Self.second, stage)
        part(of: b, ends, at: 2 * Self.second + 10_000, stage)
        #expect(Journeys(parts).all.map(\.parts.count) == [2, 1, 1])
    }

    /// A scanner dials with one number and one port again and again: each time is a connection of its own.
    @Test func joinsEachTimeByItsTime() {
        let parts = ConnectionParts()
        let (a, b) = (machine(parts), machine(parts, ahead: 5_000_000_000))
        answered(a, b, port: 1, at: Self.second)
        for time: UInt64 in [100, 200, 300] { part(of: a, ends, at: time * Self.second, .egress) }
        // The second one was lost on the way.
        for time: UInt64 in [100, 300, 400] { part(of: b, ends, at: time * Self.second + 10_000, .ingress) }
        let journeys = Journeys(parts)
        #expect(journeys.clocks[1].ahead == 5_000_000_000)
        #expect(journeys.all.map(\.parts.count) == [2, 2, 1, 2, 1])
        let starts = journeys.all.map { $0.parts.map { parts.all[$0].start - parts.all[0].start } }
        #expect(starts[1] == [99_000_000_000, 104_000_010_000])
    }

    /// Whose clocks are not known to agree are joined only where there is no choice, and times are their own.
    @Test func isCarefulWithoutClocks() throws {
        let parts = ConnectionParts()
        let (a, b) = (machine(parts), machine(parts, ahead: 90_000_000_000))
        part(of: a, ends, at: 2 * Self.second, .egress)
        part(of: b, ends, at: 2 * Self.second + 10_000, .ingress, code: .filterDropped)
        part(of: a, ends, isn: 8, at: 3 * Self.second, .egress)
        part(of: a, ends, isn: 8, at: 5 * Self.second, .egress)
        part(of: b, ends, isn: 8, at: 5 * Self.second, .ingress)
        let journeys = Journeys(parts)
        #expect(journeys.all.map(\.parts.count) == [2, 1, 1, 1])
        #expect(journeys.all[0].ahead == [0, nil])
        let clock = journeys.clocks[1]
        #expect(clock.aheadOfFirst == nil && clock.bounds == ClockBounds(upper: 90_000_010_000))
        let hosts = MergedHosts(parts.starts, paths: ["a", "b"], clocks: journeys.clocks)
        #expect(hosts.clock(1) == "at most 90000.010 ms ahead of host 0")
        #expect(hosts.clock(0) == nil)
    }

    /// Clocks that are further apart than that, or another connection.
    @Test func doesNotJoinOverHours() {
        let parts = ConnectionParts()
        let (a, b) = (machine(parts), machine(parts, ahead: 3600_000_000_000))
        part(of: a, ends, at: 2 * Self.second, .egress)
        part(of: b, ends, at: 2 * Self.second + 10_000, .ingress)
        let journeys = Journeys(parts)
        #expect(journeys.all.map(\.parts.count) == [1, 1])
        #expect(journeys.clocks[1].bounds == ClockBounds())
    }

    /// A middle machine that passed it on says less than the one where it was dropped, a server's success more than what
    /// others missed, and a cause more than a success.
    @Test func weighsVerdicts() {
        func weight(_ code: VerdictCode, atServer: Bool = false) -> Int {
            ConnectionPart.weight(of: code, isServerEnd: atServer)
        }
        #expect(weight(.noListener) > weight(.resetByBackend) && weight(.filterDropped) > weight(.synUnanswered))
        #expect(weight(.established, atServer: true) > weight(.synackUnanswered))
        #expect(
            weight(.synUnanswered) > weight(.established) && weight(.dropped) > weight(.established, atServer: true))
        #expect(weight(.resetByBackend) > weight(.synUnanswered) && weight(.synUnanswered) > weight(.unexplained))
    }

    @Test func namesHosts() {
        func names(_ hosts: [String], _ paths: [String]) -> [String] {
            let starts = hosts.map { name in
                var start = ArticleCase.start
                start.hostName = name
                return start
            }
            return MergedHosts(
                starts, paths: paths, clocks: hosts.indices.map { _ in RecordingClock(reference: 0) }
            ).names
        }
        #expect(names(["a", "b"], ["x.ntrace", "y.ntrace"]) == ["a", "b"])
        #expect(names(["a", "a"], ["d/x.ntrace", "y"]) == ["x", "y"])
        #expect(names(["", "a"], ["d/x.ntrace", "e/x.ntrace"]) == ["d/x.ntrace", "e/x.ntrace"])
    }
}
