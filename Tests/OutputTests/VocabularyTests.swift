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

    /// FIPS 180-4's example, and RFC 4648's alphabet with its padding.
    @Test func parts() {
        let digest = CommunityID.sha1(Array("abc".utf8)).map { String($0, radix: 16) }.joined(separator: " ")
        #expect(digest == "a9 99 3e 36 47 6 81 6a ba 3e 25 71 78 50 c2 6c 9c d0 d8 9d")
        #expect(CommunityID.base64(Array("foob".utf8)) == "Zm9vYg==")
        #expect(CommunityID.base64(Array("fooba".utf8)) == "Zm9vYmE=")
        #expect(CommunityID.base64(Array("foobar".utf8)) == "Zm9vYmFy")
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
