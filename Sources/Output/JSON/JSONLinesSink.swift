// JSON lines: what happened, for machines. docs/nattrace.schema.json describes each line.

import Handshake

/// Writes each step, verdict and loss as one line of JSON, with the field names of the Elastic
/// Common Schema where it has one. What is unknown is absent.
///
/// Lines are collected; the caller flushes `output` once a batch and looks at its state.
public final class JSONLinesSink: Sink {
    /// ECS version whose names are used.
    static let ecsVersion: StaticString = "8.11.0"
    /// Of docs/nattrace.schema.json, and the end of its `$id`. docs/compatibility.md says when it changes.
    static let schemaVersion: StaticString = "1.0"

    public let output: OutputBuffer
    private var clock = Clock(realtimeOffset: 0)

    // What comes again: pieces that begin and end within a line. Those of a connection's ends are the longest.
    private let ends = PieceCache<Endpoint>(bits: 9, maximumBytes: 80)
    private let flows = PieceCache<Flow>(bits: 7, maximumBytes: 512)
    private let places = PieceCache<Place>(bits: 8, maximumBytes: 256)
    private let tracked = PieceCache<Tracked>(bits: 6, maximumBytes: 256)

    private struct Flow: Equatable {
        var connection: UInt64
        var course: Course
    }

    /// Where a step happened. Labels are kept here, so that no other ones come to stand where they stood.
    private struct Place: Equatable {
        var labels: StepLabels
        var netns: UInt32
        var stage: Stage?
        var backend: Backend

        static func == (a: Place, b: Place) -> Bool {
            a.labels === b.labels && a.netns == b.netns && a.stage == b.stage && a.backend == b.backend
        }
    }

    /// What is told of an entry, but for its tuples.
    private struct Tracked: Equatable {
        var status: ConntrackStatus
        var zone: UInt16
        var state: UInt8
        var isReplyDirection: Bool
    }

    /// Where the lines of several recordings stand together: which one these are of; nil: there is one only.
    private let source: MergedSource?

    public init(output: OutputBuffer) {
        self.output = output
        source = nil
    }

    init(output: OutputBuffer, source: MergedSource) {
        self.output = output
        self.source = source
    }

    // MARK: Sink

    public func start(_ start: StartInfo) {
        clock = Clock(realtimeOffset: start.realtimeOffset)
        begin("nattrace.start\"},\"host\":{", at: start.time, namesHost: false)
        if !start.hostName.isEmpty { string("\"name\":", start.hostName) }
        output.key("\"os\":{\"kernel\":")
        output.jsonString(start.kernel)
        output.put("}},\"nattrace\":{\"version\":")
        output.jsonString(start.version)
        output.put(",\"schema\":{\"version\":\"")
        output.put(Self.schemaVersion)
        output.put("\"}")
        if !start.backends.isEmpty {
            output.put(",\"backend\":{")
            for (hook, backend) in start.backends.sorted(by: { $0.key < $1.key }) {
                output.separate()
                output.jsonString(hook)
                output.put(UInt8(ascii: ":"))
                output.jsonString(backend)
            }
            output.close()
        }
        if !start.missing.isEmpty {
            output.put(",\"missing\":[")
            for missing in start.missing {
                output.separate()
                output.open()
                string("\"hook\":", missing.hook)
                string("\"loss\":", missing.loss)
                output.close()
            }
            output.put(UInt8(ascii: "]"))
        }
        if !start.filter.isEmpty { string("\"filter\":", start.filter) }
        if let source { clock(source.clock) }
        end()
    }

