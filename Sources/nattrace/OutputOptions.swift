import ArgumentParser
import KernelTracer

extension ColorChoice: ExpressibleByArgument {}
extension BackendChoice: ExpressibleByArgument {}

/// How and for how long to show.
struct OutputOptions: ParsableArguments {
    @Flag(help: "JSON lines on stdout, for programs.")
    var json = false

    @Option(
        name: .customLong("pcap"),
        help: ArgumentHelp("Write pcapng for Wireshark, explained; -: stdout.", valueName: "file"),
        completion: .file())
    var pcapPath: String?

    @Option(help: ArgumentHelp("Colour: auto, for terminals without NO_COLOR.", valueName: "when"))
    var color = ColorChoice.auto

    @Flag(help: "Show each step as it happens.")
    var follow = false

    @Flag(help: "A table: how many ended how, and what to change.")
    var summary = false

    @Option(
        help: ArgumentHelp(
            "At most so many a second, and repeated failures in a line (live: 40; 0: all).", valueName: "n"),
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
            "How long an answer may take. (default: 5s)", valueName: "t"),
        transform: Values.duration)
    var unansweredAfter: UInt64?

    func validate() throws {
        if pcapPath == "" {
            throw ValidationError("--pcap needs the name of a file to write")
        }
        if pcapPath == PcapOutput.standardOutput, json || follow || summary {
            throw ValidationError(
                "\(json ? "--json" : follow ? "--follow" : "--summary") and '--pcap -' both write to standard output:"
                    + " name a file for --pcap")
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
            json: json, pcapPath: pcapPath, color: color, follow: follow, summary: summary,
            blocksPerSecond: blocksPerSecond, count: count, duration: duration, unansweredAfter: unansweredAfter)
    }
}

/// Of a live run only: there is nothing that a replay could record.
struct RecordOption: ParsableArguments {
    @Option(
        name: .customLong("record"),
        help: ArgumentHelp("Write a recording, too, for 'nattrace replay'.", valueName: "file"),
        completion: .file())
    var path: String?

    func validate() throws {
        if path == "" { throw ValidationError("--record needs the name of a file to write") }
    }
}
