import ArgumentParser
import HostFacts
import KernelTracer

/// `nattrace [trace]`: explains connections while they are made.
struct Trace: ParsableCommand {
    static let name = "trace"

    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Explains where a TCP connection died inside this machine, why, and what to change.",
        usage: """
            nattrace [trace] [filters] [output]
            nattrace replay FILE [filters] [output]
            nattrace doctor [--json]
            """,
        discussion: """
            Follows each TCP handshake through interfaces, conntrack, NAT, firewall rules, routing, network \
            namespaces and sockets, and says where it ended, because of which rule, socket or setting. \
            Changes nothing on the machine. Runs until Ctrl-C; tracing needs root.

            EXAMPLES:
              sudo nattrace --dport 80           dialled, or translated, to port 80
              sudo nattrace --failed             all that do not get established
              sudo nattrace --daddr 192.0.2.0/24 --port 8000-8080
              sudo nattrace --netns blue --json  JSON lines from one namespace
              sudo nattrace --record night.ntr --duration 8h
              nattrace replay night.ntr --verdict no_listener

            FILTERS of different kinds all have to hold; one kind given several times is an "or". Each \
            matches the connection as the client dialled it or as it was translated.
            """)

    @OptionGroup(title: "Filters")
    var filters: FilterOptions

    @OptionGroup(title: "Output")
    var output: OutputOptions

    @Option(help: ArgumentHelp("How to observe: auto takes the best that works.", valueName: "kind"))
    var backend = BackendChoice.auto

    @OptionGroup(title: "Bounds")
    var limits: LimitOptions

    @Option(
        help: ArgumentHelp(
            "Take options from a file, as a service does: 'name = value' a line. Those given here win.",
            valueName: "file"), completion: .file())
    var config: String?

    func run() throws {
        try TraceSession(request()).run()
    }

    func request() throws(Failure) -> TraceRequest {
        TraceRequest(
            filter: try filters.filter { (name) throws(Failure) in try Self.netns(name) },
            filterText: filters.text, selection: filters.selection, output: output.request, backend: backend,
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
            throw Failure(status, "--netns: \(error.description)")
        }
    }
}
