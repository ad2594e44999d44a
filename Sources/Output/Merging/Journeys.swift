// Which connections of several recordings are one, by what came to each machine and what left it.

import Handshake

/// One connection on all machines that recorded it.
struct Journey {
    /// Its parts, in the order of the way from the client on.
    var parts: [Int]
    /// The part whose verdict says most of why it ended as it did.
    var decisive: Int
    /// For each part: how far its machine's clock is ahead of `reference`, nanoseconds; nil: not known.
    var ahead: [Int64?]
    /// The recording in whose clock its times are told.
    var reference: Int
    /// Whether it is to be told, and to be counted.
    var isWanted: Bool
    var passesFilter: Bool
}

/// Finds the parts that belong together: they have the client's initial sequence number in common, a SYN that left one
/// machine came to the other with the same addresses and ports, and that at the same time, once clocks are compared.
/// Of one recording at most one part belongs to a journey.
struct Journeys {
    let parts: ConnectionParts
    let clocks: [RecordingClock]
    private(set) var all: [Journey] = []
    /// By part.
    private(set) var journeyOfPart: [Int]

    /// A machine's bit in a number: which ones a journey has.
    static let maximumRecordings = 32
    /// Nanoseconds that a packet may take from one machine to another, beside what is known of the clocks.
    private static let maximumTransit: Int64 = 1_000_000_000

    private struct Key: Hashable {
        var isn: UInt32
        var tuple: Tuple
    }

    /// That the SYN went from one part to another.
    private struct Link {
        var from: Int
        var to: Int
        var tuple: Tuple
        var bounds: ClockBounds?
        /// Nanoseconds that it took by the clocks.
        var transit: Int64
    }

    init(_ parts: ConnectionParts, selection: VerdictSelection = VerdictSelection()) {
        self.parts = parts
        var groups: [Key: [Int]] = [:]
        for (place, part) in parts.all.enumerated() {
            for passage in part.passages where passage.packet == .syn {
                let key = Key(isn: part.isn, tuple: passage.tuple)
                if groups[key]?.last != place { groups[key, default: []].append(place) }
            }
        }
        let shared = groups.filter { group in
            group.value.contains { parts.all[$0].recording != parts.all[group.value[0]].recording }
        }
        clocks = Self.clocks(parts, shared)
        journeyOfPart = Array(parts.all.indices)
        let links = Self.links(parts, shared, clocks)
        let (members, own) = Self.united(parts, links)
        for (number, group) in members.enumerated() {
            for place in group { journeyOfPart[place] = number }
        }
        all = zip(members, own).map { journey($0, $1, selection) }
    }

    var recordings: Int { parts.starts.count }

    /// The journey that a connection is part of; nil: it was not there in the first reading.
    func journey(of id: UInt64, in recording: Int) -> Int? {
        parts.place(of: id, in: recording).map { journeyOfPart[$0] }
    }

    /// How connections ended that pass the filter, each counted once, by the verdict that says most.
    var verdicts: [VerdictCode: Int] {
        all.reduce(into: [:]) { counts, journey in
            if journey.passesFilter, let code = parts.all[journey.decisive].code { counts[code, default: 0] += 1 }
        }
    }

    /// The same of one recording's verdicts.
    func verdicts(of recording: Int) -> [VerdictCode: Int] {
        parts.all.indices.reduce(into: [:]) { counts, place in
            let part = parts.all[place]
            if part.recording == recording, all[journeyOfPart[place]].passesFilter, let code = part.code {
                counts[code, default: 0] += 1
            }
        }
    }

    // MARK: clocks

