// pcapng: which packets stand in it, in which order, and what is told of each.

import Glibc
import Testing

@testable import Handshake
@testable import Output

private let second: UInt64 = 1_000_000_000

/// A file that is written, and read back.
private final class Pcap {
    let capture = Capture()
    let sink: PcapngSink

    init(limit: Int? = nil, isSelective: Bool = false) {
        sink = PcapngSink(
            output: capture.output, application: "nattrace 1", hardware: "x86_64", limit: limit,
            isSelective: isSelective)
        sink.start(ArticleCase.start)
    }

    func read(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) -> PcapngReading {
        let reading = PcapngReading(capture.bytes())
        #expect(reading.problems == [], comment, sourceLocation: sourceLocation)
        return reading
    }

    /// The client's port of each packet, in the file's order.
    var ports: [Int] { read().packets.map { Int($0.bytes[20]) << 8 | Int($0.bytes[21]) } }
}

/// A connection that shows a SYN at a device at each of some times, in milliseconds.
private func connection(port: UInt16, at times: [UInt64], netns: UInt32 = 7, device: String = "eth0") -> Connection {
    let tuple = tuple("192.0.2.1", port, "192.0.2.2", 80)
    let packet = Packet(tuple: tuple, flags: .syn, seq: UInt32(port), ack: 0, payload: 0)
    let start = ArticleCase.startTime + times[0] * 1_000_000
    let connection = Connection(isn: UInt32(port), dialled: tuple, startTime: start)
    connection.steps = times.enumerated().map { index, time in
        makeStep(
            index, at: time * 1_000_000, .syn, .ingress, function: "net:netif_receive_skb", backend: .tracepoint,
            netns: netns, netnsName: "blue", packet: packet, interface: device)
    }
    return connection
}

private func verdict(
    at time: UInt64, _ code: VerdictCode = .noListener, _ outcome: Outcome = .failure, isRevised: Bool = false
) -> Verdict {
    var verdict = makeVerdict(code, outcome, "It ended.", isRevised: isRevised)
    verdict.time = ArticleCase.startTime + time * 1_000_000
    return verdict
}

@Suite struct PcapngTests {
    @Test(arguments: [false, true])
    func theArticlesCase(isIPv6: Bool) throws {
        let pcap = Pcap()
        let article = ArticleCase(isIPv6: isIPv6)
        for step in article.connection.steps { pcap.sink.step(step, of: article.connection) }
        pcap.sink.verdict(article.verdict, of: article.connection)
        pcap.sink.loss(ArticleCase.loss)
        pcap.sink.stop(ArticleCase.totals)
        let reading = pcap.read()

        #expect(PcapngReading.text(reading.section, 2) == "x86_64")
        #expect(PcapngReading.text(reading.section, 3) == "Linux 6.12.0")
        #expect(PcapngReading.text(reading.section, 4) == "nattrace 1")
        let about = try #require(PcapngReading.text(reading.section, 1))
        #expect(about.contains("on gateway, filter: --dport 80.") && about.contains("hop limit 64, window 65535"))
        #expect(reading.interfaces.map { PcapngReading.text($0, 2) } == ["gateway/eth0", "gateway/(stack)"])
        #expect(
            PcapngReading.text(reading.interfaces[0], 3)
                == "device eth0, network namespace gateway, inode 4026532177")
        #expect(reading.interfaces.allSatisfy { $0.first { $0.code == 9 }?.value == [9] })

        // The SYN as dialled and as translated, the RST before and behind NAT.
        #expect(reading.packets.map(\.interface) == [0, 1, 1, 0])
        #expect(reading.packets.map(\.flags) == [1, nil, nil, 2])
        let start = UInt64(ArticleCase.realtimeOffset) + ArticleCase.startTime
        #expect(reading.packets.map { $0.time - start } == [0, 17_950, 52_110, 60_499])
        let ports = reading.packets.map { packet in
            let tcp = isIPv6 ? 40 : 20
            return Int(packet.bytes[tcp + 2]) << 8 | Int(packet.bytes[tcp + 3])
        }
        #expect(ports == [80, 8080, 41234, 41234])

