// Dates, Community IDs, and text that others chose.

import Testing

@testable import Handshake
@testable import Output

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (951_868_799_999_999_999, "2000-02-29T23:59:59.999999999Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
            (1_735_689_599_123_456_789, "2024-12-31T23:59:59.123456789Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
            (-2_208_988_800_000_000_000, "1900-01-01T00:00:00.000000000Z"),
        ] as [(Int64, String)])
    func text(_ offset: Int64, _ expected: String) {
        let capture = Capture()
        var clock = Clock(realtimeOffset: offset)
        clock.put(0, to: capture.output)
        #expect(capture.text() == expected)
    }

    @Test func secondsAreNotMixedUp() {
        let capture = Capture()
        var clock = Clock(realtimeOffset: 1_700_000_000_000_000_000)
        for time: UInt64 in [999_999_999, 1_000_000_000, 999_999_999] { clock.put(time, to: capture.output) }
        #expect(
            capture.text()
                == "2023-11-14T22:13:20.999999999Z2023-11-14T22:13:21.000000000Z2023-11-14T22:13:20.999999999Z")
    }
}

@Suite struct CommunityIDTests {
    /// From the specification's own examples.
    @Test(arguments: [
        (tuple("128.232.110.120", 34855, "66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        (
            tuple("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943, "2607:f8b0:400c:c03::1a", 25),
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="
        ),
    ])
    func vectors(_ tuple: Tuple, _ expected: String) {
        #expect(CommunityID.v1(tuple) == expected)
        #expect(CommunityID.v1(tuple.reversed) == expected)
    }

    @Test func equalAddressesAreOrderedByPort() {
        let flow = tuple("127.0.0.1", 80, "127.0.0.1", 40000)
        #expect(CommunityID.v1(flow) == CommunityID.v1(flow.reversed))
    }

    /// The digest of `abcd`, and RFC 4648's alphabet with its padding.
    @Test func parts() {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: SHA1Block.words) { words in
            var message = SHA1Block(words)
            for unit: UInt16 in [0x6162, 0x6364] { message.append(unit) }
            let digest = message.digest()
            #expect(digest.0.byteSwapped == 0x81fe_8bfe && digest.4.byteSwapped == 0x8291_7acf)
            #expect(CommunityID.text(digest) == "1:gf6L/odXbD7LIkJvjleEc4KRes8=")
        }
        let digests: [(words: [UInt32], text: String)] = [
            ([0x0010_8310, 0x5187_2092, 0x8b30_d38f, 0x4114_9351, 0x5597_6196], "ABCDEFGHIJKLMNOPQRSTUVWXYZY="),
            ([0x9b71_d79f, 0x8218_a392, 0x59a7_a29a, 0xabb2_dbaf, 0xc31c_b3d3], "m3HXn4IYo5JZp6Kaq7Lbr8Mcs9M="),
            ([0x5db7_e39e, 0xbbf3_dfbf, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], "Xbfjnrvz37////////////////8="),
        ]
        for (words, text) in digests {
            let words = words.map(\.bigEndian)
            #expect(CommunityID.text((words[0], words[1], words[2], words[3], words[4])) == "1:\(text)")
        }
    }
}

@Suite struct ActionTests {
    @Test func textIsTheRawValue() {
        for action in Action.allCases { #expect("\(action.text)" == action.rawValue) }
    }

    @Test func flagsAreWrittenInOneOrder() {
        for bits in UInt8.min...UInt8.max {
            let capture = Capture()
            TCPFlags(rawValue: bits).put(to: capture.output)
            let names: [(bit: UInt8, name: String)] = [
                (2, "SYN"), (1, "FIN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG"), (64, "ECE"), (128, "CWR"),
            ]
            #expect(capture.text() == names.filter { bits & $0.bit != 0 }.map(\.name).joined(separator: ","))
        }
    }
}

@Suite struct SanitizedTests {
    /// No test arguments, since a test runner prints those as they are.
    @Test func hostile() {
        let cases = [
            ("nginx: worker", "nginx: worker"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\x1b[2J\\x1b]0;owned\\x07"),
            ("a\nb\r\tc\u{0}", "a\\x0ab\\x0d\\x09c\\x00"),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f"),
            ("\u{202e}txt.exe\u{2066}", "\\u{202e}txt.exe\\u{2066}"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            ("line\u{2028}break", "line\\u{2028}break"),
            ("bücher→", "bücher→"),
        ]
        for (text, expected) in cases { #expect(sanitized(text) == expected) }
    }

    @Test func asciiOnly() {
        #expect(sanitized("bücher\u{1b}", asciiOnly: true) == "b?cher\\x1b")
    }
}
