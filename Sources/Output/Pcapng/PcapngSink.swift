// pcapng, for Wireshark: packets rebuilt from what was observed, with what happened to them as comments.

import Handshake

/// Writes each connection's packets once its verdict stands, so that the packet where it ended and the SYN with which
/// it began can say so, and in the order of time among those of other connections.
///
/// Until the verdict only the connection's number is kept here: it has its steps itself. What comes after its verdict,
/// such as a SYN sent again, waits here for `patience`, in case the verdict is revised. Packets of others that are
/// younger than what may still come wait for it, for the same time at most.
///
/// Blocks are collected; the caller flushes `output` once a batch and looks at its state.
public final class PcapngSink: Sink {
    /// How long a packet waits for its verdict or for older ones, nanoseconds: longer than a handshake stays without
    /// an answer where nothing else was said.
    static let patience: UInt64 = 6_000_000_000
    /// What is told late, because a SYN matched the filter only once it was translated, is not later than this.
    static let lateness: UInt64 = 20_000_000
    /// Bytes of blocks that wait for older ones. Beyond that the oldest go.
    static let maximumHeld = 8 * 1024 * 1024
    /// Connections of which something came after their verdict, and waits. Beyond that the oldest go.
    static let maximumLate = 4096
    /// Losses told with the next packet; what is more is summed up.
    static let maximumRemarks = 16

    public let output: OutputBuffer
    /// Connections that were left out because what came before them was not read.
    public private(set) var leftOut: UInt64 = 0

    private let application: String
    private let hardware: String?
    /// Bytes that may wait in the output; nil: it waits for its reader.
    private let limit: Int?
    /// Whether connections are told of only when it is known how they ended.
    private let isSelective: Bool

    private var realtimeOffset: Int64 = 0
    private var startTime: UInt64 = 0
    /// How far time has come; CLOCK_MONOTONIC, nanoseconds.
    private var now: UInt64 = 0
    private var undecided = UndecidedConnections()
    private var late: [UInt64: LateSteps] = [:]
    /// The same in the order of their beginning.
    private var lateOrder: [(id: UInt64, time: UInt64)] = []
    private var lateFirst = 0
    private var queue = PcapngQueue()
    /// Where blocks are made; never written anywhere.
    private let scratch = OutputBuffer(descriptor: -1, name: "")
    private let block: PcapngWriter
    private let comments: PcapngComments
    private let interfaces: PcapngInterfaces
    /// What is to be told with the next packet, and how much of it was left out since.
    private var remarks: [String] = []
    private var newlyLeftOut: UInt64 = 0

    /// What came of a connection after its verdict.
    private final class LateSteps {
        let time: UInt64
        var train: PacketTrain

        init(of connection: Connection, at time: UInt64) {
            self.time = time
            train = PacketTrain(isn: connection.isn)
        }
    }

    /// - Parameters:
    ///   - application: this program and its version.
    ///   - hardware: of the machine that was observed, if it is known.
    ///   - limit: bytes that may wait for the reader; nil: it is waited for.
    ///   - isSelective: whether connections are chosen by their verdicts.
    public init(output: OutputBuffer, application: String, hardware: String?, limit: Int?, isSelective: Bool) {
        self.output = output
        self.application = application
        self.hardware = hardware
        self.limit = limit
        self.isSelective = isSelective
        block = PcapngWriter(output: scratch)
        comments = PcapngComments(block)
        interfaces = PcapngInterfaces(PcapngWriter(output: output))
    }

    // MARK: Sink

    public func start(_ start: StartInfo) {
        realtimeOffset = start.realtimeOffset
        startTime = start.time
        now = start.time
        let filter = start.filter.isEmpty ? "none" : PcapngComments.style.outside(start.filter)
        PcapngWriter(output: output).section(
            comment:
                "TCP handshakes as nattrace saw them on \(PcapngComments.style.outside(start.hostName)), filter: \(filter). "
                + "Rebuilt, not captured: addresses, ports, TCP flags, sequence and acknowledgment numbers, lengths and "
                + "times are as observed, and so are type and code of ICMP; hop limit \(RebuiltPacket.hopLimit), window "
                + "\(RebuiltPacket.window) and all else are the same in each packet, TCP options and payload are missing. "
                + "Comments marked ~ were concluded, not seen.",
            hardware: hardware, operatingSystem: "Linux " + PcapngComments.style.outside(start.kernel),
            application: application)
        output.endUnit()
    }

