// From the steps of a connection to the packets that stand in the file: which step shows a packet that was not shown
// yet, and to which packet the others happened.

import Handshake

/// The packets that a run of steps of one connection shows, in their order, each with what is told of it.
///
/// A packet at a device, sent by TCP, rewritten, or an ICMP error is one of its own each time. All else happens to a
/// packet: to the last one in that namespace that looked like it. Where none did, it is one of its own as well.
struct PacketTrain {
    /// A step, and which one is told after it with the same packet.
    struct Entry {
        let step: Step
        let words: StepWords
        fileprivate(set) var owner = PacketTrain.none
        fileprivate(set) var next = PacketTrain.none
    }

    struct Record {
        let packet: RebuiltPacket
        let time: UInt64
        let netns: UInt32
        let netnsName: String?
        let place: Place
        let direction: PcapngDirection
        fileprivate(set) var firstEntry = PacketTrain.none
        fileprivate var lastEntry = PacketTrain.none
    }

    enum Place: Hashable {
        case device(String)
        /// At a device of which the name is not known.
        case unknownDevice
        /// Between the devices.
        case stack
    }

    static let none = -1

    private(set) var entries: [Entry] = []
    private(set) var records: [Record] = []
    /// The client's initial sequence number, for a SYN that was not seen.
    private let isn: UInt32
    /// Concluded steps without a packet, which wait for the step that they were concluded from.
    private var waiting: [Int] = []

    /// `steps`: how many will come, as far as it is known.
    init(isn: UInt32, steps: Int = 0) {
        self.isn = isn
        entries.reserveCapacity(steps)
        records.reserveCapacity(steps)
    }

    mutating func add(_ step: Step, _ words: StepWords) {
        let index = entries.count
        entries.append(Entry(step: step, words: words))
        if step.packet == nil, step.backend == .inferred {
            if let first = waiting.first, entries[first].step.time != step.time { placeWaiting(before: nil) }
            waiting.append(index)
            return
        }
        if !waiting.isEmpty { placeWaiting(before: step) }
        guard let record = record(for: step) else {
            waiting.append(index)
            return
        }
        if !waiting.isEmpty {
            for index in waiting { tell(index, with: record) }
            waiting.removeAll(keepingCapacity: true)
        }
        tell(index, with: record)
    }

    /// Nothing comes any more.
    mutating func finish() {
        placeWaiting(before: nil)
        if let last = records.indices.last { for index in waiting { tell(index, with: last) } }
        waiting.removeAll()
    }

    /// The packet where a connection ended: that of the step which a verdict names, or else the last one.
    func record(of verdict: Verdict) -> Int {
        let place = entries.last {
            $0.step.stage == verdict.stage && $0.step.function == verdict.function && $0.step.netns == verdict.netns
        }
        return place?.owner ?? records.count - 1
    }

    // MARK: What a step shows

    /// The packet that a step happened to; nil: none was seen yet.
    private mutating func record(for step: Step) -> Int? {
        guard let packet = step.packet else {
            // A binding of NAT is made for the SYN.
            let isOfSyn = step.action == .natDestination || step.action == .natSource
            return newest(in: step.netns, isSyn: isOfSyn) ?? records.indices.last
        }
        switch (step.action, step.detail) {
        case (.icmp, .icmp(let error)):
            return show(.icmp(error, quoting: packet), by: step)
        case (.syn, _), (.synack, _), (.ack, _), (.rst, _), (.transmit, _), (.retransmit, _):
            return show(.tcp(packet), by: step)
        case (_, .translation(let before, let after, _)) where before == packet.tuple && before != after:
            var rewritten = packet
            rewritten.tuple = after
            return show(.tcp(rewritten), by: step)
        default:
            return newest(in: step.netns, showing: .tcp(packet)) ?? show(.tcp(packet), by: step)
        }
    }

    private mutating func show(_ packet: RebuiltPacket, by step: Step) -> Int {
        let isAtDevice =
            switch step.action {
            case .syn, .synack, .ack, .rst, .icmp: true
            default: false
            }
        let place: Place =
            !isAtDevice ? .stack : step.interface.map { .device($0) } ?? .unknownDevice
        let direction: PcapngDirection =
            !isAtDevice ? .unknown : step.stage == .ingress ? .inbound : step.stage == .egress ? .outbound : .unknown
        records.append(
            Record(
                packet: packet, time: step.time, netns: step.netns, netnsName: step.netnsName, place: place,
                direction: direction))
        return records.count - 1
    }

    // Records are looked at where they stand: handing them on would copy each.

    private func newest(in netns: UInt32, showing packet: RebuiltPacket) -> Int? {
        var index = records.count - 1
        while index >= 0, records[index].netns != netns || records[index].packet != packet { index -= 1 }
        return index >= 0 ? index : nil
    }

    /// nil: in any namespace.
    private func newest(in netns: UInt32?, isSyn: Bool) -> Int? {
        var index = records.count - 1
        while index >= 0, netns ?? records[index].netns != records[index].netns || isSyn && records[index].role != .syn
        {
            index -= 1
        }
        return index >= 0 ? index : nil
    }

    private mutating func tell(_ index: Int, with record: Int) {
        entries[index].owner = record
        let last = records[record].lastEntry
        if last == Self.none { records[record].firstEntry = index } else { entries[last].next = index }
        records[record].lastEntry = index
    }

    // MARK: What was concluded

    /// What conntrack and NAT did to a SYN may be concluded from the answer, which then comes next. What is left waits
    /// for the packet of `next`.
    private mutating func placeWaiting(before next: Step?) {
        guard let first = waiting.first else { return }
        let here = entries[first].step
        let source = next.flatMap { $0.time == here.time && $0.netns == here.netns ? $0 : nil }
        if source?.packet?.flags.role == .syn { return }
        var (ofSyn, ofNext): ([Int], [Int]) = ([], [])
        for index in waiting {
            if source != nil, entries[index].step.action == .natReverse {
                ofNext.append(index)
            } else {
                ofSyn.append(index)
            }
        }
        guard !ofSyn.isEmpty, let record = concludedSyn(ofSyn) else { return }
        waiting = ofNext
        for index in ofSyn { tell(index, with: record) }
    }

    /// The SYN that these steps happened to: as it was translated, if one of them says so.
    private mutating func concludedSyn(_ indices: [Int]) -> Int? {
        let step = entries[indices[0]].step
        let known = newest(in: step.netns, isSyn: true)
        let translations = indices.compactMap { index in
            if entries[index].step.action != .natReverse,
                case .translation(_, let after, _) = entries[index].step.detail
            {
                (entries[index].step, after)
            } else {
                nil
            }
        }
        guard let (translator, after) = translations.last else {
            return known ?? newest(in: nil, isSyn: true) ?? records.indices.last
        }
        var syn = Packet(tuple: after, flags: .syn, seq: isn, ack: 0, payload: 0)
        if let like = known ?? newest(in: nil, isSyn: true), case .tcp(let seen) = records[like].packet {
            syn = seen
            syn.tuple = after
        }
        return newest(in: step.netns, showing: .tcp(syn)) ?? show(.tcp(syn), by: translator)
    }
}

extension PacketTrain.Record {
    /// nil: it is an ICMP error.
    var role: PacketRole? {
        if case .tcp(let packet) = packet { packet.flags.role } else { nil }
    }
}
