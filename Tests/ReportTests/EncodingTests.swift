import CZlib
import Foundation
import Testing

@testable import Report

@Suite("Encodings of the page")
struct EncodingTests {
    /// FIPS 180-4's examples, and lengths around the padding's borders, as sha256sum(1) has them.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (String(repeating: "a", count: 55), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"),
        (String(repeating: "a", count: 64), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"),
        (String(repeating: "a", count: 1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
    ])
    func hashes(text: String, expected: String) {
        let digest = SHA256.digest(Array(text.utf8)).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        #expect(digest.joined() == expected)
    }

    @Test(arguments: ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{0}\u{ff}<>"])
    func encodesBase64(text: String) {
        let bytes = Array(text.utf8)
        #expect(String(decoding: base64(bytes), as: UTF8.self) == Data(bytes).base64EncodedString())
    }

    @Test func packsWhatCanBeUnpacked() throws {
        let samples: [[UInt8]] = [
            [], [7], Array("a text, a text, a text".utf8), (0..<100_000).map { UInt8($0 * $0 & 255) },
        ]
        for bytes in samples {
            #expect(unpacked(deflated(bytes)) == bytes)
        }
    }

    @Test func leavesNoMarkup() {
        #expect(escaped("<b a=\"1\" c='2'>&amp;</b>") == "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;")
        #expect(escaped("größer → 1") == "größer → 1")
    }

    @Test func writesFragments() {
        #expect(fragment("[fd00::1]:80 <&\"#%+ü") == "%5Bfd00%3A%3A1%5D%3A80%20%3C%26%22%23%25%2B%C3%BC")
    }

    @Test func writesJSON() throws {
        let hostile = "\"\\\u{0}\u{1f}\n\t</script>\u{2028}\u{7f}ü😀"
        var json = JSONList()
        json.open("{")
        json.key("a")
        json.open()
        json.add(hostile)
        json.add(-7)
        json.open()
        json.close()
        json.add(written: Array("[1]".utf8))
        json.add(UInt64.max)
        json.close()
        json.key("b")
        json.add("")
        json.close("}")
        let read = try #require(try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: Any])
        let list = try #require(read["a"] as? [Any])
        #expect(list[0] as? String == hostile)
        #expect(list[1] as? Int == -7)
        #expect((list[2] as? [Any])?.isEmpty == true)
        #expect(list[3] as? [Int] == [1])
        #expect(list[4] as? UInt64 == UInt64.max)
        #expect(read["b"] as? String == "")
    }
}

/// What zlib makes of it again.
func unpacked(_ bytes: [UInt8]) -> [UInt8]? {
    for room in [1 << 20, 1 << 24] {
        var result = [UInt8](repeating: 0, count: room)
        var length = UInt(room)
        let status = uncompress(&result, &length, bytes, UInt(bytes.count))
        if status == Z_OK { return Array(result[..<Int(length)]) }
        if status != Z_BUF_ERROR { return nil }
    }
    return nil
}