    public func step(_ step: borrowing Step, of connection: Connection) {
        now = max(now, step.time)
        if step.sequence == 0 {
            undecided.add(connection.id, startTime: step.time)
        } else if !undecided.contains(connection.id) {
            addLate(copy step, of: connection)
        }
    }

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        now = max(now, verdict.time)
        // Its steps are left out, and counted, by who tells them.
        if connection.isBrief { return }
        var train: PacketTrain
        if undecided.remove(connection.id) {
            train = PacketTrain(isn: connection.isn, steps: connection.steps.count)
            for step in connection.steps {
                train.add(step, StepWords(step, of: connection, style: PcapngComments.style))
            }
        } else if let known = late.removeValue(forKey: connection.id) {
            train = known.train
        } else {
            // Time alone has changed it: the last packet is shown once more.
            train = PacketTrain(isn: connection.isn)
            if let step = connection.steps.last(where: { $0.packet != nil }) {
                train.add(step, StepWords(step, of: connection, style: PcapngComments.style))
            }
        }
        train.finish()
        write(train, verdict, of: connection)
        release()
    }

    public func loss(_ loss: Loss) {
        // What another output had no room for is in this one.
        guard loss.reason != Loss.outputNotRead else { return }
        remark(
            "!! \(loss.events) lost: \(PcapngComments.style.outside(loss.reason)) (\(loss.total) since the start). "
                + "What is shown from here may have gaps.")
    }

    public func tick(at time: UInt64) {
        now = max(now, time)
        release()
    }

    public func stop(_ totals: Totals) {
        now = max(now, totals.time)
        endLate(all: true)
        queue.release(before: .max, holding: 0, pass)
        if newlyLeftOut > 0 { remarkLeftOut() }
        let writer = PcapngWriter(output: output)
        for (index, count) in interfaces.received.enumerated() {
            // What was lost has no interface: it stands with the first.
            writer.statistics(
                interface: UInt32(index), from: realtime(startTime), to: realtime(totals.time), received: count,
                dropped: index == 0 ? totals.lost : nil, comments: index == 0 ? remarks : [])
            output.endUnit()
        }
    }

    // MARK: After the verdict

    private func addLate(_ step: Step, of connection: Connection) {
        let words = StepWords(step, of: connection, style: PcapngComments.style)
        if let known = late[connection.id] {
            known.train.add(step, words)
            return
        }
        let steps = LateSteps(of: connection, at: step.time)
        steps.train.add(step, words)
        late[connection.id] = steps
        lateOrder.append((connection.id, step.time))
        endLate()
    }

    /// Writes what has waited for long enough, or is too much.
    private func endLate(all: Bool = false) {
        while lateFirst < lateOrder.count {
            let (id, time) = lateOrder[lateFirst]
            // What was written with a verdict meanwhile may have begun anew since.
            if let steps = late[id], steps.time == time {
                guard all || late.count > Self.maximumLate || time &+ Self.patience <= now else { break }
                late[id] = nil
                steps.train.finish()
                write(steps.train, nil, of: nil)
            }
            lateFirst += 1
        }
        guard lateFirst > 1024, lateFirst > lateOrder.count / 2 else { return }
        lateOrder.removeFirst(lateFirst)
        lateFirst = 0
    }

    // MARK: Blocks

    private func write(_ train: PacketTrain, _ verdict: Verdict?, of connection: Connection?) {
        guard !train.records.isEmpty else { return }
        guard hasRoom(for: verdict) else {
            newlyLeftOut += 1
            leftOut += 1
            return
        }
        if newlyLeftOut > 0 { remarkLeftOut() }
        let end = verdict.map { train.record(of: $0) }
        let begin = verdict == nil ? nil : train.records.firstIndex { $0.role == .syn }
        scratch.count = 0
        var blocks: [PcapngRun.Block] = []
        blocks.reserveCapacity(train.records.count)
        for (index, record) in train.records.enumerated() {
            let interface = interfaces.count(record)
            block.packet(
                interface: interface, time: realtime(record.time), record.packet, direction: record.direction
            ) {
                if !remarks.isEmpty {
                    for remark in remarks { comments.line(remark) }
                    remarks.removeAll()
                }
                tellSteps(of: record, in: train)
                guard let verdict, let connection else { return }
                if index == end {
                    comments.verdict(verdict, of: connection)
                } else if index == begin {
                    comments.outlook(verdict, of: connection)
                }
            }
            blocks.append(PcapngRun.Block(time: record.time, end: scratch.count))
        }
        queue.add(PcapngRun(UnsafeRawBufferPointer(start: scratch.base, count: scratch.count), blocks))
    }

    private func tellSteps(of record: PacketTrain.Record, in train: PacketTrain) {
        var entry = record.firstEntry
        var told = 0
        while entry != PacketTrain.none {
            if told < PcapngComments.maximumSteps {
                comments.step(train.entries[entry].step, train.entries[entry].words)
            }
            told += 1
            entry = train.entries[entry].next
        }
        if told > PcapngComments.maximumSteps { comments.moreSteps(told - PcapngComments.maximumSteps) }
    }

    private func realtime(_ time: UInt64) -> UInt64 { time &+ UInt64(bitPattern: realtimeOffset) }

    // MARK: Order

    /// Hands out what nothing older can come before any more.
    private func release() {
        endLate()
        let longest = now &- min(now, Self.patience)
        var limit = now &- min(now, Self.lateness)
        if let first = undecided.oldest(since: longest) { limit = min(limit, first) }
        if lateFirst < lateOrder.count { limit = min(limit, lateOrder[lateFirst].time) }
        if isSelective { limit = longest }
        queue.release(before: max(limit, longest), holding: Self.maximumHeld, pass)
    }

    private func pass(_ block: UnsafeRawBufferPointer) {
        output.put(block)
        output.endUnit()
    }

    // MARK: Readers

    /// As `RationingSink` has it: connections that succeeded go first. One that has to go is left out as a whole.
    private func hasRoom(for verdict: Verdict?) -> Bool {
        guard let limit else { return true }
        let bound =
            newlyLeftOut > 0 && verdict?.outcome != .failure
            ? limit / 4 : verdict?.outcome == .failure ? limit - limit / 16 : limit - limit / 4
        return output.unwritten <= bound || output.count > 0 && output.flush() == .open && output.unwritten <= bound
    }

    private func remarkLeftOut() {
        remark(
            "!! \(newlyLeftOut) \(newlyLeftOut == 1 ? "connection" : "connections") left out, because this was not read in "
                + "time (\(leftOut) since the start).")
        newlyLeftOut = 0
    }

    private func remark(_ text: String) {
        if remarks.count < Self.maximumRemarks {
            remarks.append(text)
        } else {
            remarks[Self.maximumRemarks - 1] = text
        }
    }
}
