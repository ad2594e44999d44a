// Addresses as text, as bytes and in order.

import Testing

@testable import Handshake

@Suite("Addresses")
struct AddressesTests {
    @Test(
        "IPv6 text is written as RFC 5952 wants it",
        arguments: [
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("2001:DB8::A", "2001:db8::a"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("0:0:0:0:0:0:0:0", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("1:0:0:0:0:0:0:8", "1::8"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("::ffff:c000:201", "::ffff:192.0.2.1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("::192.0.2.1", "::c000:201"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ])
    func version6Text(_ given: String, _ canonical: String) throws {
        let address = try #require(IPAddress(given))
        #expect(address.family == .v6)
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
    }

    @Test("IPv4 text is dotted decimal", arguments: ["0.0.0.0", "10.0.0.2", "192.0.2.255", "255.255.255.255"])
    func version4Text(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.family == .v4)
        #expect(address.description == text)
    }

    @Test(
        "What is no address is refused",
        arguments: [
            "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "256.0.0.1", "1.2.3.04", "00.0.0.0", "+1.2.3.4",
            "-0.0.0.0", "1.2.3.-0", "0x1.2.3.4", "1.2.3.4 ", "١.2.3.4",
            ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
            "1::2::3", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "12345::", "g::", "::+1", "::-0", "-0::1", "fe80::1%eth0",
            "[::1]", "::1/64", "::1.2.3", "::1.2.3.256", "::1.2.3.4:5", "1.2.3.4::", "1.2.3.4::1", "1:1.2.3.4::",
            "1:2:3:4:5:6:7:1.2.3.4",
        ])
    func nonsense(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("Bytes are in network order, and an IPv4 address stands in the first four")
    func bytes() {
        let four = address("192.0.2.33").bytes
        #expect(withUnsafeBytes(of: four) { Array($0) } == [192, 0, 2, 33] + [UInt8](repeating: 0, count: 12))
        let six = address("2001:db8::8:9").bytes
        #expect(
            withUnsafeBytes(of: six) { Array($0) }
                == [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 9])
    }

    @Test(
        "Bytes lead back to the address",
        arguments: ["0.0.0.0", "127.0.0.1", "255.254.253.252", "::", "::1", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.1"])
    func bytesAndBack(_ text: String) {
        let original = address(text)
        #expect(IPAddress(family: original.family, bytes: original.bytes) == original)
    }

    @Test("Bytes after an IPv4 address do not belong to it")
    func bytesBeyondVersion4() {
        var bytes = address("192.0.2.33").bytes
        bytes.4 = 99
        bytes.15 = 1
        #expect(IPAddress(family: .v4, bytes: bytes) == address("192.0.2.33"))
    }

    @Test("Addresses order by number, not by text, and IPv4 comes before IPv6")
    func order() {
        let sorted = [
            "0.0.0.0", "9.255.255.255", "10.0.0.2", "10.0.0.10", "255.0.0.0", "::", "::2", "::10", "1::", "1::1",
        ]
        #expect(sorted.map(address).shuffled().sorted().map(\.description) == sorted)
    }

    @Test("Loopback is 127/8, ::1 and what is mapped from the former")
    func loopback() {
        for text in ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"] {
            #expect(address(text).isLoopback, "\(text)")
        }
        for text in ["126.255.255.255", "128.0.0.0", "::", "::2", "1::1", "::7f00:1", "::ffff:128.0.0.1"] {
            #expect(!address(text).isLoopback, "\(text)")
        }
    }

    @Test("Only an IPv4-mapped address is unmapped")
    func unmapped() {
        #expect(address("::ffff:192.0.2.1").unmapped == address("192.0.2.1"))
        for text in ["::fffe:c000:201", "::1:ffff:c000:201", "::c000:201", "192.0.2.1"] {
            #expect(address(text).unmapped == address(text), "\(text)")
        }
    }

    @Test("The unspecified addresses are those with no bit set")
    func unspecified() {
        #expect(address("0.0.0.0").isUnspecified)
        #expect(address("::").isUnspecified)
        #expect(!address("0.0.0.1").isUnspecified)
        #expect(!address("1::").isUnspecified)
    }

    @Test("An IPv4 and an IPv6 address with the same number are different")
    func familiesDiffer() {
        #expect(address("0.0.0.1") != address("::1"))
    }

    @Test("An endpoint with an IPv6 address has brackets")
    func endpointText() {
        #expect(endpoint("192.0.2.1:80").description == "192.0.2.1:80")
        #expect(endpoint("[2001:db8::1]:443").description == "[2001:db8::1]:443")
    }

    @Test("A reversed tuple runs the other way, and twice reversed is itself")
    func reversed() {
        let there = flow(client, published)
        #expect(there.reversed == flow(published, client))
        #expect(there.reversed != there)
        #expect(there.reversed.reversed == there)
        #expect(there.description == "198.51.100.7:41234 → 203.0.113.10:80")
    }
}

@Suite("Address prefixes")
struct AddressPrefixTests {
    @Test("A prefix holds its first and last address, and not those beside them")
    func borders() throws {
        let four = try #require(AddressPrefix("192.0.2.64/26"))
        #expect(four.contains(address("192.0.2.64")) && four.contains(address("192.0.2.127")))
        #expect(!four.contains(address("192.0.2.63")) && !four.contains(address("192.0.2.128")))
        let six = try #require(AddressPrefix("2001:db8:0:8::/61"))
        #expect(six.contains(address("2001:db8:0:8::")) && six.contains(address("2001:db8:0:f:ffff:ffff:ffff:ffff")))
        #expect(!six.contains(address("2001:db8:0:7:ffff::")) && !six.contains(address("2001:db8:0:10::")))
        let long = try #require(AddressPrefix("2001:db8::4/126"))
        #expect(long.contains(address("2001:db8::7")) && !long.contains(address("2001:db8::8")))
    }

    @Test("Host bits are cleared", arguments: [("192.0.2.129/25", "192.0.2.128"), ("2001:db8::1/64", "2001:db8::")])
    func hostBits(_ text: String, _ cleared: String) {
        #expect(AddressPrefix(text)?.address == address(cleared))
    }

    @Test("An address alone is one host")
    func oneHost() throws {
        let four = try #require(AddressPrefix("192.0.2.1"))
        #expect(four.length == 32 && four.contains(address("192.0.2.1")) && !four.contains(address("192.0.2.0")))
        let six = try #require(AddressPrefix("2001:db8::1"))
        #expect(six.length == 128 && six.contains(address("2001:db8::1")) && !six.contains(address("2001:db8::")))
    }

    @Test("Length zero is every address of the family, and none of the other")
    func everything() throws {
        let four = try #require(AddressPrefix("0.0.0.0/0"))
        #expect(four.contains(address("255.255.255.255")) && !four.contains(address("::")))
        let six = try #require(AddressPrefix("::/0"))
        #expect(six.contains(address("ffff::")) && !six.contains(address("1.2.3.4")))
    }

    @Test("The mask has as many ones as the prefix is long")
    func masks() {
        #expect(AddressPrefix("192.0.2.0/26")?.mask == address("255.255.255.192"))
        #expect(AddressPrefix("0.0.0.0/0")?.mask == address("0.0.0.0"))
        #expect(AddressPrefix("::/36")?.mask == address("ffff:ffff:f000::"))
        #expect(AddressPrefix("::1/128")?.mask == address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
    }

    @Test(
        "What is no prefix is refused",
        arguments: [
            "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/8/8", "::/129",
            "192.0.2.0/99999999999999999999", "192.0.2.0/255.255.255.0", "192.0.2/24",
        ])
    func nonsense(_ text: String) {
        #expect(AddressPrefix(text) == nil)
    }
}
