// A connection filter as the kernel side wants it: `struct nattrace_filter`.

import CNattrace
import Handshake

extension nattrace_filter {
    /// Fails for a kind of filter that is given more often than there is room for, and for an
    /// interface name that no interface can have.
    init(_ filter: ConnectionFilter) throws(TracerError) {
        self.init()
        netns = filter.netns ?? 0
        family = filter.family?.rawValue ?? 0

        func copy<Given, Slots, Slot>(
            _ option: String, _ given: [Given], into slots: inout Slots, of: Slot.Type, count: inout UInt8,
            _ convert: (Given) throws(TracerError) -> Slot
        ) throws(TracerError) {
            let room = MemoryLayout<Slots>.size / MemoryLayout<Slot>.stride
            guard given.count <= room else {
                throw .filter(
                    "\(option) is given \(given.count) times; at most \(room) are possible, use ranges or prefixes")
            }
            count = UInt8(given.count)
            for (index, value) in given.enumerated() {
                let slot = try convert(value)
                withUnsafeMutableBytes(of: &slots) {
                    $0.storeBytes(of: slot, toByteOffset: index * MemoryLayout<Slot>.stride, as: Slot.self)
                }
            }
        }
        func range(_ ports: ClosedRange<UInt16>) -> nattrace_port_range {
            nattrace_port_range(first: ports.lowerBound, last: ports.upperBound)
        }
        func prefix(_ prefix: AddressPrefix) -> nattrace_prefix {
            nattrace_prefix(
                address: prefix.address.bytes, mask: prefix.mask.bytes, family: prefix.address.family.rawValue,
                padding: (0, 0, 0))
        }
        func name(_ interface: String) throws(TracerError) -> InterfaceName {
            guard let name = InterfaceName(interface) else {
                throw .filter(
                    "--interface \(interface): an interface's name has 1 to \(NATTRACE_NAME_LENGTH - 1) bytes")
            }
            return name
        }
        try copy(
            "--sport", filter.sourcePorts, into: &source_port, of: nattrace_port_range.self, count: &source_ports, range
        )
        try copy(
            "--dport", filter.destinationPorts, into: &destination_port, of: nattrace_port_range.self,
            count: &destination_ports, range)
        try copy("--port", filter.ports, into: &port, of: nattrace_port_range.self, count: &ports, range)
        try copy(
            "--saddr", filter.sources, into: &source_prefix, of: nattrace_prefix.self, count: &source_prefixes, prefix)
        try copy(
            "--daddr", filter.destinations, into: &destination_prefix, of: nattrace_prefix.self,
            count: &destination_prefixes, prefix)
        try copy("--addr", filter.addresses, into: &self.prefix, of: nattrace_prefix.self, count: &prefixes, prefix)
        try copy(
            "--interface", filter.interfaces, into: &interface, of: InterfaceName.self, count: &interfaces, name)
    }
}

/// `char[NATTRACE_NAME_LENGTH]`, padded with NUL.
private struct InterfaceName {
    let words: (UInt64, UInt64)

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard (1..<Int(NATTRACE_NAME_LENGTH)).contains(bytes.count), !bytes.contains(0) else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }
}
