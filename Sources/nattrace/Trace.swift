import ArgumentParser
import Handshake
import HostFacts
import KernelTracer

/// `nattrace [trace]`: explains connections while they are made.
struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says where a TCP connection died inside this machine, why, and what to change.",
        usage: """
            nattrace [trace] [filters] [output]
            nattrace replay FILE [filters] [output]
            nattrace report FILE -o OUT.html [filters]
            nattrace doctor [--json]
            """,
        discussion: """
            EXAMPLES:
              sudo nattrace --dport 80           dialled, or translated, to port 80
              sudo nattrace --failed             all that do not get established
              sudo nattrace --port 80 --follow   each step as it happens
              sudo nattrace --netns blue --json  JSON lines, from one namespace only
              sudo nattrace --record night.ntr   record as well; stop with Ctrl-C
              nattrace replay night.ntr --verdict no_listener
              nattrace report night.ntr -o night.html
              sudo nattrace doctor               what can be traced here

            Start it, then let the client dial. It follows each TCP handshake through interfaces, conntrack, \
            NAT, firewall rules, routing, network namespaces and sockets. Changes nothing on the machine. \
            Runs until Ctrl-C; tracing needs root.

            FILTERS of different kinds all have to hold; one kind given several times is an "or". Each \
            matches the connection as the client dialled it or as it was translated. \
            'man nattrace' has the verdicts.
            """)

    @OptionGroup(title: "Filters")
    var filters: FilterOptions

    @OptionGroup(title: "Output")
    var recording: RecordOption

    @OptionGroup(title: "Output")
    var output: OutputOptions

    @Option(help: ArgumentHelp("How to hook functions: auto takes the best.", valueName: "kind"))
    var backend = BackendChoice.auto

    @Option(
        help: ArgumentHelp(
            "Serve metrics for Prometheus; a port: on 127.0.0.1.",
            valueName: "addr:port"),
        transform: Values.listenAddress)
    var metrics: Endpoint?

    @OptionGroup(title: "Bounds")
    var limits: LimitOptions

    @Option(
        help: ArgumentHelp("Take options from a file; those given here win.", valueName: "file"), completion: .file())
    var config: String?

    func validate() throws {
        if let path = recording.path, path == output.pcapPath {
            throw ValidationError("--pcap and --record name the same file '\(path)': name two")
        }
    }

    func run() throws {
        try TraceSession(request()).run()
    }

    func request() throws(Failure) -> TraceRequest {
        var output = output.request
        output.recordPath = recording.path
        return TraceRequest(
            filter: try filters.filter { (name) throws(Failure) in try Self.netns(name) },
            filterText: filters.text, selection: filters.selection, output: output, backend: backend,
            metrics: metrics,
            limits: limits.limits, outputBacklog: limits.outputBacklog)
    }

    private static func netns(_ argument: String) throws(Failure) -> UInt32 {
        do throws(NetnsError) {
            return try netnsInode(of: argument)
        } catch {
            let status: ExitStatus =
                switch error.code {
                case .malformed: .usage
                case .notFound: .noInput
                case .notPermitted: .notPermitted
                case .system: .system
                }
            let hint = error.code == .notFound ? hint(for: argument, among: networkNamespaceNames()) : nil
            throw Failure(status, "--netns: " + (hint ?? error.description))
        }
    }

    /// How many names an error tells.
    private static let namesShown = 8

    /// What a name of `ip netns` may have been meant to be; nil: it is a number or a process, or there are no names.
    static func hint(for argument: String, among names: [String]) -> String? {
        guard !argument.hasPrefix("pid:"), UInt64(argument) == nil, !names.isEmpty else { return nil }
        let missing = "there is no network namespace '\(argument)'"
        if let near = Values.suggestion(for: argument, among: names) { return "\(missing): did you mean '\(near)'?" }
        let more = names.count - namesShown
        return missing + "; there are " + names.prefix(namesShown).joined(separator: ", ")
            + (more > 0 ? " and \(more) more" : "")
    }
}