        let rule = "rule \(isIPv6 ? "ip6" : "ip") nat prerouting 4: tcp dport 80 dnat to "
        let comments = reading.packets[1].comments
        #expect(comments[0].hasPrefix("+0.017 ms prerouting: DNAT "))
        #expect(comments[0].contains(" [nat.dnat nf_nat_setup_info]; \(rule)"))
        #expect(comments[3] == "+0.041 ms socket: RST made: NO_SOCKET [reset tcp_v\(isIPv6 ? 6 : 4)_send_reset]")
        #expect(
            comments[4]
                == "✗ listener_loopback_only after 0.060 ms: \(article.verdict.sentence) [verdict of connection "
                + hex(article.connection.id) + "]")
        #expect(comments.contains { $0.hasPrefix("where: socket, tcp_v") && $0.hasSuffix("netns gateway") })
        #expect(comments.contains("checked: SYN arrived, answer: rst, conntrack: new, no listener matches"))
        #expect(comments.filter { $0.hasPrefix("evidence: ") }.count == 7)
        #expect(comments.filter { $0.hasPrefix("change: ") } == article.verdict.advice.map { "change: " + $0 })

        let first = reading.packets[0].comments
        #expect(first.count == 3 && first[0] == "+0.000 ms ingress: SYN in by eth0 [syn net:netif_receive_skb]")
        #expect(first[2].hasPrefix("✗ listener_loopback_only after 0.060 ms: "))
        #expect(reading.packets[2].comments.count == 1 && reading.packets[3].comments.count == 1)

        // What was lost was told when no packet came any more.
        #expect(reading.statistics.map(\.received) == [2, 2])
        #expect(
            reading.statistics[0].comments == [
                "!! 12 lost: ring buffer full (30 since the start). What is shown from here may have gaps."
            ])
    }

    private func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    // MARK: Order

    /// What began earlier and is decided later stands where it belongs.
    @Test func overlappingConnectionsAreInTheOrderOfTime() {
        let pcap = Pcap()
        let slow = connection(port: 1, at: [0, 40])
        let fast = connection(port: 2, at: [10, 20])
        pcap.sink.step(slow.steps[0], of: slow)
        for step in fast.steps { pcap.sink.step(step, of: fast) }
        pcap.sink.verdict(verdict(at: 70), of: fast)
        #expect(pcap.ports == [])
        pcap.sink.step(slow.steps[1], of: slow)
        pcap.sink.verdict(verdict(at: 100), of: slow)
        #expect(pcap.ports == [1, 2, 2, 1])
    }

    /// A verdict that takes too long does not keep the others.
    @Test func nothingWaitsLongerThanTheBound() {
        let pcap = Pcap()
        let slow = connection(port: 1, at: [0])
        let fast = connection(port: 2, at: [10])
        pcap.sink.step(slow.steps[0], of: slow)
        pcap.sink.step(fast.steps[0], of: fast)
        pcap.sink.verdict(verdict(at: 70), of: fast)
        pcap.sink.tick(at: ArticleCase.startTime + PcapngSink.patience)
        #expect(pcap.ports == [])
        pcap.sink.tick(at: ArticleCase.startTime + PcapngSink.patience + 11_000_000)
        #expect(pcap.ports == [2])
        pcap.sink.verdict(verdict(at: 60_000), of: slow)
        pcap.sink.stop(ArticleCase.totals)
        #expect(pcap.ports == [2, 1])
    }

    /// Chosen by their verdicts, connections are told of when they are over: others may turn out to be older.
    @Test func withASelectionAllWait() {
        let pcap = Pcap(isSelective: true)
        for (port, times) in [(2, [100, 110]), (1, [0, 150])] as [(UInt16, [UInt64])] {
            let connection = connection(port: port, at: times)
            for step in connection.steps { pcap.sink.step(step, of: connection) }
            pcap.sink.verdict(verdict(at: 200), of: connection)
        }
        #expect(pcap.ports == [])
        pcap.sink.tick(at: ArticleCase.startTime + PcapngSink.patience + second)
        #expect(pcap.ports == [1, 2, 2, 1])
    }

    @Test func tooMuchThatWaitsGoesOn() {
        let pcap = Pcap()
        let slow = connection(port: 1, at: [0])
        pcap.sink.step(slow.steps[0], of: slow)
        let many = connection(port: 2, at: Array(1...200))
        var rounds = 0
        while pcap.capture.output.written + UInt64(pcap.capture.output.unwritten) < 1_000_000, rounds < 2000 {
            rounds += 1
            pcap.sink.step(many.steps[0], of: many)
            pcap.sink.verdict(verdict(at: 300), of: many)
        }
        #expect((50..<2000).contains(rounds))
    }

    // MARK: After the verdict

    @Test func whatComesAfterTheVerdictIsWritten() {
        let pcap = Pcap()
        let connection = connection(port: 1, at: [0])
        pcap.sink.step(connection.steps[0], of: connection)
        pcap.sink.verdict(verdict(at: 5000), of: connection)
        let again = makeStep(
            1, at: 7 * second, .syn, .ingress, function: "net:netif_receive_skb", netns: 7, netnsName: "blue",
            packet: connection.steps[0].packet, interface: "eth0")
        pcap.sink.step(again, of: connection)
        pcap.sink.tick(at: ArticleCase.startTime + 8 * second)
        #expect(pcap.ports == [1])
        pcap.sink.tick(at: ArticleCase.startTime + 7 * second + PcapngSink.patience + second)
        #expect(pcap.ports == [1, 1])
        let comments = pcap.read().packets.map(\.comments)
        #expect(comments[0].contains { $0.hasPrefix("✗ no_listener") })
        #expect(comments[1] == ["+7000.000 ms ingress: SYN in by eth0 [syn net:netif_receive_skb]"])
    }

    @Test func aRevisedVerdictStandsOnWhatChangedIt() {
        let pcap = Pcap()
        let connection = connection(port: 1, at: [0])
        pcap.sink.step(connection.steps[0], of: connection)
        pcap.sink.verdict(verdict(at: 5000, .synUnanswered), of: connection)
        let again = makeStep(
            1, at: 7 * second, .syn, .ingress, netns: 7, packet: connection.steps[0].packet, interface: "eth0")
        pcap.sink.step(again, of: connection)
        pcap.sink.verdict(verdict(at: 7050, isRevised: true), of: connection)
        pcap.sink.stop(ArticleCase.totals)
        let comments = pcap.read().packets.map(\.comments)
        #expect(comments.count == 2)
        #expect(comments[0].contains { $0.hasPrefix("✗ syn_unanswered after") && !$0.contains("revised") })
        #expect(comments[1].contains { $0.hasPrefix("✗ no_listener after") && $0.contains(", revised: ") })
    }

    /// Nothing but time changed it: the packet that was last seen is shown once more.
    @Test func aRevisedVerdictIsTold() {
        let pcap = Pcap()
        let connection = connection(port: 1, at: [0])
        pcap.sink.step(connection.steps[0], of: connection)
        pcap.sink.verdict(verdict(at: 5000, .synUnanswered), of: connection)
        pcap.sink.verdict(verdict(at: 9000, isRevised: true), of: connection)
        pcap.sink.stop(ArticleCase.totals)
        #expect(pcap.read().packets.map { $0.comments.contains { $0.contains("revised") } } == [false, true])
    }

    // MARK: What is left out

    /// Of connections that succeed under load only the verdict is told, which has no packet to stand on.
    @Test func briefConnectionsHaveNoPackets() {
        let pcap = Pcap()
        let connection = connection(port: 1, at: [0])
        connection.isBrief = true
        pcap.sink.verdict(verdict(at: 70, .established, .success), of: connection)
        pcap.sink.stop(ArticleCase.totals)
        #expect(pcap.ports == [])
    }

    @Test func lossesAreToldWithTheNextPacket() {
        let pcap = Pcap()
        pcap.sink.loss(ArticleCase.loss)
        var other = ArticleCase.loss
        other.reason = Loss.outputNotRead
        pcap.sink.loss(other)
        let connection = connection(port: 1, at: [0])
        pcap.sink.step(connection.steps[0], of: connection)
        pcap.sink.verdict(verdict(at: 70), of: connection)
        pcap.sink.stop(ArticleCase.totals)
        let reading = pcap.read()
        #expect(reading.comments.filter { $0.hasPrefix("!! ") }.count == 1)
        #expect(reading.comments[0].hasPrefix("!! 12 lost: ring buffer full"))
        #expect(reading.statistics.flatMap(\.comments).isEmpty)
    }

    /// Whole connections, and those that succeeded first; what was read and what was left out are all there were.
    @Test func aReaderThatReadsNothing() {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let output = OutputBuffer(outlet: Outlet(ends[1]), name: "a pipe")
        let limit = 256 * 1024
        let sink = PcapngSink(output: output, application: "", hardware: nil, limit: limit, isSelective: false)
        sink.start(ArticleCase.start)
        var (failed, succeeded) = (0, 0)
        func tell(_ number: Int, succeeds: Bool) {
            let connection = connection(port: 1, at: [UInt64(number)])
            let before = sink.leftOut
            sink.step(connection.steps[0], of: connection)
            sink.verdict(
                succeeds ? verdict(at: UInt64(number) + 50, .established, .success) : verdict(at: UInt64(number) + 50),
                of: connection)
            sink.tick(at: ArticleCase.startTime + UInt64(number) * 1_000_000 + second)
            if sink.leftOut == before { if succeeds { succeeded += 1 } else { failed += 1 } }
        }
        for number in 0..<2000 { tell(number, succeeds: true) }
        let first = succeeded
        #expect(first > 100 && first < 2000)
        for number in 2000..<4000 { tell(number, succeeds: false) }
        #expect(failed > 10 && failed < 2000 && succeeded == first)
        #expect(output.unwritten <= limit + 4096)

        var came: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        func read() {
            repeat {
                let count = Glibc.read(ends[0], &chunk, chunk.count)
                if count > 0 { came += chunk[..<count] } else { output.flush() }
            } while output.awaited != nil
            while case let count = Glibc.read(ends[0], &chunk, chunk.count), count > 0 { came += chunk[..<count] }
        }
        read()
        tell(4000, succeeds: true)
        sink.stop(ArticleCase.totals)
        output.flush()
        read()
        let reading = PcapngReading(came)
        #expect(reading.problems == [])
        #expect(reading.packets.count + Int(sink.leftOut) == 4001)
        let told = reading.comments.filter {
            $0.hasPrefix("!! ") && $0.contains(" left out, because this was not read")
        }
        #expect(told.compactMap { Int($0.split(separator: " ")[1]) }.reduce(0, +) == Int(sink.leftOut))
    }

    // MARK: Interfaces

    @Test func namesFromOutsideAreHarmless() {
        let pcap = Pcap()
        let connection = connection(port: 1, at: [0], device: "e\u{1b}[2J\u{202e}")
        pcap.sink.step(connection.steps[0], of: connection)
        pcap.sink.verdict(verdict(at: 70), of: connection)
        pcap.sink.stop(ArticleCase.totals)
        let reading = pcap.read()
        #expect(reading.name(ofInterface: 0) == "blue/e\\x1b[2J\\u{202e}")
        #expect(reading.comments[0].contains("SYN in by e\\x1b[2J\\u{202e} ["))
    }

    @Test func interfacesAreBounded() {
        let pcap = Pcap()
        for number in 0..<(PcapngInterfaces.maximum + 3) {
            let connection = connection(port: 1, at: [UInt64(number)], netns: UInt32(number) + 1)
            pcap.sink.step(connection.steps[0], of: connection)
            pcap.sink.verdict(verdict(at: UInt64(number)), of: connection)
        }
        pcap.sink.stop(ArticleCase.totals)
        let reading = pcap.read()
        #expect(reading.interfaces.count == PcapngInterfaces.maximum + 1)
        #expect(reading.name(ofInterface: PcapngInterfaces.maximum) == "(others)")
        #expect(reading.packets.last?.interface == PcapngInterfaces.maximum)
        #expect(reading.statistics.last?.received == 3)
    }

    /// Several sinks are told the same.
    @Test func twoAtOnce() {
        let (one, other) = (Pcap(), Pcap())
        let both = FanOutSink([one.sink, other.sink])
        let article = ArticleCase()
        for step in article.connection.steps { both.step(step, of: article.connection) }
        both.verdict(article.verdict, of: article.connection)
        both.loss(ArticleCase.loss)
        both.tick(at: ArticleCase.startTime + second)
        both.stop(ArticleCase.totals)
        #expect(one.read().packets.count == 4)
        #expect(one.capture.bytes() == other.capture.bytes())
    }
}

