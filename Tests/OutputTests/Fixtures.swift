// The article's case, built by hand: a public address translated to an inner one, where the
// application listens on loopback only. And what the tests need to catch output.

import CNattrace
import Glibc

@testable import Handshake
@testable import Output

func endpoint(_ address: String, _ port: UInt16) -> Endpoint {
    guard let address = IPAddress(address) else { fatalError("not an address: \(address)") }
    return Endpoint(address: address, port: port)
}

func tuple(_ source: String, _ sourcePort: UInt16, _ destination: String, _ destinationPort: UInt16) -> Tuple {
    Tuple(source: endpoint(source, sourcePort), destination: endpoint(destination, destinationPort))
}

func makeStep(
    _ sequence: Int, at offset: UInt64, _ action: Action, _ stage: Stage?, function: String? = nil,
    backend: Backend = .kprobe, netns: UInt32 = 0, netnsName: String? = nil, packet: Packet? = nil,
    conntrack: ConntrackEntry? = nil, reason: String? = nil, rule: Rule? = nil, process: ProcessIdentity? = nil,
    interface: String? = nil, detail: StepDetail = .none, course: Course = Course()
) -> Step {
    Step(
        sequence: sequence, time: ArticleCase.startTime + offset, offset: offset, action: action, stage: stage,
        function: function, backend: backend, netns: netns, netnsName: netnsName, cpu: 1, packet: packet,
        conntrack: conntrack, reason: reason, rule: rule, process: process, interface: interface, detail: detail,
        course: course)
}

func makeVerdict(
    _ code: VerdictCode, _ outcome: Outcome, _ sentence: String, advice: [String] = [], evidence: [Evidence] = [],
    checklist: Checklist = Checklist(), stage: Stage? = nil, function: String? = nil, reason: String? = nil,
    netns: UInt32 = 0, netnsName: String? = nil, rule: Rule? = nil, process: ProcessIdentity? = nil,
    duration: UInt64 = 0, isRevised: Bool = false
) -> Verdict {
    Verdict(
        code: code, outcome: outcome, sentence: sentence, advice: advice, evidence: evidence, checklist: checklist,
        stage: stage, function: function, reason: reason, netns: netns, netnsName: netnsName, rule: rule,
        process: process, time: ArticleCase.startTime + duration, duration: duration, isRevised: isRevised)
}

struct ArticleCase {
    static let startTime: UInt64 = 1_000_000_000
    /// 2025-01-31T23:59:59.5Z at `startTime`.
    static let realtimeOffset: Int64 = 1_738_367_999_500_000_000 - 1_000_000_000

    static let start = StartInfo(
        version: "0.1.0", hostName: "gateway", kernel: "6.12.0",
        backends: ["nf_nat_setup_info": "kprobe", "net:netif_receive_skb": "tracepoint"],
        missing: [.init(hook: "nf_send_reset", loss: "resets made by rules")], filter: "--dport 80",
        time: startTime - 5_000, realtimeOffset: realtimeOffset)

    let connection: Connection
    let verdict: Verdict

