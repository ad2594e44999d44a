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
            filter: try filters.filter { (name) throws(Failure) in try netns(name) },
            filterText: filters.text, selection: filters.selection, output: output.request)
    }

    /// How many names an error tells.
    private static let namesShown = 8

    /// Numbers go before names here: to look for a name, the whole recording is read once more.
    private func netns(_ argument: String) throws(Failure) -> UInt32 {
        if let inode = UInt32(argument), inode > 0, String(inode) == argument { return inode }
        let asked = "'--netns \(argument)'"
        guard !argument.hasPrefix("pid:") else {
            throw .usage("\(asked): a recording knows network namespaces by name or inode number, not by process")
        }
        guard RecordedNamespaces.isReadable(twice: file) else {
            throw .usage("\(asked): a name cannot be looked for in \(file), which can be read only once")
        }
        let inodes: [String: Set<UInt32>]
        do throws(RecordingError) { inodes = try RecordedNamespaces(path: file).inodes } catch { throw Failure(error) }
        let found = (inodes[argument] ?? []).sorted()
        if let inode = found.first, found.count == 1 { return inode }
        if found.isEmpty {
            let known = inodes.keys.sorted()
            let names = known.prefix(Self.namesShown).joined(separator: ", ")
            throw Failure(
                .noInput,
                "\(asked): \(file) names no such network namespace; it names "
                    + (known.isEmpty ? "none: give an inode number" : names)
                    + (known.count > Self.namesShown ? " and \(known.count - Self.namesShown) more" : ""))
        }
        throw .usage(
            "\(asked): \(file) has several of that name, one after the other: give one's inode number, "
                + found.map(String.init).joined(separator: " or "))
    }
}