// MARK: Recordings

@Suite struct PcapngOfRecordingsTests {
    private static let folder =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/HandshakeTests/Recordings/"
    static let names: [String] = {
        guard let folder = opendir(folder) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".ntrace") { names.append(name) }
        }
        return names.sorted()
    }()

    /// Counts what is told.
    private final class Counter: Sink {
        var steps: [String: Int] = [:]
        var verdicts = 0

        func start(_ start: StartInfo) {}
        func step(_ step: borrowing Step, of connection: Connection) {
            steps["[\(step.action.rawValue) \(step.function ?? "")]", default: 0] += 1
        }
        func verdict(_ verdict: Verdict, of connection: Connection) { verdicts += 1 }
        func loss(_ loss: Loss) {}
        func stop(_ totals: Totals) {}
    }

    @Test func thereAreSome() { #expect(Self.names.count > 20) }

    @Test(arguments: names)
    func eachStepAndEachVerdictIsToldOnce(name: String) throws {
        let reader = try RecordingReader(path: Self.folder + name)
        var options = ExplainerOptions()
        options.hooks = Set(reader.header.start.backends.keys)
        options.unansweredAfter = reader.header.unansweredAfter
        let capture = Capture()
        let pcap = PcapngSink(output: capture.output, application: "", hardware: nil, limit: nil, isSelective: false)
        let counter = Counter()
        let sink = FanOutSink([counter, pcap])
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)
        sink.start(reader.header.start)
        try explainer.replay(reader) { true }
        explainer.finish(at: explainer.time)

        let reading = PcapngReading(capture.bytes())
        #expect(reading.problems == [])
        #expect(reading.packets.map(\.time) == reading.packets.map(\.time).sorted())
        var steps: [String: Int] = [:]
        for comment in reading.comments where comment.hasPrefix("+") || comment.hasPrefix("~ +") {
            for key in counter.steps.keys where comment.contains(" \(key)") { steps[key, default: 0] += 1 }
        }
        #expect(steps == counter.steps)
        #expect(reading.comments.filter { $0.contains("[verdict of connection ") }.count == counter.verdicts)
        for packet in reading.packets { #expect(!packet.comments.isEmpty) }
    }
}
