// The status line: how a live run goes, in one row of the terminal that stderr is.

import Handshake

/// The numbers that a status line is made of, as they are at one moment.
public struct RunFigures: Sendable, Hashable {
    /// Connections without a verdict.
    public var inFlight: Int
    /// The verdict that stands, of each connection that has one.
    public var verdicts: [VerdictCode: Int]
    /// Observations that came from the kernel, and what was lost, since the start.
    public var observations: UInt64
    public var lost: UInt64
    /// Nanoseconds since the start, and until --duration is over; nil: there is no such end.
    public var elapsed: UInt64
    public var remaining: UInt64?

    public init(
        inFlight: Int, verdicts: [VerdictCode: Int], observations: UInt64, lost: UInt64, elapsed: UInt64,
        remaining: UInt64? = nil
    ) {
        self.inFlight = inFlight
        self.verdicts = verdicts
        self.observations = observations
        self.lost = lost
        self.elapsed = elapsed
        self.remaining = remaining
    }
}

/// Makes rows of figures. Keeps what it takes to say how many observations come in a second.
public struct StatusLine {
    private let style: TerminalStyle
    private var measured: (observations: UInt64, elapsed: UInt64) = (0, 0)
    private var rate: UInt64 = 0

    /// Over less time a rate would say little, in nanoseconds.
    private static let shortestMeasure: UInt64 = 500_000_000

    public init(_ style: TerminalStyle) { self.style = style }

    /// `nattrace: 0:42 · 12 in flight · 3 of 15 failed · 1240 events/s · none lost`, or as much of it as a row of
    /// `width` columns has room for: losses are never left out.
    public mutating func row(_ figures: RunFigures, width: Int) -> String {
        measure(figures)
        let all = figures.verdicts.values.reduce(0) { $0 + max(0, $1) }
        let failed = all - (figures.verdicts[.established] ?? 0)
        let verdicts: Part = all == 0 ? Part("no verdict yet") : Part("\(failed) of \(all) failed")
        let losses = figures.lost == 0 ? Part("none lost") : Part("\(figures.lost) LOST", .failure)
        let time = figures.remaining.map { Part(Self.clock($0) + " left") } ?? Part(Self.clock(figures.elapsed))
        // In the order of importance, each with its place from left to right.
        var candidates = [(1, verdicts), (0, time), (2, Part("\(figures.inFlight) in flight"))]
        candidates.append((3, Part("\(rate) \(rate == 1 ? "event" : "events")/s")))
        candidates.insert((4, losses), at: figures.lost == 0 ? 4 : 0)

        let head = "nattrace: "
        var shown: [(place: Int, part: Part)] = []
        var room = width - columns(head) + columns(style.separator)
        for candidate in candidates {
            let needed = columns(candidate.1.text) + columns(style.separator)
            guard needed <= room else { break }
            room -= needed
            shown.append(candidate)
        }
        let parts = shown.sorted { $0.place < $1.place }.map { style.paint($0.part.text, $0.part.tone) }
        return parts.isEmpty ? "" : head + parts.joined(separator: style.paint(style.separator, .dim))
    }

    private struct Part {
        let text: String
        let tone: TerminalStyle.Tone

        init(_ text: String, _ tone: TerminalStyle.Tone = .plain) {
            self.text = text
            self.tone = tone
        }
    }

    private mutating func measure(_ figures: RunFigures) {
        let time = figures.elapsed &- measured.elapsed
        guard figures.elapsed > measured.elapsed, time >= Self.shortestMeasure else { return }
        let count = figures.observations - min(figures.observations, measured.observations)
        rate = UInt64((Double(count) * 1e9 / Double(time)).rounded())
        measured = (figures.observations, figures.elapsed)
    }

    /// `0:42`, `1:02:03`: whole seconds.
    static func clock(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        func two(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (minutes, hours) = (seconds / 60 % 60, seconds / 3600)
        return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":" + two(seconds % 60)
    }
}
