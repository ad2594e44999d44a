import ArgumentParser
import Output

/// `nattrace replay`: explains a recording, anywhere, without privilege.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explains the connections of a recording; needs no privilege.",
        usage: "nattrace replay FILE [filters] [output]",
        discussion: """
            Gives the same verdicts as tracing did, on any machine.

            EXAMPLES:
              nattrace replay night.ntr --failed
              nattrace replay night.ntr --json --dport 443

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
