import Handshake
import Testing

@testable import nattrace

@Suite struct ValuesTests {
    @Test func readsPorts() throws {
        #expect(try Values.ports("80") == 80...80)
        #expect(try Values.ports("8000-8080") == 8000...8080)
        #expect(try Values.ports("1-65535") == 1...65535)
        #expect(try Values.ports("443-443").optionText == "443")
        #expect(try Values.ports("8000-8080").optionText == "8000-8080")
    }

    @Test(arguments: [
        "", "0", "65536", "-1", "+80", "80-", "-80", "80-90-100", "0-80", "80 ", "http", "８０", "8080-8000",
    ])
    func refusesOtherPorts(text: String) {
        #expect(throws: ValueError.self) { try Values.ports(text) }
    }

    @Test func saysHowARangeRuns() {
        #expect(throws: ValueError("a range begins with its lower port: write 8000-8080")) {
            try Values.ports("8080-8000")
        }
    }

    @Test func readsAddressesAndBlocks() throws {
        #expect(try Values.prefix("192.0.2.7").optionText == "192.0.2.7")
        #expect(try Values.prefix("192.0.2.7/24").optionText == "192.0.2.0/24")
        #expect(try Values.prefix("2001:db8::1/128").optionText == "2001:db8::1")
        #expect(try Values.prefix("::/0").optionText == "::/0")
        for text in ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "2001:db8::/129", "example.org", "fe80::1%eth0"] {
            #expect(throws: ValueError.self, "\(text)") { try Values.prefix(text) }
        }
    }

    @Test func readsInterfaces() throws {
        for text in ["lo", "eth0.100", "veth@x", "abcdefghijklmno"] { #expect(try Values.interface(text) == text) }
        for text in ["", "abcdefghijklmnop", "a/b", "a b", "a:0", "a\tb", ".", "..", "äöüäöüäö"] {
            #expect(throws: ValueError.self, "\(text)") { try Values.interface(text) }
        }
    }

    @Test func readsVerdicts() throws {
        for code in VerdictCode.allCases { #expect(try Values.verdict(code.rawValue) == code) }
        #expect(throws: ValueError("did you mean 'no_listener'?")) { try Values.verdict("no_listner") }
        let error = #expect(throws: ValueError.self) { try Values.verdict("qqqqqqqqqq") }
        #expect(error?.description.contains("stale_conntrack") == true)
    }

    @Test func readsDurations() throws {
        #expect(try Values.duration("500ms") == 500_000_000)
        #expect(try Values.duration("30s") == 30_000_000_000)
        #expect(try Values.duration("30") == 30_000_000_000)
        #expect(try Values.duration("2m") == 120_000_000_000)
        #expect(try Values.duration("1h") == 3_600_000_000_000)
        #expect(try Values.duration("9223372036s") == 9_223_372_036_000_000_000)
    }

    @Test(arguments: [
        "", "s", "0", "0s", "-5s", "+5s", "5x", "5 s", "1.5s", "5S", "1h30m", "9223372037s", "99999999999999999999",
        "18446744073709551615h", "٥s",
    ])
    func refusesOtherDurations(text: String) {
        #expect(throws: ValueError.self) { try Values.duration(text) }
    }

    @Test func readsCounts() throws {
        #expect(try Values.count("1") == 1)
        #expect(try Values.count("100") == 100)
        for text in ["", "0", "-1", "+1", "1.0", "99999999999999999999"] {
            #expect(throws: ValueError.self, "\(text)") { try Values.count(text) }
        }
    }

    @Test func readsCountsFromZero() throws {
        #expect(try Values.countFromZero("0") == 0)
        #expect(try Values.countFromZero("40") == 40)
        for text in ["", "-1", "+1", "1.0", "99999999999999999999"] {
            #expect(throws: ValueError.self, "\(text)") { try Values.countFromZero(text) }
        }
    }

    @Test func readsBacklogs() throws {
        #expect(try Values.bufferSize("64k") == 65_536)
        #expect(try Values.bufferSize("65536") == 65_536)
        #expect(try Values.bufferSize("8M") == 8_388_608)
        #expect(try Values.bufferSize("1G") == 1_073_741_824)
        for text in ["", "k", "0", "63k", "65535", "2G", "8m", "8MB", "-8M", "1.5M", "18446744073709551615G"] {
            #expect(throws: ValueError.self, "\(text)") { try Values.bufferSize(text) }
        }
    }

    @Test func measuresDistance() {
        func distance(_ a: String, _ b: String) -> Int { Values.distance(Array(a.utf8), Array(b.utf8)) }
        #expect(distance("", "") == 0)
        #expect(distance("", "abc") == 3)
        #expect(distance("abc", "") == 3)
        #expect(distance("kitten", "sitting") == 3)
        // Two neighbours swapped are one mistake.
        #expect(distance("rpelay", "replay") == 1)
        #expect(distance("replay", "replay") == 0)
    }

    @Test func suggestsOnlyWhatIsNear() {
        let commands = ["trace", "replay"]
        #expect(Values.suggestion(for: "rplay", among: commands) == "replay")
        #expect(Values.suggestion(for: "Trace", among: commands) == "trace")
        #expect(Values.suggestion(for: "report", among: commands) == nil)
        #expect(Values.suggestion(for: "x", among: commands) == nil)
        #expect(Values.suggestion(for: String(repeating: "trace", count: 1000), among: commands) == nil)
        #expect(Values.suggestion(for: "trace", among: []) == nil)
    }
}
