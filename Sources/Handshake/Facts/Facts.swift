// What verdicts ask of the machine, beside the observations: one narrow protocol. Live it
// asks the kernel, in replay it reads the recording. A question is asked after the fact
// and never for a connection that succeeds.

/// A process as an operator knows it. Strings come from outside: sinks must neutralise them.
public struct ProcessIdentity: Hashable, Sendable, Codable {
    public var pid: Int32
    /// Name of the thread group (`/proc/PID/comm`).
    public var name: String?
    /// The systemd unit whose control group it is in, as `nginx.service`; nil: none, or in a container.
    public var unit: String?
    /// The first 12 digits of the container's id, as `docker ps` shows it; nil: in none.
    public var container: String?

    public init(pid: Int32, name: String?, unit: String? = nil, container: String? = nil) {
        self.pid = pid
        self.name = name
        self.unit = unit
        self.container = container
    }
}

/// A listening TCP socket (inet_diag).
public struct Listener: Hashable, Sendable, Codable {
    /// The unspecified address stands for every address.
    public var address: IPAddress
    public var port: UInt16
    /// An IPv6 socket that takes no IPv4 (IPV6_V6ONLY); nil where the kernel does not say.
    public var isIPv6Only: Bool?
    /// SO_BINDTODEVICE: index and name; nil without.
    public var interface: Interface?
    /// Connections waiting for accept(2), and the limit that listen(2) set.
    public var acceptQueue: UInt32
    public var acceptQueueLimit: UInt32
    /// Inode number of the socket in sockfs.
    public var inode: UInt64
    /// One of the processes that hold it: the one with the lowest pid. nil: not found.
    public var process: ProcessIdentity?
    /// The namespace that it is in, where another one than the verdict's was asked for.
    public var elsewhere: Namespace?

    /// A network namespace: its inode number, and what people call it.
    public struct Namespace: Hashable, Sendable, Codable {
        public var inode: UInt32
        public var name: String?

        public init(inode: UInt32, name: String?) {
            self.inode = inode
            self.name = name
        }
    }

    public struct Interface: Hashable, Sendable, Codable {
        public var index: UInt32
        public var name: String?

        public init(index: UInt32, name: String?) {
            self.index = index
            self.name = name
        }
    }

    public init(
        address: IPAddress, port: UInt16, isIPv6Only: Bool?, interface: Interface?, acceptQueue: UInt32,
        acceptQueueLimit: UInt32, inode: UInt64, process: ProcessIdentity?, elsewhere: Namespace? = nil
    ) {
        self.address = address
        self.port = port
        self.isIPv6Only = isIPv6Only
        self.interface = interface
        self.acceptQueue = acceptQueue
        self.acceptQueueLimit = acceptQueueLimit
        self.inode = inode
        self.process = process
        self.elsewhere = elsewhere
    }

    public var endpoint: Endpoint { Endpoint(address: address, port: port) }
}

/// A question to the machine. Codable: a recording carries questions with their answers.
public enum Question: Hashable, Sendable, Codable {
    /// Every socket that listens on this TCP port, on any address, in this namespace (inode).
    case listeners(port: UInt16, netns: UInt32)
    /// Every socket that listens on this TCP port in any other namespace of this machine than this
    /// one; `Listener.elsewhere` says in which.
    case listenersElsewhere(port: UInt16, netns: UInt32)
    /// The kernel function that holds this code address.
    case symbol(address: UInt64)
    /// The running kernel's name of a drop reason (`enum skb_drop_reason` and subsystems).
    case dropReason(UInt32)
    /// The running kernel's name of a reset reason (`enum sk_rst_reason`).
    case resetReason(UInt32)
    /// What people call a namespace: its name under /run/netns or a container id.
    case netnsName(inode: UInt32)
    /// The value of a sysctl in this namespace; its name as a path, `net/ipv4/ip_forward`.
    case sysctl(name: String, netns: UInt32)
    /// What the routing tables of this namespace say.
    case route(RouteQuery)
    /// The neighbour (ARP or ND) entry of an address at a device.
    case neighbour(address: IPAddress, interface: String, netns: UInt32)
    /// The addresses that this namespace has.
    case addresses(netns: UInt32)
    /// The name of the VRF that has a device of this namespace.
    case vrf(interface: String, netns: UInt32)
    /// The entry that has this tuple in one of its directions.
    case conntrackEntry(ConntrackQuery)
    /// A rule as it stands in the ruleset of this namespace, by what the kernel knows of it.
    case rule(family: RuleFamily, table: String, handle: UInt64, netns: UInt32)
    /// Which rules could have done something to a packet.
    case rules(RuleSearch)
}