    /// From handshakes that two recordings have once each: of several with one number it is not known which are the same.
    private static func clocks(_ parts: ConnectionParts, _ groups: [Key: [Int]]) -> [RecordingClock] {
        var samples: [RecordingClocks.Pair: [ClockBounds]] = [:]
        for (key, group) in groups {
            let single = singles(parts, group)
            for a in single {
                for b in single where parts.all[a].recording < parts.all[b].recording {
                    let pair = RecordingClocks.Pair(a: parts.all[a].recording, b: parts.all[b].recording)
                    let there = ConnectionPart.bounds(from: parts.all[a], to: parts.all[b], key.tuple)
                    let back = ConnectionPart.bounds(from: parts.all[b], to: parts.all[a], key.tuple)
                    // Both: which came first is not clear.
                    guard (there == nil) != (back == nil), let bounds = there ?? back?.reversed else { continue }
                    samples[pair, default: []].append(bounds)
                }
            }
        }
        return RecordingClocks(count: parts.starts.count, samples: samples).clocks
    }

    /// Parts of recordings that have only one in this group.
    private static func singles(_ parts: ConnectionParts, _ group: [Int]) -> [Int] {
        var counts = [Int](repeating: 0, count: parts.starts.count)
        for place in group { counts[parts.all[place].recording] += 1 }
        return group.filter { counts[parts.all[$0].recording] == 1 }
    }

    // MARK: what belongs together

    private static func links(
        _ parts: ConnectionParts, _ groups: [Key: [Int]], _ clocks: [RecordingClock]
    ) -> [Link] {
        var links: [Link] = []
        for (key, group) in groups {
            let single = Set(singles(parts, group))
            let byRecording = Dictionary(grouping: group) { parts.all[$0].recording }
            for (a, from) in byRecording {
                for (b, to) in byRecording where a != b {
                    links += self.links(parts, from, to, key.tuple, clocks[a], clocks[b], single)
                }
            }
        }
        // In an order that does not depend on a table's: the surest first.
        return links.sorted {
            ($0.transit.magnitude, $0.from, $0.to) < ($1.transit.magnitude, $1.from, $1.to)
        }
    }

    private static func links(
        _ parts: ConnectionParts, _ from: [Int], _ to: [Int], _ tuple: Tuple, _ a: RecordingClock, _ b: RecordingClock,
        _ single: Set<Int>
    ) -> [Link] {
        let arrivals = to.compactMap { place in
            parts.all[place].passage(.syn, .came, tuple).map { (place: place, time: $0.first) }
        }.sorted { $0.time < $1.time }
        guard !arrivals.isEmpty else { return [] }
        let isKnown = a.reference == b.reference
        let ahead = isKnown ? b.ahead - a.ahead : 0
        let slack = isKnown ? maximumTransit + a.within + b.within : Int64(ConnectionPart.maximumApart)
        var links: [Link] = []
        for place in from {
            guard let left = parts.all[place].passage(.syn, .left, tuple) else { continue }
            // The next one after it left, and the one before, where clocks are not known so well.
            let next = arrivals.partitioningIndex { $0.time &- ahead >= left.first }
            for arrival in arrivals[max(0, next - 1)..<min(arrivals.count, next + 1)] {
                // Whose clocks are not known to agree have to leave no choice.
                guard isKnown || single.contains(place) && single.contains(arrival.place) else { continue }
                let transit = arrival.time &- ahead &- left.first
                guard transit >= -slack, arrival.time &- ahead &- left.last <= slack else { continue }
                links.append(
                    Link(
                        from: place, to: arrival.place, tuple: tuple,
                        bounds: ConnectionPart.bounds(from: parts.all[place], to: parts.all[arrival.place], tuple),
                        transit: transit))
            }
        }
        return links
    }

