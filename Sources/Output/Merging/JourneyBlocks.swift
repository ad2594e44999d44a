// Connections on several machines as blocks of text.

import Handshake

/// Shows each as one block: its steps on all machines in one order of time, under headings with the host, and what
/// each machine says of how it ended. What fails again in the same way is folded as on one machine.
final class JourneyBlocks: JourneyReader {
    private let terminal: TerminalSink
    private let hosts: MergedHosts
    private let folding: FoldingSink?
    /// In whose time the terminal tells times: CLOCK_REALTIME minus CLOCK_MONOTONIC.
    private let realtimeOffset: Int64
    private let blocks: Blocks

    /// - Parameters:
    ///   - first: of the first recording.
    ///   - blocksPerSecond: 0: all, and in full; nil: no limit.
    init(_ terminal: TerminalSink, first: StartInfo, hosts: MergedHosts, blocksPerSecond: Int?) {
        self.terminal = terminal
        self.hosts = hosts
        realtimeOffset = first.realtimeOffset
        blocks = Blocks(terminal, hosts, realtimeOffset: realtimeOffset)
        folding =
            blocksPerSecond == 0 ? nil : FoldingSink(blocks, blocksPerSecond: blocksPerSecond, follow: false)
        terminal.start(first)
    }

    func story(_ story: JourneyStory) {
        blocks.story = story
        let chapter = story.chapters[story.decisive]
        var verdict = chapter.verdict
        verdict.time = monotonic(chapter.time(verdict.time), realtimeOffset)
        // It is told once, as it is at the end.
        verdict.isRevised = false
        if let folding {
            folding.verdict(verdict, of: chapter.connection)
        } else {
            blocks.verdict(verdict, of: chapter.connection)
        }
        blocks.story = nil
    }

    func loss(_ loss: Loss, in recording: Int) {
        var loss = loss
        loss.reason += " on " + hosts.names[recording]
        terminal.loss(loss)
    }

    func stop(_ totals: Totals) { folding.map { $0.stop(totals) } ?? terminal.stop(totals) }

    private func monotonic(_ realtime: Int64, _ offset: Int64) -> UInt64 {
        UInt64(truncatingIfNeeded: max(0, realtime &- offset))
    }

    /// What is shown of the connection that is being told, once it is known whether it is to be shown in full.
    private final class Blocks: BlockSink {
        private let terminal: TerminalSink
        private let hosts: MergedHosts
        private let realtimeOffset: Int64
        var story: JourneyStory?

        init(_ terminal: TerminalSink, _ hosts: MergedHosts, realtimeOffset: Int64) {
            self.terminal = terminal
            self.hosts = hosts
            self.realtimeOffset = realtimeOffset
        }

        func start(_ start: StartInfo) {}
        func step(_ step: borrowing Step, of connection: Connection) {}
        func loss(_ loss: Loss) { terminal.loss(loss) }
        func stop(_ totals: Totals) { terminal.stop(totals) }

        func verdict(_ verdict: Verdict, of connection: Connection) {
            guard let story else { return }
            terminal.show(story, hosts, start: start(of: story))
        }

        func repeated(_ block: RepeatedBlock) {
            guard let story else { return terminal.repeated(block) }
            terminal.repeated(
                RepeatedBlock(
                    kind: block.kind, code: block.code, tuple: story.dialled, time: start(of: story),
                    count: block.count))
        }

        func folded(_ blocks: FoldedBlocks) { terminal.folded(blocks) }

        private func start(of story: JourneyStory) -> UInt64 {
            UInt64(truncatingIfNeeded: max(0, story.start &- realtimeOffset))
        }
    }
}

/// Counts connections as `--summary` does, each once.
final class JourneySummary: JourneyReader {
    private let summary: SummarySink
    private let hosts: MergedHosts
    private let realtimeOffset: Int64

    init(_ summary: SummarySink, first: StartInfo, hosts: MergedHosts) {
        self.summary = summary
        self.hosts = hosts
        realtimeOffset = first.realtimeOffset
        summary.start(first)
    }

    func story(_ story: JourneyStory) {
        let chapter = story.chapters[story.decisive]
        var verdict = chapter.verdict
        verdict.time = UInt64(truncatingIfNeeded: max(0, chapter.time(verdict.time) &- realtimeOffset))
        verdict.replaces = nil
        let host = hosts.names[chapter.recording]
        verdict.advice = verdict.advice.map { "on \(host): \($0)" }
        summary.take(verdict, dialled: story.dialled, translated: story.translated)
    }

    func loss(_ loss: Loss, in recording: Int) {
        var loss = loss
        loss.reason += " on " + hosts.names[recording]
        summary.loss(loss)
    }

    func stop(_ totals: Totals) { summary.stop(totals) }
}

extension TerminalSink {
    /// A block: `start` is when it began, in the time that the terminal tells.
    fileprivate func show(_ story: JourneyStory, _ hosts: MergedHosts, start: UInt64) {
        let first = story.chapters[0].connection
        header(first, story.dialled, story.translated, at: start)
        let names = hosts.names.map(style.outside)
        var named: Set<Int> = []
        let rows = story.moments.map { moment in
            let chapter = story.chapters[moment.chapter]
            var row = Row(
                moment.step, of: chapter.connection, style: style, host: names[chapter.recording], offset: moment.offset
            )
            if named.insert(moment.chapter).inserted, let remark = remark(on: chapter, hosts) {
                row.remarkOnHost = "; " + remark
            }
            return row
        }
        if isWide {
            // There are no headings.
            for chapter in story.chapters {
                guard let remark = remark(on: chapter, hosts) else { continue }
                for part in wrapped("host \(names[chapter.recording]); \(remark)", width: room - 1) {
                    line(" " + part, .dim, chapter.connection)
                }
            }
        }
        table(alone: rows, of: first)
        for chapter in story.chapters where chapter.omittedSteps > 0 {
            line(
                " \(style.ellipsis) \(chapter.omittedSteps) later steps on \(names[chapter.recording]) were not kept",
                .dim,
                chapter.connection)
        }
        if story.isIncomplete {
            line(" not all hosts are shown here: too much had to wait for their verdicts", .warning, first)
        }
        put("")
        for (index, chapter) in story.verdicts.enumerated() {
            explain(
                chapter.verdict, of: chapter.connection, on: names[chapter.recording],
                isBrief: index > 0 && !chapter.namesCause)
        }
        put("")
    }

    private func remark(on chapter: JourneyStory.Chapter, _ hosts: MergedHosts) -> String? {
        guard let words = hosts.clock(chapter.recording).map(style.outside) else { return nil }
        return "clock " + words + (chapter.ahead == nil ? "; its own times" : "")
    }
}

extension JourneyStory.Chapter {
    /// Whether its verdict is to be read in full also behind another one.
    fileprivate var namesCause: Bool {
        verdict.outcome != .success
            && ConnectionPart.weight(of: verdict.code, isServerEnd: false)
                >= ConnectionPart.weightOfCauses
    }
}