    public func step(_ step: borrowing Step, of connection: Connection) {
        begin("nattrace.step\",\"action\":\"", at: step.time)
        output.put(step.action.text)
        output.put("\",\"sequence\":")
        output.put(UInt64(step.sequence))
        output.close()
        flow(connection, step.course)
        let labels = step.labels
        if !labels.isUsual {
            rule(labels.rule)
            process(labels.process)
        }
        output.put(",\"nattrace\":{\"connection\":\"")
        output.putHex16(connection.id)
        output.put("\",\"offset_ns\":")
        output.put(step.offset)
        if let source { journey(source.journey(connection.id)?.id) }
        place(labels, step.netns, step.stage, step.backend)
        if step.backend != .inferred {
            output.put(",\"cpu\":")
            output.put(step.cpu)
        }
        if let packet = step.packet { put(packet) }
        if let reason = labels.reason, !reason.isEmpty { string("\"reason\":", reason) }
        if let entry = step.conntrack { put(trackedBy: entry) }
        put(step.detail)
        end()
    }

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        begin("nattrace.verdict\",\"category\":[\"network\"],\"outcome\":", at: verdict.time)
        output.jsonName(verdict.outcome.rawValue)
        output.put(",\"start\":\"")
        clock.put(connection.startTime, to: output)
        output.put("\",\"duration\":")
        output.put(verdict.duration)
        if !verdict.sentence.isEmpty { string("\"reason\":", verdict.sentence) }
        output.close()
        flow(connection, connection.course)
        rule(verdict.rule)
        process(verdict.process)
        output.put(",\"nattrace\":{\"connection\":\"")
        output.putHex16(connection.id)
        output.put("\",\"verdict\":")
        output.jsonName(verdict.code.rawValue)
        if let journey = source?.journey(connection.id) {
            self.journey(journey.id)
            output.put(",\"decisive\":")
            output.put(journey.isDecisive ? "true" : "false")
        }
        place(stage: verdict.stage, function: verdict.function)
        netns(verdict.netns, verdict.netnsName)
        if let reason = verdict.reason, !reason.isEmpty { string("\"reason\":", reason) }
        checklist(verdict.checklist)
        if !verdict.evidence.isEmpty {
            output.put(",\"evidence\":[")
            for evidence in verdict.evidence {
                output.separate()
                put(evidence)
            }
            output.put(UInt8(ascii: "]"))
        }
        if !verdict.advice.isEmpty {
            output.put(",\"advice\":[")
            for advice in verdict.advice {
                output.separate()
                output.jsonString(advice)
            }
            output.put(UInt8(ascii: "]"))
        }
        if verdict.isRevised { output.put(",\"revised\":true") }
        end()
    }

    public func loss(_ loss: Loss) {
        begin("nattrace.loss\"},\"nattrace\":{\"lost\":{\"events\":", at: loss.time)
        output.put(loss.events)
        output.put(",\"since\":\"")
        clock.put(loss.since, to: output)
        output.put("\",\"total\":")
        output.put(loss.total)
        if !loss.reason.isEmpty { string("\"reason\":", loss.reason) }
        output.put(",\"scope\":")
        output.jsonName(loss.scope.rawValue)
        output.close()
        end()
    }

    public func stop(_ totals: Totals) {
        begin("nattrace.stop\"},\"nattrace\":{\"verdicts\":{", at: totals.time)
        for code in VerdictCode.allCases {
            guard let count = totals.verdicts[code], count > 0 else { continue }
            output.separate()
            output.jsonName(code.rawValue)
            output.put(UInt8(ascii: ":"))
            output.put(UInt64(count))
        }
        output.put("},\"events\":")
        output.put(totals.events)
        if let observations = totals.observations {
            output.put(",\"observations\":")
            output.put(observations.made)
        }
        output.put(",\"lost\":{\"total\":")
        output.put(totals.lost)
        if let observations = totals.observations {
            output.put(",\"observations\":")
            output.put(observations.lost)
        }
        output.close()
        end()
    }

    // MARK: parts of a line

    /// Up to the name of the data set, which `rest` begins with: it goes on to the first value that is no constant.
    @inline(__always)
    private func begin(_ rest: StaticString, at time: UInt64, namesHost: Bool = true) {
        output.put("{\"@timestamp\":\"")
        clock.put(time, to: output)
        output.put("\",\"ecs\":{\"version\":\"")
        output.put(Self.ecsVersion)
        output.put("\"},")
        if let source { put(source, namesHost: namesHost) }
        output.put("\"event\":{\"kind\":\"event\",\"dataset\":\"")
        output.put(rest)
    }

    private func put(_ source: MergedSource, namesHost: Bool) {
        if namesHost, !source.host.isEmpty {
            output.put("\"host\":{")
            string("\"name\":", source.host)
            output.put("},")
        }
        output.put("\"log\":{\"file\":{")
        string("\"path\":", source.path)
        output.put("}},")
    }

    private func journey(_ id: UInt64?) {
        guard let id else { return }
        output.put(",\"journey\":\"")
        output.putHex16(id)
        output.put("\"")
    }

    private func clock(_ clock: RecordingClock) {
        guard clock.aheadOfFirst != nil || clock.bounds != ClockBounds() else { return }
        output.put(",\"clock\":{")
        func number(_ key: StaticString, _ value: Int64) {
            output.key(key)
            output.put(text: String(value))
        }
        if let ahead = clock.aheadOfFirst {
            number("\"ahead_ns\":", ahead)
            number("\"within_ns\":", clock.within)
            number("\"handshakes\":", Int64(clock.handshakes))
            if clock.contradicting > 0 { number("\"contradicting\":", Int64(clock.contradicting)) }
        } else {
            if clock.bounds.lower != .min { number("\"at_least_ns\":", clock.bounds.lower) }
            if clock.bounds.upper != .max { number("\"at_most_ns\":", clock.bounds.upper) }
        }
        output.close()
    }

    /// Closes the object `nattrace` and the line.
    @inline(__always)
    private func end() {
        output.put("}}\n")
        output.endUnit()
    }

    @inline(__always)
    private func string(_ key: StaticString, _ value: String) {
        output.key(key)
        output.jsonString(value)
    }

    /// What is the same on each line of a connection: its ends, its network, its devices.
    private func flow(_ connection: Connection, _ course: Course) {
        flows.put(Flow(connection: connection.id, course: course), hash: connection.id, to: output) {
            writeFlow(connection, course)
        }
    }

    private func writeFlow(_ connection: Connection, _ course: Course) {
        let dialled = connection.dialled
        let translated = course.translated
        output.put(",\"source\":{")
        end(dialled.source, translated: translated?.source)
        output.put("},\"destination\":{")
        end(dialled.destination, translated: translated?.destination)
        output.put("},\"network\":{\"type\":")
        output.put(dialled.family == .v4 ? "\"ipv4\"" : "\"ipv6\"")
        output.put(",\"transport\":\"tcp\",\"community_id\":")
        output.jsonName(connection.communityID)
        output.close()
        let ingress = course.ingressInterface
        let egress = course.egressInterface
        guard ingress != nil || egress != nil else { return }
        output.put(",\"observer\":{")
        if let ingress {
            output.put("\"ingress\":{\"interface\":{\"name\":")
            output.jsonString(ingress)
            output.put("}}")
        }
        if let egress {
            output.key("\"egress\":{\"interface\":{\"name\":")
            output.jsonString(egress)
            output.put("}}")
        }
        output.close()
    }

    /// An end that was translated has its address and port under `nat`, also where one is as before.
    private func end(_ dialled: Endpoint, translated: Endpoint?) {
        put(dialled)
        guard let translated, translated != dialled else { return }
        output.put(",\"nat\":{")
        put(translated)
        output.close()
    }

    /// `"ip":"192.0.2.1","port":80`
    @inline(__always)
    private func put(_ end: Endpoint) {
        let hash = end.address.low ^ end.address.high &* 31 ^ UInt64(end.port) << 48
        ends.put(end, hash: hash, to: output) { output.jsonEndpoint(end) }
    }

    /// `"source":{...},"destination":{...}`
    private func put(_ tuple: Tuple) {
        output.put("\"source\":{")
        put(tuple.source)
        output.put("},\"destination\":{")
        put(tuple.destination)
        output.close()
    }

    /// Taken apart, since what a closure takes in is copied, and a step is long.
    @inline(__always)
    private func place(_ labels: StepLabels, _ netns: UInt32, _ stage: Stage?, _ backend: Backend) {
        guard labels.isUsual else { return writePlace(labels, netns, stage, backend) }
        // Objects stand at multiples of 16.
        let address = UInt64(UInt(bitPattern: ObjectIdentifier(labels))) >> 4
        places.put(
            Place(labels: labels, netns: netns, stage: stage, backend: backend),
            hash: address ^ UInt64(stage?.rawValue ?? 0) << 56 ^ UInt64(backend.rawValue) << 48, to: output
        ) {
            writePlace(labels, netns, stage, backend)
        }
    }

    private func writePlace(_ labels: StepLabels, _ netns: UInt32, _ stage: Stage?, _ backend: Backend) {
        place(stage: stage, function: labels.function)
        output.put(",\"backend\":")
        output.jsonName(backend.name)
        self.netns(netns, labels.netnsName)
    }

    private func place(stage: Stage?, function: String?) {
        if let stage {
            output.put(",\"stage\":")
            output.jsonName(stage.name)
        }
        if let function, !function.isEmpty {
            output.put(",\"function\":")
            output.jsonString(function)
        }
    }

    private func netns(_ inode: UInt32, _ name: String?) {
        let name = name.flatMap { $0.isEmpty ? nil : $0 }
        guard inode != 0 || name != nil else { return }
        output.put(",\"netns\":{")
        if inode != 0 {
            output.put("\"inode\":")
            output.put(inode)
        }
        if let name {
            output.key("\"name\":")
            output.jsonString(name)
        }
        output.close()
    }

    private func rule(_ rule: Rule?) {
        guard let rule, rule.saysSomething else { return }
        output.put(",\"rule\":{")
        members(of: rule)
        output.close()
    }

    private func members(of rule: Rule) {
        if let id = rule.id, !id.isEmpty { string("\"id\":", id) }
        if let ruleset = rule.ruleset, !ruleset.isEmpty { string("\"ruleset\":", ruleset) }
        if let text = rule.text, !text.isEmpty { string("\"name\":", text) }
    }

    private func process(_ process: ProcessIdentity?) {
        guard let process else { return }
        output.key("\"process\":{\"pid\":")
        output.put(UInt64(max(0, process.pid)))
        if let name = process.name, !name.isEmpty { string("\"name\":", name) }
        output.close()
        if let container = process.container, !container.isEmpty {
            output.put(",\"container\":{")
            string("\"id\":", container)
            output.close()
        }
        if let unit = process.unit, !unit.isEmpty {
            output.put(",\"service\":{")
            string("\"name\":", unit)
            output.close()
        }
    }

    private func put(_ packet: Packet) {
        output.put(",\"packet\":{")
        put(packet.tuple)
        if packet.flags.isEmpty {
            output.put(",\"seq\":")
        } else {
            output.put(",\"flags\":\"")
            packet.flags.put(to: output)
            output.put("\",\"seq\":")
        }
        output.put(packet.seq)
        if packet.flags.contains(.ack) {
            output.put(",\"ack\":")
            output.put(packet.ack)
        }
        output.close()
    }

    /// The entry that a packet carried.
    private func put(trackedBy entry: ConntrackEntry) {
        let key = Tracked(
            status: entry.status, zone: entry.zone, state: entry.state, isReplyDirection: entry.isReplyDirection)
        let hash = UInt64(key.status.rawValue) ^ UInt64(key.zone) << 32 ^ UInt64(key.state) << 48
        tracked.put(key, hash: key.isReplyDirection ? ~hash : hash, to: output) {
            output.put(",\"conntrack\":{\"direction\":")
            output.put(entry.isReplyDirection ? "\"reply\"" : "\"original\"")
            writeState(of: entry)
        }
        tuples(of: entry)
        output.close()
    }

    /// The entry's members, without braces.
    private func put(_ entry: ConntrackEntry) {
        writeState(of: entry)
        tuples(of: entry)
    }

    private func writeState(of entry: ConntrackEntry) {
        if let state = entry.stateName {
            output.key("\"state\":")
            output.jsonName(state)
        }
        if entry.status.hasNames {
            output.key("\"status\":[")
            entry.status.forEachName { name in
                output.separate()
                output.jsonName(name)
            }
            output.put(UInt8(ascii: "]"))
        }
        output.key("\"zone\":")
        output.put(entry.zone)
    }

    private func tuples(of entry: ConntrackEntry) {
        output.put(",\"original\":{")
        put(entry.original)
        output.put("},\"reply\":{")
        put(entry.reply)
        output.close()
    }

    private func put(_ detail: StepDetail) {
        switch detail {
        case .translation(let before, let after, let asked):
            output.put(",\"translation\":{\"before\":{")
            put(before)
            output.put("},\"after\":{")
            put(after)
            output.close()
            if let asked, asked.asksAddress || asked.asksPort {
                output.put(",\"asked\":{\"first\":{")
                put(asked.first, of: asked)
                output.put("},\"last\":{")
                put(asked.last, of: asked)
                output.put("}}")
            }
            output.close()
        case .listener(let found):
            output.put(",\"listener\":{\"found\":")
            output.put(found == nil ? "false" : "true")
            if let found { output.jsonEndpoint(Endpoint(address: found.address, port: found.port)) }
            if let queues = found?.queues {
                queue("accept_queue", queues.accept, limit: queues.limit)
                queue("syn_queue", queues.syn, limit: queues.limit)
            }
            output.close()
        case .rule(let rule):
            output.put(",\"rule\":{\"verdict\":")
            output.jsonName(rule.verdict.name)
            output.put(",\"policy\":")
            output.put(rule.isPolicy ? "true" : "false")
            output.close()
        case .icmp(let error):
            output.put(",\"icmp\":{\"source\":\"")
            output.put(error.source)
            output.put("\",\"destination\":\"")
            output.put(error.destination)
            output.put("\",\"type\":")
            output.put(UInt64(error.type))
            output.put(",\"code\":")
            output.put(UInt64(error.code))
            output.close()
        case .none, .reset, .socketState:
            break
        }
    }

    private func queue(_ name: StaticString, _ length: UInt32, limit: UInt32) {
        output.put(",\"")
        output.put(name)
        output.put("\":{\"length\":")
        output.put(length)
        output.put(",\"limit\":")
        output.put(limit)
        output.close()
    }

    private func put(_ end: Endpoint, of range: NATRange) {
        if range.asksAddress {
            output.key("\"ip\":\"")
            output.put(end.address)
            output.put(UInt8(ascii: "\""))
        }
        if range.asksPort {
            output.key("\"port\":")
            output.put(end.port)
        }
    }

    private func checklist(_ list: Checklist) {
        guard list != Checklist() else { return }
        output.put(",\"checklist\":{")
        if let arrived = list.synArrived {
            output.key("\"syn_arrived\":")
            output.put(arrived ? "true" : "false")
        }
        if let answer = list.answer {
            output.key("\"answer\":")
            output.jsonName(answer.rawValue)
        }
        if let conntrack = list.conntrack {
            output.key("\"conntrack\":")
            output.jsonName(conntrack.rawValue)
        }
        if let matches = list.listenerMatches {
            output.key("\"listener_matches\":")
            output.put(matches ? "true" : "false")
        }
        output.close()
    }

    private func put(_ evidence: Evidence) {
        output.put("{\"kind\":")
        output.jsonName(evidence.kind)
        switch evidence {
        case .listener(let listener):
            output.jsonEndpoint(listener.endpoint)
            process(listener.process)
            if let interface = listener.interface {
                output.put(",\"interface\":{\"index\":")
                output.put(interface.index)
                if let name = interface.name, !name.isEmpty { string("\"name\":", name) }
                output.close()
            }
            queue("accept_queue", listener.acceptQueue, limit: listener.acceptQueueLimit)
            if let elsewhere = listener.elsewhere { netns(elsewhere.inode, elsewhere.name) }
            if let only = listener.isIPv6Only {
                output.put(",\"ipv6_only\":")
                output.put(only ? "true" : "false")
            }
        case .sysctl(let name, let value):
            string("\"name\":", name)
            if !value.isEmpty { string("\"value\":", value) }
        case .route(let text):
            if !text.isEmpty { string("\"text\":", text) }
        case .conntrackEntry(let entry):
            put(entry)
        case .rule(let rule):
            members(of: rule)
        case .interface(let name, let addresses):
            string("\"name\":", name)
            if !addresses.isEmpty {
                output.put(",\"ip\":[")
                for address in addresses {
                    output.separate()
                    output.put(UInt8(ascii: "\""))
                    output.put(address)
                    output.put(UInt8(ascii: "\""))
                }
                output.put(UInt8(ascii: "]"))
            }
        case .counter(let name, let value):
            string("\"name\":", name)
            output.put(",\"value\":")
            output.put(value)
        }
        output.close()
    }
}