    /// Parts that are linked, and the links of each group.
    private static func united(_ parts: ConnectionParts, _ links: [Link]) -> (members: [[Int]], links: [[Link]]) {
        var leader = Array(parts.all.indices)
        var machines = parts.all.map { UInt32(1) << UInt32($0.recording) }
        func find(_ place: Int) -> Int {
            var place = place
            while leader[place] != place {
                leader[place] = leader[leader[place]]
                place = leader[place]
            }
            return place
        }
        var used: [Link] = []
        for link in links {
            let (a, b) = (find(link.from), find(link.to))
            guard a != b else {
                used.append(link)
                continue
            }
            // Two parts of one recording are two connections.
            guard machines[a] & machines[b] == 0 else { continue }
            leader[max(a, b)] = min(a, b)
            machines[min(a, b)] |= machines[max(a, b)]
            used.append(link)
        }
        var numbers: [Int: Int] = [:]
        var members: [[Int]] = []
        for place in parts.all.indices {
            let first = find(place)
            if let number = numbers[first] {
                members[number].append(place)
            } else {
                numbers[first] = members.count
                members.append([place])
            }
        }
        var grouped = [[Link]](repeating: [], count: members.count)
        for link in used { grouped[numbers[find(link.from)]!].append(link) }
        return (members, grouped)
    }

    // MARK: one journey

    private func journey(_ members: [Int], _ links: [Link], _ selection: VerdictSelection) -> Journey {
        let ordered = inOrder(members, links)
        let reference = clocks[parts.all[ordered[0]].recording].reference
        let ahead = aheads(ordered, links, reference)
        var decisive = ordered[0]
        for place in ordered.dropFirst() {
            let (known, other) = (parts.all[decisive], parts.all[place])
            if other.weight > known.weight || other.weight == known.weight && !known.isDecidedAtClient {
                decisive = place
            }
        }
        let passesFilter = members.contains { parts.all[$0].passesFilter }
        let isChosen =
            (!selection.failedOnly || parts.all[decisive].outcome != .success)
            && (selection.codes.isEmpty
                || members.contains { parts.all[$0].code.map(selection.codes.contains) ?? false })
        return Journey(
            parts: ordered, decisive: decisive, ahead: ahead, reference: reference,
            isWanted: passesFilter && isChosen, passesFilter: passesFilter)
    }

    /// From the client on: who sent the SYN stands before whom it came to, then by time.
    private func inOrder(_ members: [Int], _ links: [Link]) -> [Int] {
        guard members.count > 1 else { return members }
        // Two that both passed it on are linked both ways. An answer tells which is right.
        let directed = links.filter { link in
            guard let back = links.first(where: { $0.from == link.to && $0.to == link.from }) else { return true }
            return link.bounds?.hasBothEnds == true && back.bounds?.hasBothEnds != true
        }
        var depth: [Int: Int] = [:]
        for _ in members {
            for link in directed {
                depth[link.to] = min(members.count, max(depth[link.to] ?? 0, (depth[link.from] ?? 0) + 1))
            }
        }
        func time(_ place: Int) -> Int64 { parts.all[place].start &- clocks[parts.all[place].recording].ahead }
        return members.sorted { (depth[$0] ?? 0, time($0), $0) < (depth[$1] ?? 0, time($1), $1) }
    }

    /// Its own packets say more of the clocks at that moment than all of the recording: nothing came before it was sent.
    private func aheads(_ ordered: [Int], _ links: [Link], _ reference: Int) -> [Int64?] {
        var aheads: [Int64?] = []
        for (position, place) in ordered.enumerated() {
            let clock = clocks[parts.all[place].recording]
            guard clock.reference == reference else {
                aheads.append(nil)
                continue
            }
            var range = ClockBounds()
            // The one before it first: where all together cannot be right, that is the one to agree with.
            for earlier in (0..<position).reversed() {
                guard let ahead = aheads[earlier] else { continue }
                for link in links {
                    let there = link.from == ordered[earlier] && link.to == place
                    let back = link.to == ordered[earlier] && link.from == place
                    guard there || back, let bounds = link.bounds else { continue }
                    range = range.narrowed(by: (there ? bounds : bounds.reversed).shifted(by: ahead))
                }
            }
            aheads.append(range.clamped(clock.ahead))
        }
        return aheads
    }
}

extension Array {
    /// The first index whose element holds it, where all that hold it come last.
    fileprivate func partitioningIndex(_ holds: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
