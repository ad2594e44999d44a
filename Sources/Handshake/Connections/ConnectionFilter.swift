// Which connections are asked for. The kernel side filters by the same rules before an
// event crosses the ring; here they are applied again, exactly, to whole connections.

/// An address with a prefix length: a CIDR block, or one host.
public struct AddressPrefix: Hashable, Sendable, Codable {
    /// Host bits are zero.
    public let address: IPAddress
    public let length: Int

    /// nil: a length outside 0...32 (IPv4) or 0...128 (IPv6). Host bits of `address` are cleared.
    public init?(address: IPAddress, length: Int) {
        let bits = address.family == .v4 ? 32 : 128
        guard (0...bits).contains(length) else { return nil }
        self.length = length
        func mask(_ word: UInt64, keep: Int) -> UInt64 {
            keep <= 0 ? 0 : keep >= 64 ? word : word & ~(UInt64.max >> UInt64(keep))
        }
        switch address.family {
        case .v4:
            self.address = IPAddress(v4: UInt32(truncatingIfNeeded: mask(address.low << 32, keep: length) >> 32))
        case .v6:
            self.address = IPAddress(
                v6High: mask(address.high, keep: length), low: mask(address.low, keep: length - 64))
        }
    }

    /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        if parts.count == 1 {
            self.init(address: address, length: address.family == .v4 ? 32 : 128)
        } else {
            guard parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                let length = Int(parts[1])
            else { return nil }
            self.init(address: address, length: length)
        }
    }

    public func contains(_ other: IPAddress) -> Bool {
        other.family == address.family && AddressPrefix(address: other, length: length)?.address == address
    }

    /// The netmask as an address.
    public var mask: IPAddress {
        let ones: IPAddress =
            address.family == .v4 ? IPAddress(v4: .max) : IPAddress(v6High: .max, low: .max)
        return AddressPrefix(address: ones, length: length)!.address
    }
}

/// Filters of different kinds all have to hold; one kind given several times is an "or".
/// Each matches the client's view or the translated view.
public struct ConnectionFilter: Hashable, Sendable, Codable {
    public var sourcePorts: [ClosedRange<UInt16>] = []
    public var destinationPorts: [ClosedRange<UInt16>] = []
    public var ports: [ClosedRange<UInt16>] = []
    public var sources: [AddressPrefix] = []
    public var destinations: [AddressPrefix] = []
    public var addresses: [AddressPrefix] = []
    public var interfaces: [String] = []
    /// Inode number of the only namespace to observe; nil: all.
    public var netns: UInt32?
    public var family: IPAddress.Family?

    public init() {}

    /// Whether a connection with these views, as dialled and as translated, passes all but interface
    /// and namespace. Each kind may be held by either view.
    func matches(_ views: [Tuple]) -> Bool {
        func holds<T>(_ wanted: [T], _ test: (Tuple, T) -> Bool) -> Bool {
            wanted.isEmpty || views.contains { view in wanted.contains { test(view, $0) } }
        }
        return (family == nil || views.contains { $0.family == family })
            && holds(sourcePorts) { $1.contains($0.source.port) }
            && holds(destinationPorts) { $1.contains($0.destination.port) }
            && holds(ports) { $1.contains($0.source.port) || $1.contains($0.destination.port) }
            && holds(sources) { $1.contains($0.source.address) }
            && holds(destinations) { $1.contains($0.destination.address) }
            && holds(addresses) { $1.contains($0.source.address) || $1.contains($0.destination.address) }
    }

    /// Whether a connection is asked for.
    public func matches(_ connection: Connection) -> Bool {
        guard matches(connection.trail.tuples) else { return false }
        guard !interfaces.isEmpty else { return true }
        return connection.steps.contains { $0.interface.map(interfaces.contains) ?? false }
    }
}
