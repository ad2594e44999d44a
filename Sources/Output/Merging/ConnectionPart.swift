// What one machine saw of a connection: what is kept of it to find the other machines' parts.

import Handshake

/// A connection in one recording.
struct ConnectionPart {
    let recording: Int
    let id: UInt64
    let isn: UInt32
    /// First step, in nanoseconds since 1970 as its machine's clock had it.
    let start: Int64
    var passages: [Passage] = []
    /// The last verdict, and how many there were.
    var code: VerdictCode?
    var outcome = Outcome.unknown
    var verdicts = 0
    /// Whether the server was on this machine and had the handshake to its end.
    var isServerEnd = false
    /// Whether its addresses, ports and devices are asked for.
    var passesFilter = false

    /// A SYN or what answered it, coming into a host or a namespace of it, or leaving one.
    struct Passage {
        enum Packet { case syn, synack, rst }
        enum Way { case came, left }

        /// From client to server, so that a SYN and its answer have the same.
        var tuple: Tuple
        var packet: Packet
        var way: Way
        /// Nanoseconds since 1970 as its machine's clock had it: within one host it passes several devices, and may be
        /// sent again.
        var first: Int64
        var last: Int64

        /// TCP sends again after 200 ms at the soonest: which of two arrived elsewhere is not known.
        var isOfOnePacket: Bool { last &- first < 200_000_000 }
    }

    /// Nanoseconds that clocks may be apart: what seems to be further away is another connection, of a program that
    /// uses the same number and ports again.
    static let maximumApart: UInt64 = 600_000_000_000

    /// More than these are no way that is worth following.
    private static let maximumPassages = 32

    func passage(_ packet: Passage.Packet, _ way: Passage.Way, _ tuple: Tuple) -> Passage? {
        passages.first { $0.packet == packet && $0.way == way && $0.tuple == tuple }
    }

    /// Takes in a step, if it shows a packet that passes. Only what was seen: a concluded step has the time of another.
    mutating func note(_ step: borrowing Step, at time: Int64) {
        guard let packet = step.packet, step.backend != .inferred, step.stage == .ingress || step.stage == .egress
        else {
            return
        }
        let way: Passage.Way = step.stage == .ingress ? .came : .left
        switch step.action {
        case .syn: note(packet.tuple, .syn, way, at: time)
        case .synack, .rst:
            // The server's: it acknowledges the client's number (RFC 9293, 3.5).
            guard packet.flags.contains(.ack), packet.ack == isn &+ 1,
                passages.contains(where: { $0.packet == .syn && $0.tuple == packet.tuple.reversed })
            else { return }
            note(packet.tuple.reversed, step.action == .synack ? .synack : .rst, way, at: time)
        default: break
        }
    }

    private mutating func note(_ tuple: Tuple, _ packet: Passage.Packet, _ way: Passage.Way, at time: Int64) {
        if let known = passages.firstIndex(where: { $0.packet == packet && $0.way == way && $0.tuple == tuple }) {
            passages[known].last = max(passages[known].last, time)
        } else if passages.count < Self.maximumPassages {
            passages.append(Passage(tuple: tuple, packet: packet, way: way, first: time, last: time))
        }
    }

    /// How far the clock of `b` can be ahead of that of `a`, if the handshake went from `a` to `b` with these
    /// addresses; nil: it cannot have, or does not say.
    static func bounds(from a: ConnectionPart, to b: ConnectionPart, _ tuple: Tuple) -> ClockBounds? {
        guard let left = a.passage(.syn, .left, tuple), let came = b.passage(.syn, .came, tuple), left.isOfOnePacket,
            came.isOfOnePacket
        else { return nil }
        let atMost = came.first &- left.last
        guard atMost.magnitude <= maximumApart else { return nil }
        for answer in [Passage.Packet.synack, .rst] {
            guard let answered = b.passage(answer, .left, tuple), let heard = a.passage(answer, .came, tuple),
                answered.isOfOnePacket, heard.isOfOnePacket
            else { continue }
            let atLeast = answered.last &- heard.first
            // Between two that both passed it on, this tells which came first: the one that waited longer.
            guard atLeast.magnitude <= maximumApart else { return nil }
            return atLeast <= atMost ? ClockBounds(lower: atLeast, upper: atMost) : nil
        }
        // Without an answer it has to be clear otherwise.
        guard a.passage(.syn, .came, tuple) == nil || b.passage(.syn, .left, tuple) == nil else { return nil }
        return ClockBounds(upper: atMost)
    }

    /// How much its verdict says of why the connection ended as it did: compared with the verdicts of other machines.
    var weight: Int { code.map { Self.weight(of: $0, isServerEnd: isServerEnd) } ?? 0 }

    static func weight(of code: VerdictCode, isServerEnd: Bool) -> Int {
        switch code {
        // Said by what did not come, or came from elsewhere. A handshake that the server's own machine saw finished
        // succeeded, also where others missed a packet of it.
        case .established: isServerEnd ? 60 : 10
        case .unexplained: 20
        case .synUnanswered: 30
        case .synackUnanswered: 40
        case .resetByBackend, .resetByClient, .icmpUnreachable: 50
        case .dropped: 70
        // These name the cause, and it is on that machine.
        case .noListener, .listenerOtherAddress, .listenerLoopbackOnly, .listenerOtherDevice, .listenerOtherNetns,
            .acceptQueueFull, .socketRefused, .filterDropped, .filterRejected, .forwardingDisabled,
            .routeLocalnetDisabled, .rpFilter, .noRoute, .neighborUnreachable, .conntrackFull, .conntrackInvalid,
            .staleConntrack, .untracked, .natExhausted, .hairpinWithoutSNAT, .asymmetricReply:
            80
        }
    }

    /// From here on a verdict names its cause.
    static let weightOfCauses = 70

    /// Whether of equal verdicts that of the machine nearer to the client says more: what ended it came from there.
    var isDecidedAtClient: Bool { code == .synackUnanswered || code == .resetByClient }
}
