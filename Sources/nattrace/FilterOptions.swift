import ArgumentParser
import CNattrace
import Handshake
import HostFacts

/// Which connections to look at.
struct FilterOptions: ParsableArguments {
    @Option(
        name: .customLong("dport"), help: ArgumentHelp("Port that the client dials.", valueName: "port"),
        transform: Values.ports)
    var destinationPorts: [ClosedRange<UInt16>] = []

    @Option(
        name: .customLong("sport"), help: ArgumentHelp("Port that the client dials from.", valueName: "port"),
        transform: Values.ports)
    var sourcePorts: [ClosedRange<UInt16>] = []

    @Option(
        name: .customLong("port"), help: ArgumentHelp("Port of either end.", valueName: "port"),
        transform: Values.ports)
    var ports: [ClosedRange<UInt16>] = []

    @Option(
        name: .customLong("daddr"), help: ArgumentHelp("Address or block that the client dials.", valueName: "addr"),
        transform: Values.prefix)
    var destinations: [AddressPrefix] = []

    @Option(
        name: .customLong("saddr"), help: ArgumentHelp("Address or block of the client.", valueName: "addr"),
        transform: Values.prefix)
    var sources: [AddressPrefix] = []

    @Option(
        name: .customLong("addr"), help: ArgumentHelp("Address or block of either end.", valueName: "addr"),
        transform: Values.prefix)
    var addresses: [AddressPrefix] = []

    @Option(
        name: [.customShort("i"), .customLong("interface")],
        help: ArgumentHelp("Interface that a packet of the connection passes.", valueName: "name"),
        completion: .custom { _, _, _ in Completion.harmless(interfaceNames()) }, transform: Values.interface)
    var interfaces: [String] = []

    @Option(
        help: ArgumentHelp("Only in this namespace: name, inode or pid:N.", valueName: "netns"),
        completion: .custom { _, _, _ in Completion.harmless(networkNamespaceNames()) })
    var netns: String?

    @Flag(name: .customShort("4"), help: "IPv4 only.")
    var onlyIPv4 = false

    @Flag(name: .customShort("6"), help: "IPv6 only.")
    var onlyIPv6 = false

    @Flag(name: .customLong("failed"), help: "Only connections that did not get established.")
    var failedOnly = false

    @Option(
        name: .customLong("verdict"),
        help: ArgumentHelp("Only with this verdict, such as no_listener.", valueName: "code"),
        completion: .list(VerdictCode.allCases.map(\.rawValue)), transform: Values.verdict)
    var verdicts: [VerdictCode] = []

    func validate() throws {
        // The kernel side has a place for so many of each kind.
        let limit = Int(NATTRACE_FILTER_ENTRIES)
        let counts = [
            ("--dport", destinationPorts.count), ("--sport", sourcePorts.count), ("--port", ports.count),
            ("--daddr", destinations.count), ("--saddr", sources.count), ("--addr", addresses.count),
            ("--interface", interfaces.count),
        ]
        if let (name, count) = counts.first(where: { $0.1 > limit }) {
            throw ValidationError(
                "\(name) is given \(count) times, at most \(limit) are possible: use ranges or blocks")
        }
        if onlyIPv4 && onlyIPv6 {
            throw ValidationError("-4 and -6 exclude each other: leave both out to see IPv4 and IPv6")
        }
    }

    /// The filter, with `netns` turned into an inode number by the caller's means.
    func filter<E>(resolveNetns: (String) throws(E) -> UInt32) throws(E) -> ConnectionFilter {
        var filter = ConnectionFilter()
        filter.destinationPorts = destinationPorts
        filter.sourcePorts = sourcePorts
        filter.ports = ports
        filter.destinations = destinations
        filter.sources = sources
        filter.addresses = addresses
        filter.interfaces = interfaces
        filter.family = onlyIPv4 ? .v4 : onlyIPv6 ? .v6 : nil
        if let netns { filter.netns = try resolveNetns(netns) }
        return filter
    }

    var selection: VerdictSelection { VerdictSelection(failedOnly: failedOnly, codes: Set(verdicts)) }

    /// As on the command line, in one order and one spelling; empty: no filter.
    var text: String {
        var words: [String] = []
        func add(_ name: String, _ values: [String]) {
            for value in values { words += [name, value] }
        }
        add("--dport", destinationPorts.map(\.optionText))
        add("--sport", sourcePorts.map(\.optionText))
        add("--port", ports.map(\.optionText))
        add("--daddr", destinations.map(\.optionText))
        add("--saddr", sources.map(\.optionText))
        add("--addr", addresses.map(\.optionText))
        add("--interface", interfaces)
        add("--netns", netns.map { [$0] } ?? [])
        if onlyIPv4 { words.append("-4") }
        if onlyIPv6 { words.append("-6") }
        if failedOnly { words.append("--failed") }
        add("--verdict", verdicts.map(\.rawValue))
        return words.joined(separator: " ")
    }
}
