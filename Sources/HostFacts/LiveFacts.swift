import CNattrace
import Handshake

/// Answers questions by asking this machine.
///
/// All calls come from one thread, which for the time of an answer may be in another network
/// namespace. Everything is asked when it is needed first; what is kept is proved again
/// before it is used, and bounded.
public final class LiveFacts: Facts {
    private let names: (any KernelNames)?
    private let namespaces = NetworkNamespaces()
    private let namespaceNames: NamespaceNames
    private let owners = SocketOwners()
    private let symbolsPath: String
    /// nil: not loaded yet.
    private var symbols: Result<SymbolTable, FactFailure>?

    /// `names`: what the running kernel calls drop and reset reasons; nil: it has no BTF.
    public convenience init(names: (any KernelNames)?) {
        self.init(names: names, symbolsPath: "/proc/kallsyms")
    }

    init(names: (any KernelNames)?, symbolsPath: String) {
        self.names = names
        self.symbolsPath = symbolsPath
        namespaceNames = NamespaceNames(own: namespaces.ownIdentity)
    }

    public func answer(_ question: Question) -> Answer {
        switch question {
        case .listeners(let port, let netns): listeners(port: port, netns: netns)
        case .symbol(let address): symbol(address)
        case .dropReason(let raw): reason { $0.dropReason(raw) }
        case .resetReason(let raw): reason { $0.resetReason(raw) }
        case .netnsName(let inode): namespaceNames.name(of: inode)
        case .listenersElsewhere, .sysctl, .route, .neighbour, .conntrackEntry, .rule, .rules:
            .unavailable("not asked yet")
        }
    }

    /// Forgets the kernel's symbols: a module was loaded or removed. They are read again with
    /// the next question about one.
    public func invalidateSymbols() {
        symbols = nil
    }

    private func listeners(port: UInt16, netns: UInt32) -> Answer {
        do throws(FactFailure) {
            // A socket stays in the namespace it was made in: nothing else is done there.
            let socket = try namespaces.inside(netns) { () throws(FactFailure) in
                try NetlinkSocket(family: NETLINK_SOCK_DIAG, name: "NETLINK_SOCK_DIAG")
            }
            var listeners = try ListenerDump.listeners(port: port, over: socket)
            guard !listeners.isEmpty else { return .listeners([]) }
            let processes = owners.owners(of: Set(listeners.map(\.inode)))
            for index in listeners.indices { listeners[index].process = processes[listeners[index].inode] }
            return .listeners(listeners)
        } catch {
            return .unavailable(error.description)
        }
    }

    private func symbol(_ address: UInt64) -> Answer {
        let result: Result<SymbolTable, FactFailure>
        if let symbols {
            result = symbols
        } else {
            do throws(FactFailure) {
                result = .success(try SymbolTable.load(symbolsPath))
            } catch {
                result = .failure(error)
            }
            symbols = result
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
