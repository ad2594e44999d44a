import CNattrace
import Handshake
import Privileges
import Rulesets
import SystemSupport

/// Answers questions by asking this machine.
///
/// All calls come from one thread, which for the time of an answer may be in another network
/// namespace. Everything is asked when it is needed first; what is kept is proved again
/// before it is used, and bounded.
public final class LiveFacts: Facts {
    /// Namespaces looked into for a listener elsewhere. About 0.1 ms each.
    static let maximumElsewhere = 512
    /// Nanoseconds for such a search, which holds up the tracing meanwhile.
    static let timeElsewhere: UInt64 = 500_000_000

    /// What some questions need beyond what everybody may ask; without, they are answered `unavailable`. To enter
    /// a network namespace (setns), CAP_SYS_ADMIN; to see which one a process of another user is in, CAP_SYS_PTRACE,
    /// and which sockets it holds, also CAP_DAC_READ_SEARCH; for addresses in /proc/kallsyms CAP_SYSLOG.
    public static let capabilities = toolCapabilities.union([.sysAdmin, .sysPtrace, .dacReadSearch, .syslog])
    /// What of it programs need that list rulesets: CAP_NET_ADMIN, which the conntrack table wants as well; for
    /// those of iptables-legacy a raw socket, and a file of root's.
    public static let toolCapabilities: CapabilitySet = [.netAdmin, .netRaw, .dacReadSearch]

    /// Of those, the ones that are of use on this kernel: before 5.14 it tells functions by /proc/kallsyms only.
    public private(set) lazy var usefulCapabilities: CapabilitySet = {
        if case .unavailable? = kernelSymbols?.symbol(at: 0) { return Self.capabilities }
        return kernelSymbols == nil ? Self.capabilities : Self.capabilities.subtracting([.syslog])
    }()

    private let names: (any KernelNames)?
    private let kernelSymbols: (any KernelSymbols)?
    let namespaces = NetworkNamespaces()
    private let namespaceNames: NamespaceNames
    private let owners = SocketOwners()
    /// The network namespace that this program runs in: its inode number; nil: /proc is missing.
    public var homeNetns: UInt32? { namespaces.ownIdentity.flatMap { UInt32(exactly: $0.inode) } }
    private let symbolsPath: String
    let rulesetReader: RulesetReader
    /// Parsed, with the texts that they are from.
    private var rulesets: [UInt32: (texts: RulesetTexts, ruleset: Ruleset)] = [:]
    /// For kernels that cannot be asked for symbols; nil: not loaded yet.
    private var symbolTable: Result<SymbolTable, FactFailure>?

    /// `names`: what the running kernel calls drop and reset reasons; nil: it has no BTF.
    /// `symbols`: asked first.
    public convenience init(names: (any KernelNames)?, symbols: (any KernelSymbols)?) {
        self.init(names: names, symbols: symbols, symbolsPath: "/proc/kallsyms")
    }

    init(names: (any KernelNames)? = nil, symbols: (any KernelSymbols)? = nil, symbolsPath: String = "/proc/kallsyms") {
        self.names = names
        kernelSymbols = symbols
        self.symbolsPath = symbolsPath
        namespaceNames = NamespaceNames(own: namespaces.ownIdentity)
        rulesetReader = RulesetReader(
            namespaces: namespaces, module: NFTablesModule(isBuiltIn: names?.hasNFTablesBuiltIn))
    }

    public func answer(_ question: Question) -> Answer {
        switch question {
        case .listeners(let port, let netns): listeners(port: port, netns: netns)
        case .symbol(let address): symbol(address)
        case .dropReason(let raw): reason { $0.dropReason(raw) }
        case .resetReason(let raw): reason { $0.resetReason(raw) }
        case .netnsName(let inode): namespaceNames.name(of: inode)
        case .listenersElsewhere(let port, let netns): listenersElsewhere(port: port, netns: netns)
        case .sysctl(let name, let netns): sysctl(name, netns: netns)
        case .route(let query): route(query)
        case .neighbour(let address, let interface, let netns):
            neighbour(address, interface: interface, netns: netns)
        case .addresses(let netns): addresses(netns: netns)
        case .vrf(let interface, let netns): vrf(of: interface, netns: netns)
        case .conntrackEntry(let query): conntrackEntry(query)
        case .rule(let family, let table, let handle, let netns):
            ruleset(of: netns).rule(family: family, table: table, handle: handle).map(Answer.rule) ?? .nothing
        case .rules(let search):
            .rules(
                ruleset(of: search.netns).candidates(search) {
                    if case .addresses(let own) = self.addresses(netns: search.netns) { own } else { [] }
                })
        }
    }

    /// Forgets the kernel's symbols: a module was loaded or removed. They are read again with
    /// the next question about one.
    public func invalidateSymbols() {
        symbolTable = nil
    }

    /// The rulesets of a namespace, read anew where they have changed.
    private func ruleset(of netns: UInt32) -> Ruleset {
        let texts = rulesetReader.rulesets(in: netns)
        if let known = rulesets[netns], known.texts == texts { return known.ruleset }
        if rulesets.count >= RulesetReader.maximumKept { rulesets.removeAll() }
        let ruleset = Ruleset(texts)
        rulesets[netns] = (texts, ruleset)
        return ruleset
    }

