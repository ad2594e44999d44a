// What the kernel side gets of a filter.

import CNattrace
import Handshake
import Testing

@testable import KernelTracer

@Suite("Filters for the kernel side")
struct FilterConversionTests {
    @Test("No filter: no kind is used")
    func empty() throws {
        let raw = try nattrace_filter(ConnectionFilter())
        #expect(withUnsafeBytes(of: raw) { $0.allSatisfy { $0 == 0 } })
    }

    @Test("Ports are closed ranges in host order")
    func ports() throws {
        var filter = ConnectionFilter()
        filter.destinationPorts = [80...80, 8000...8080]
        filter.sourcePorts = [1...1023]
        filter.ports = [443...443]
        let raw = try nattrace_filter(filter)
        #expect((raw.source_ports, raw.destination_ports, raw.ports) == (1, 2, 1))
        #expect((raw.destination_port.0.first, raw.destination_port.0.last) == (80, 80))
        #expect((raw.destination_port.1.first, raw.destination_port.1.last) == (8000, 8080))
        #expect((raw.source_port.0.first, raw.source_port.0.last) == (1, 1023))
        #expect(raw.port.0.first == 443)
    }

    @Test("Addresses are in network order, IPv4 in the first four bytes, with a mask as long as the prefix")
    func prefixes() throws {
        var filter = ConnectionFilter()
        filter.destinations = [try #require(AddressPrefix("192.0.2.129/25"))]
        filter.sources = [try #require(AddressPrefix("2001:db8::1/36"))]
        filter.addresses = [try #require(AddressPrefix("0.0.0.0/0"))]
        let raw = try nattrace_filter(filter)

        let v4 = raw.destination_prefix.0
        #expect(v4.family == 4)
        #expect(withUnsafeBytes(of: v4.address) { Array($0) } == [192, 0, 2, 128] + [UInt8](repeating: 0, count: 12))
        #expect(withUnsafeBytes(of: v4.mask) { Array($0) } == [255, 255, 255, 128] + [UInt8](repeating: 0, count: 12))

        let v6 = raw.source_prefix.0
        #expect(v6.family == 6)
        #expect(withUnsafeBytes(of: v6.address) { Array($0.prefix(5)) } == [0x20, 0x01, 0x0d, 0xb8, 0])
        #expect(
            withUnsafeBytes(of: v6.mask) { Array($0) } == [255, 255, 255, 255, 0xf0] + [UInt8](repeating: 0, count: 11))

        #expect(raw.prefix.0.family == 4)
        #expect(withUnsafeBytes(of: raw.prefix.0.mask) { $0.allSatisfy { $0 == 0 } })
    }

    @Test("Interface names are padded with NUL")
    func interfaces() throws {
        var filter = ConnectionFilter()
        filter.interfaces = ["eth0", "fifteen-bytes-x"]
        let raw = try nattrace_filter(filter)
        #expect(raw.interfaces == 2)
        #expect(withUnsafeBytes(of: raw.interface) { Array($0[0..<5]) } == Array("eth0\0".utf8))
        #expect(withUnsafeBytes(of: raw.interface) { Array($0[16..<32]) } == Array("fifteen-bytes-x\0".utf8))
    }

    @Test("Namespace and family", arguments: [(IPAddress.Family.v4, 4), (.v6, 6)] as [(IPAddress.Family, UInt8)])
    func familyAndNamespace(family: IPAddress.Family, number: UInt8) throws {
        var filter = ConnectionFilter()
        filter.family = family
        #expect(try nattrace_filter(filter).family == number)
        filter.family = nil
        filter.netns = 4_026_531_840
        #expect(try nattrace_filter(filter).netns == 4_026_531_840)
    }

    @Test("One kind fits as often as there is room, and not once more")
    func room() throws {
        var filter = ConnectionFilter()
        filter.ports = Array(repeating: 1...2, count: Int(NATTRACE_FILTER_ENTRIES))
        #expect(try Int32(nattrace_filter(filter).ports) == NATTRACE_FILTER_ENTRIES)
        filter.ports.append(3...4)
        #expect(throws: TracerError.filter("--port is given 17 times; at most 16 are possible, use ranges or prefixes"))
        {
            try nattrace_filter(filter)
        }
    }

    @Test("A name that no interface can have is refused", arguments: ["", "sixteen-bytes-xx", "eth\u{0}0"])
    func badName(name: String) {
        var filter = ConnectionFilter()
        filter.interfaces = [name]
        #expect(throws: TracerError.self) { try nattrace_filter(filter) }
    }
}
