import ArgumentParser
import Output

/// `nattrace replay`: explains a recording, anywhere, without privilege.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explains the connections of a recording; needs no privilege.",
        usage: "nattrace replay FILE [filters] [output]",
        discussion: """
            EXAMPLES:
              nattrace replay night.ntr --failed
              nattrace replay night.ntr --verdict no_listener --dport 443
              nattrace replay night.ntr --json | jq .nattrace.verdict

            Gives the same verdicts as tracing did, on any machine.

            FILTERS of different kinds all have to hold; one kind given several times is an "or". --netns \
            takes a name that the recording has, or an inode number.
            """)

    @Argument(help: "A file that 'nattrace --record' wrote.", completion: .file())
    var file: String

    @OptionGroup(title: "Filters")
    var filters: FilterOptions

    @OptionGroup(title: "Output")
    var output: OutputOptions

    func run() throws {
        try ReplaySession(request: request()).run()
    }

    func request() throws(Failure) -> ReplayRequest {
        ReplayRequest(
            path: file,
            filter: try filters.filter { (name) throws(Failure) in try RecordedNamespaces.netns(name, in: file) },
            filterText: filters.text, selection: filters.selection, output: output.request)
    }
}