    /// What `body` answers; where it fails, why.
    private func answering(_ body: () throws(FactFailure) -> Answer) -> Answer {
        do throws(FactFailure) {
            return try body()
        } catch {
            return .unavailable(error.description)
        }
    }

    /// A netlink socket in a namespace. It stays in the one it was made in, so nothing else is
    /// done there.
    private func socket(_ family: Int32, _ name: String, in netns: UInt32) throws(FactFailure) -> NetlinkSocket {
        try namespaces.inside(netns) { () throws(FactFailure) in try NetlinkSocket(family: family, name: name) }
    }

    private func listeners(port: UInt16, netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try socket(NETLINK_SOCK_DIAG, "NETLINK_SOCK_DIAG", in: netns)
            return .listeners(withOwners(try ListenerList.listeners(port: port, over: socket)))
        }
    }

    private func withOwners(_ listeners: [Listener]) -> [Listener] {
        guard !listeners.isEmpty else { return [] }
        let processes = owners.owners(of: Set(listeners.map(\.inode)))
        return listeners.map { listener in
            var listener = listener
            listener.process = processes[listener.inode]
            return listener
        }
    }

    private func listenersElsewhere(port: UInt16, netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            let deadline = monotonicTime() &+ Self.timeElsewhere
            let others = try namespaces.others(than: netns, limit: Self.maximumElsewhere, until: deadline)
            var found: [Listener] = []
            var isComplete = others.isComplete
            var seen = 0
            var failure: FactFailure?
            for inode in others.inodes {
                guard monotonicTime() < deadline else {
                    isComplete = false
                    break
                }
                do throws(FactFailure) {
                    let socket = try socket(NETLINK_SOCK_DIAG, "NETLINK_SOCK_DIAG", in: inode)
                    let listeners = try ListenerList.listeners(port: port, over: socket)
                    seen += 1
                    guard !listeners.isEmpty else { continue }
                    var name: String?
                    if case .name(let text) = namespaceNames.name(of: inode) { name = text }
                    for var listener in listeners {
                        listener.elsewhere = Listener.Namespace(inode: inode, name: name)
                        found.append(listener)
                    }
                } catch {
                    // Gone meanwhile, or not for this user: the others count none the less.
                    failure = error
                }
            }
            if seen == 0, let failure { throw failure }
            // Half a search that found nothing says nothing; what it found stands.
            if found.isEmpty, !isComplete {
                throw FactFailure("this machine has more network namespaces than are looked into for a listener")
            }
            return .listeners(withOwners(found))
        }
    }

    private func sysctl(_ name: String, netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            try namespaces.inside(netns) { () throws(FactFailure) in try Sysctl.value(name) }
                .map(Answer.name) ?? .nothing
        }
    }

    private func route(_ query: RouteQuery) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try socket(NETLINK_ROUTE, "NETLINK_ROUTE", in: query.netns)
            socket.setStrict()
            let lookup = RouteLookup(socket) { [namespaces] name throws(FactFailure) in
                try namespaces.inside(query.netns) { () throws(FactFailure) in try Sysctl.value(name) }
            }
            return .route(try lookup.route(query))
        }
    }

    private func neighbour(_ address: IPAddress, interface: String, netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try socket(NETLINK_ROUTE, "NETLINK_ROUTE", in: netns)
            return try NeighbourLookup.neighbour(address, interface: interface, over: socket)
                .map(Answer.neighbour) ?? .nothing
        }
    }

    private func addresses(netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try socket(NETLINK_ROUTE, "NETLINK_ROUTE", in: netns)
            var sequence: UInt32 = 0
            return .addresses(try socket.dump(AddressList(), after: &sequence).addresses)
        }
    }

    private func vrf(of interface: String, netns: UInt32) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try socket(NETLINK_ROUTE, "NETLINK_ROUTE", in: netns)
            return try VRFLookup.vrf(of: interface, over: socket).map(Answer.name) ?? .nothing
        }
    }

    private func conntrackEntry(_ query: ConntrackQuery) -> Answer {
        answering { () throws(FactFailure) in
            let socket = try namespaces.inside(query.netns) { () throws(FactFailure) in
                guard try Sysctl.value(ConntrackLookup.sysctl) != nil else {
                    throw FactFailure("this kernel tracks no connections: nf_conntrack is not loaded")
                }
                return try NetlinkSocket(family: NETLINK_NETFILTER, name: "NETLINK_NETFILTER")
            }
            return try ConntrackLookup.entry(query.tuple, zone: query.zone, over: socket)
                .map(Answer.conntrackEntry) ?? .nothing
        }
    }

    private func symbol(_ address: UInt64) -> Answer {
        if let kernelSymbols {
            let answer = kernelSymbols.symbol(at: address)
            if case .unavailable = answer {} else { return answer }
        }
        let result: Result<SymbolTable, FactFailure>
        if let symbolTable {
            result = symbolTable
        } else {
            do throws(FactFailure) {
                result = .success(try SymbolTable.load(symbolsPath))
            } catch {
                result = .failure(error)
            }
            symbolTable = result
        }
        switch result {
        case .success(let table): return table.name(of: address).map(Answer.name) ?? .nothing
        case .failure(let failure): return .unavailable(failure.description)
        }
    }

    private func reason(_ name: (any KernelNames) -> String?) -> Answer {
        guard let names else { return .unavailable("the kernel's names of reasons are not known without its BTF") }
        return name(names).map(Answer.name) ?? .nothing
    }
}