public enum Answer: Hashable, Sendable, Codable {
    case listeners([Listener])
    case name(String)
    case route(Route)
    case neighbour(Neighbour)
    case addresses([IPAddress])
    case conntrackEntry(TrackedFlow)
    case rule(Rule)
    case rules(RuleCandidates)
    /// The machine has no such thing: no symbol there, a namespace without a name.
    case nothing
    /// It could not be asked; the text says why. Verdicts that need it stay more general.
    case unavailable(String)
}

public protocol Facts: AnyObject {
    func answer(_ question: Question) -> Answer
}

/// Names that move from kernel to kernel and stand only in its BTF: whoever reads BTF gives
/// them to whoever answers `Question.dropReason` and `Question.resetReason`.
public protocol KernelNames {
    /// `enum skb_drop_reason`, or the enum of the subsystem in the high 16 bits, which may
    /// live in a module's BTF. As the kernel spells it; nil: this kernel
    /// has no such reason.
    func dropReason(_ raw: UInt32) -> String?
    /// `enum sk_rst_reason`; nil: this kernel has no such reason.
    func resetReason(_ raw: UInt32) -> String?
    /// Whether nf_tables is in the kernel proper, and no module.
    var hasNFTablesBuiltIn: Bool { get }
}

/// Names of functions, asked of the running kernel one by one.
public protocol KernelSymbols: AnyObject {
    /// The answer to `Question.symbol`; `.unavailable`: this kernel cannot be asked so.
    func symbol(at address: UInt64) -> Answer
}

extension Facts {
    /// nil: could not be asked.
    func listeners(port: UInt16, netns: UInt32) -> [Listener]? {
        guard case .listeners(let all) = answer(.listeners(port: port, netns: netns)) else { return nil }
        return all
    }

    /// In other namespaces than this one; nil: could not be asked.
    func listenersElsewhere(port: UInt16, netns: UInt32) -> [Listener]? {
        guard case .listeners(let all) = answer(.listenersElsewhere(port: port, netns: netns)) else { return nil }
        return all
    }

    func name(_ question: Question) -> String? {
        guard case .name(let name) = answer(question) else { return nil }
        return name
    }

    /// A sysctl's value; nil: there is none of this name, or it could not be asked.
    func sysctl(_ name: String, netns: UInt32) -> String? { self.name(.sysctl(name: name, netns: netns)) }

    func route(_ query: RouteQuery) -> Route? {
        guard case .route(let route) = answer(.route(query)) else { return nil }
        return route
    }

    func neighbour(_ address: IPAddress, interface: String, netns: UInt32) -> Neighbour? {
        guard case .neighbour(let neighbour) = answer(.neighbour(address: address, interface: interface, netns: netns))
        else { return nil }
        return neighbour
    }

    func conntrackEntry(_ query: ConntrackQuery) -> TrackedFlow? {
        guard case .conntrackEntry(let entry) = answer(.conntrackEntry(query)) else { return nil }
        return entry
    }

    func rules(_ search: RuleSearch) -> RuleCandidates? {
        guard case .rules(let found) = answer(.rules(search)) else { return nil }
        return found
    }
}
