import ArgumentParser
import Output

/// `nattrace replay`: explains a recording, anywhere, without privilege.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explains the connections of a recording; needs no privilege.",
        usage: "nattrace replay FILE... [filters] [output]",
        discussion: """
            EXAMPLES:
              nattrace replay night.ntr --failed
              nattrace replay night.ntr --verdict no_listener --dport 443
              nattrace replay night.ntr --json | jq .nattrace.verdict
              nattrace replay client.ntr gateway.ntr server.ntr

            Gives the same verdicts as tracing did, on any machine. Of several machines' recordings, each connection is \
            told once, with what happened to it on all of them, in the first one's time.

            FILTERS of different kinds all have to hold; one kind given several times is an "or". --netns \
            takes a name that the recording has, or an inode number.
            """)

    @Argument(help: "A file that 'nattrace --record' wrote.", completion: .file())
    var file: String

    @Argument(
        help: ArgumentHelp("Recordings of other machines, at the same time.", valueName: "file"), completion: .file())
    var others: [String] = []

    @OptionGroup(title: "Filters")
    var filters: FilterOptions

    @OptionGroup(title: "Output")
    var output: OutputOptions

    func validate() throws {
        guard !others.isEmpty else { return }
        // Filters are often written without dashes.
        if let options = TcpdumpExpression.options(for: others) {
            throw ValidationError("'\(others.joined(separator: " "))' is written '\(options)' here")
        }
        let limit = MergedReplay.maximumRecordings
        guard others.count < limit else {
            throw ValidationError("\(others.count + 1) recordings are too many to merge, which can be \(limit) at most")
        }
        let excluded = [
            ("--follow", output.follow, "each connection is shown when all machines have said their last word"),
            ("--pcap", output.pcapPath != nil, "write the packets of each recording to a file of its own"),
            ("--netns", filters.netns != nil, "a network namespace is one machine's: replay its recording alone"),
        ]
        if let (name, _, advice) = excluded.first(where: { $0.1 }) {
            throw ValidationError("\(name) is for one recording, not for several: \(advice)")
        }
    }

    func run() throws {
        if others.isEmpty {
            try ReplaySession(request: request()).run()
        } else {
            try MergeSession(request: mergeRequest()).run()
        }
    }

    func mergeRequest() throws(Failure) -> MergeRequest {
        let paths = [file] + others
        for path in paths where !RecordedNamespaces.isReadable(twice: path) {
            throw .usage("\(path) is no file: recordings are read twice to be merged, so save it to a file first")
        }
        return MergeRequest(
            paths: paths, filter: filters.filter { _ in preconditionFailure("--netns was refused") },
            selection: filters.selection, output: output.request)
    }

    func request() throws(Failure) -> ReplayRequest {
        ReplayRequest(
            path: file,
            filter: try filters.filter { (name) throws(Failure) in try RecordedNamespaces.netns(name, in: file) },
            filterText: filters.text, selection: filters.selection, output: output.request)
    }
}
