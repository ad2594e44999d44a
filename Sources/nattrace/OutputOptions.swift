import ArgumentParser
import KernelTracer

extension ColorChoice: ExpressibleByArgument {}
extension BackendChoice: ExpressibleByArgument {}

/// How and for how long to show.
struct OutputOptions: ParsableArguments {
    @Flag(help: "JSON lines on stdout, for programs.")
    var json = false

    @Option(
        name: .customLong("record"),
        help: ArgumentHelp("Write a recording for 'nattrace replay' beside what is shown.", valueName: "file"),
        completion: .file())
    var recordPath: String?

    @Option(help: ArgumentHelp("Colour: auto is on for terminals, unless NO_COLOR is set.", valueName: "when"))
    var color = ColorChoice.auto

    @Flag(help: "Show each step as it happens.")
    var follow = false

    @Flag(help: "A table of verdicts in place of each connection: how many ended how, and what to change.")
    var summary = false

    @Option(
        help: ArgumentHelp(
            "Show so many connections a second, count the others, and show what fails like one before in a line; 0: show"
                + " all, in full. Text only; JSON lines and recordings have all. (default: 40; in a replay no limit)",
            valueName: "n"),
        transform: Values.countFromZero)
    var blocksPerSecond: Int?

    @Option(help: ArgumentHelp("Stop after this many verdicts.", valueName: "n"), transform: Values.count)
    var count: Int?

    @Option(
        help: ArgumentHelp("Stop after this time: 500ms, 30s, 2m, 1h.", valueName: "time"),
        transform: Values.duration)
    var duration: UInt64?

    @Option(
        help: ArgumentHelp(
            "How long a handshake may stay without an answer. (default: 5s)", valueName: "time"),
        transform: Values.duration)
    var unansweredAfter: UInt64?

    func validate() throws {
        if recordPath == "" {
            throw ValidationError("--record needs the name of a file to write")
        }
        if summary && json {
            throw ValidationError("--summary and --json exclude each other: the line nattrace.stop has the totals")
        }
        if summary && follow {
            throw ValidationError("--summary and --follow exclude each other: leave one of them out")
        }
    }

    var request: OutputRequest {
        OutputRequest(
            json: json, recordPath: recordPath, color: color, follow: follow, summary: summary,
            blocksPerSecond: blocksPerSecond,
            count: count, duration: duration, unansweredAfter: unansweredAfter)
    }
}
