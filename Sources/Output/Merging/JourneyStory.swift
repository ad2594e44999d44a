// A connection on several machines as it is told to a person.

import Handshake

/// What each machine says of a connection, the way from the client on.
struct JourneyStory {
    struct Chapter {
        var recording: Int
        var connection: Connection
        /// Those that had happened by the last verdict.
        var steps: [Step]
        var omittedSteps: Int
        var verdict: Verdict
        /// CLOCK_REALTIME minus CLOCK_MONOTONIC of its machine, nanoseconds.
        var realtimeOffset: Int64
        /// How far its clock is ahead of the one that times are told in; nil: not known, and times are its own.
        var ahead: Int64?

        /// Nanoseconds since 1970, as the clock has it that times are told in.
        func time(_ monotonic: UInt64) -> Int64 {
            Int64(truncatingIfNeeded: monotonic) &+ realtimeOffset &- (ahead ?? 0)
        }
    }

    /// A step, and which chapter it is of.
    struct Moment {
        var chapter: Int
        var step: Step
        /// Since the first step of those whose clocks are known, nanoseconds; of others since their own first one.
        var offset: UInt64
    }

    var chapters: [Chapter]
    /// The chapter whose verdict says most.
    var decisive: Int
    /// Whether parts of it are told in another place, or not at all.
    var isIncomplete: Bool

    /// As the client dialled it, and as it was at the end of its way.
    var dialled: Tuple { chapters[0].connection.dialled }
    var translated: Tuple {
        chapters[chapters.count - 1].connection.translated ?? chapters[chapters.count - 1].connection.dialled
    }
    /// When it began.
    var start: Int64 { chapters[0].time(chapters[0].connection.startTime) }

    /// In the order of time; machines whose clocks are not known come behind the others, each by itself.
    var moments: [Moment] {
        let known = chapters.indices.filter { chapters[$0].ahead != nil }
        let first = known.map { chapters[$0].time(chapters[$0].connection.startTime) }.min() ?? 0
        var moments: [(time: Int64, moment: Moment)] = []
        for index in known {
            for step in chapters[index].steps {
                let time = chapters[index].time(step.time)
                moments.append((time, Moment(chapter: index, step: step, offset: UInt64(max(0, time &- first)))))
            }
        }
        moments.sort {
            ($0.time, $0.moment.chapter, $0.moment.step.sequence) < (
                $1.time, $1.moment.chapter, $1.moment.step.sequence
            )
        }
        let others = chapters.indices.filter { chapters[$0].ahead == nil }.flatMap { index in
            chapters[index].steps.map { Moment(chapter: index, step: $0, offset: $0.offset) }
        }
        return moments.map(\.moment) + others
    }

    /// The verdicts as they are told: the one that says most first, then from the client on.
    var verdicts: [Chapter] {
        [chapters[decisive]] + chapters.indices.filter { $0 != decisive }.map { chapters[$0] }
    }
}

/// Shows connections, each on all machines that saw it.
protocol JourneyReader: AnyObject {
    func story(_ story: JourneyStory)
    /// `recording`: whose loss it is.
    func loss(_ loss: Loss, in recording: Int)
    func stop(_ totals: Totals)
}