    init(isIPv6: Bool = false) {
        let client = isIPv6 ? "2001:db8:ffff::7" : "198.51.100.7"
        let publicAddress = isIPv6 ? "2001:db8:0:1::10" : "203.0.113.10"
        let inner = isIPv6 ? "fd00:10:2:3::2" : "10.0.0.2"
        let dialled = tuple(client, 41234, publicAddress, 80)
        let translated = tuple(client, 41234, inner, 8080)
        let space: UInt32 = 4_026_532_177
        func packet(_ tuple: Tuple, _ flags: TCPFlags) -> Packet {
            Packet(
                tuple: tuple, flags: flags, seq: flags.contains(.rst) ? 0 : 3_735_928_559,
                ack: flags.contains(.ack) ? 3_735_928_560 : 0, payload: 0)
        }
        func entry(_ state: UInt8, reply: Tuple, status: ConntrackStatus) -> ConntrackEntry {
            ConntrackEntry(
                identity: 0xffff_8881_0123_4500, original: dialled, reply: reply, status: status, state: state, zone: 0,
                isReplyDirection: false, isNew: true)
        }
        var course = Course()
        course.translated = translated
        course.ingressInterface = "eth0"
        course.egressInterface = "eth0"
        func step(
            _ sequence: Int, at offset: UInt64, _ action: Action, _ stage: Stage, _ function: String,
            _ backend: Backend = .kprobe, packet: Packet, conntrack: ConntrackEntry? = nil, reason: String? = nil,
            rule: Rule? = nil, interface: String? = nil, detail: StepDetail = .none
        ) -> Step {
            makeStep(
                sequence, at: offset, action, stage, function: function, backend: backend, netns: space,
                netnsName: "gateway", packet: packet, conntrack: conntrack, reason: reason, rule: rule,
                interface: interface, detail: detail, course: course)
        }
        let fresh = entry(0, reply: dialled.reversed, status: [])
        let bound = entry(1, reply: translated.reversed, status: [.destinationNAT, .destinationNATDone])
        let rule = Rule(
            id: "4", ruleset: isIPv6 ? "ip6 nat prerouting" : "ip nat prerouting",
            text: "tcp dport 80 dnat to \(translated.destination)")
        let version = isIPv6 ? "6" : "4"
        connection = Connection(
            isn: 3_735_928_559, dialled: dialled, startTime: Self.startTime)
        connection.course = course
        connection.steps = [
            step(
                0, at: 0, .syn, .ingress, "net:netif_receive_skb", .tracepoint, packet: packet(dialled, .syn),
                interface: "eth0"),
            step(
                1, at: 11_204, .conntrackNew, .prerouting, "nf_conntrack_in", packet: packet(dialled, .syn),
                conntrack: fresh),
            step(
                2, at: 17_950, .natDestination, .prerouting, "nf_nat_setup_info", packet: packet(dialled, .syn),
                conntrack: bound, rule: rule,
                detail: .translation(
                    before: dialled, after: translated,
                    asked: NATRange(first: translated.destination, last: translated.destination, flags: 3))),
            step(
                3, at: 34_001, .deliver, .input, "tcp_v\(version)_rcv", packet: packet(translated, .syn),
                conntrack: bound),
            step(
                4, at: 36_780, .listener, .socket, isIPv6 ? "inet6_lookup_listener" : "__inet_lookup_listener",
                packet: packet(translated, .syn), detail: .listener(nil)),
            step(
                5, at: 41_377, .reset, .socket, "tcp_v\(version)_send_reset", packet: packet(translated, .syn),
                conntrack: bound, reason: "NO_SOCKET", detail: .reset(.tcp)),
            step(
                6, at: 52_110, .natReverse, .output, "nf_nat_manip_pkt",
                packet: packet(translated.reversed, [.rst, .ack]), conntrack: bound,
                detail: .translation(before: translated.reversed, after: dialled.reversed, asked: nil)),
            step(
                7, at: 60_499, .rst, .egress, "net:net_dev_start_xmit", .tracepoint,
                packet: packet(dialled.reversed, [.rst, .ack]), interface: "eth0"),
        ]
        let destination = translated.destination
        let loopback = endpoint(isIPv6 ? "::1" : "127.0.0.1", 8080)
        let python = ProcessIdentity(pid: 4242, name: "python3")
        verdict = makeVerdict(
            .listenerLoopbackOnly, .failure,
            "The SYN to \(dialled.destination) was translated to \(destination), but the only listener on port 8080 in "
                + "namespace gateway is python3 (pid 4242) on \(loopback), which is loopback: TCP answered with RST.",
            advice: [
                "Let python3 (pid 4242) listen on \(destination) or on every address.",
                "See who listens: ip netns exec gateway ss -ltnp 'sport = :8080'",
            ],
            evidence: [
                .listener(
                    Listener(
                        address: loopback.address, port: 8080, isIPv6Only: isIPv6 ? true : nil, interface: nil,
                        acceptQueue: 0, acceptQueueLimit: 128, inode: 99_001, process: python)),
                .sysctl(name: "net.ipv4.conf.eth0.route_localnet", value: "0"),
                .route("local \(destination.address) dev eth0 table local"),
                .conntrackEntry(bound), .rule(rule),
                .interface(name: "eth0", addresses: [destination.address]),
                .counter(name: "TcpExtListenDrops", value: 0),
            ],
            checklist: Checklist(synArrived: true, answer: .rst, conntrack: .new, listenerMatches: false),
            stage: .socket, function: "tcp_v\(version)_send_reset", reason: "NO_SOCKET", netns: space,
            netnsName: "gateway", rule: rule, process: python, duration: 60_499)
    }

    static var totals: Totals {
        var totals = Totals()
        totals.verdicts = [.listenerLoopbackOnly: 1, .established: 2]
        totals.events = 57
        totals.time = startTime + 1_000_000
        totals.observations = ObservationCount(made: 60, lost: 3)
        return totals
    }

    static let loss = Loss(
        reason: "ring buffer full", scope: .observations, events: 12, total: 30, time: startTime + 900_000,
        since: startTime + 100_000)

    /// Everything that one run says, to a sink.
    func tell(_ sink: some Sink) {
        sink.start(Self.start)
        for step in connection.steps { sink.step(step, of: connection) }
        sink.verdict(verdict, of: connection)
        sink.loss(Self.loss)
        sink.stop(Self.totals)
    }
}

/// What was written to a descriptor.
final class Capture {
    let output: OutputBuffer
    private let file = TemporaryFile()
    private let descriptor: Int32

    init() {
        descriptor = open(file.path, O_WRONLY | O_APPEND)
        precondition(descriptor >= 0)
        output = OutputBuffer(descriptor: descriptor, name: "a file")
    }

    deinit { close(descriptor) }

    /// All of it so far.
    func text() -> String { String(decoding: bytes(), as: UTF8.self) }

    func bytes() -> [UInt8] {
        output.flush()
        return file.bytes
    }

    func lines() -> [String] { text().split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
}

/// A file name of its own, removed with the object.
final class TemporaryFile {
    let path: String

    init() {
        var template = Array("/tmp/nattrace-test-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        precondition(descriptor >= 0)
        close(descriptor)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { unlink(path) }

    var bytes: [UInt8] {
        get {
            let descriptor = open(path, O_RDONLY)
            defer { close(descriptor) }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                if count <= 0 { return bytes }
                bytes += chunk[..<count]
            }
        }
        set {
            let descriptor = open(path, O_WRONLY | O_TRUNC)
            defer { close(descriptor) }
            precondition(write(descriptor, newValue, newValue.count) == newValue.count)
        }
    }
}
