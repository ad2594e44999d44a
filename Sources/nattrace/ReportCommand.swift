import ArgumentParser
import Glibc
import Output

/// `nattrace report`: one page that explains a recording.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Makes one HTML page of a recording, for a ticket; needs no privilege.",
        usage: "nattrace report FILE -o OUT.html [filters]",
        discussion: """
            The page is one file that loads nothing: a summary, a list of connections that can be searched, and for \
            each its verdict, a ladder diagram and its steps.

            EXAMPLES:
              nattrace report night.ntr -o night.html
              nattrace report night.ntr -o refused.html --verdict no_listener

            FILTERS of different kinds all have to hold; one kind given several times is an "or". --netns \
            takes a name that the recording has, or an inode number.
            """)

    @Argument(help: "A file that 'nattrace --record' wrote.", completion: .file())
    var file: String

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp(
            "The page to write; '-', or nothing: standard output, if that is no terminal.", valueName: "out.html"),
        completion: .file(extensions: ["html"]))
    var output: String?

    @OptionGroup(title: "Filters")
    var filters: FilterOptions

    func validate() throws {
        if output == "" { throw ValidationError("-o needs the name of a file to write, or '-'") }
    }

    func run() throws {
        let request = try self.request()
        if request.output == nil, isatty(STDOUT_FILENO) == 1 {
            throw Failure.usage("report writes a page, which no terminal shows: name a file with -o OUT.html")
        }
        try ReportSession(request: request).run()
    }

    func request() throws(Failure) -> ReportRequest {
        ReportRequest(
            path: file,
            filter: try filters.filter { (name) throws(Failure) in try RecordedNamespaces.netns(name, in: file) },
            filterText: filters.text, selection: filters.selection, output: output == "-" ? nil : output)
    }
}
