// Short texts as the kernel keeps them: arrays of characters of a fixed length, which are copied as they are and become
// strings only where somebody reads them.

/// Text in a fixed number of bytes, padded with NUL.
///
/// Bytes are as somebody else chose them: sinks must neutralise control characters.
public protocol FixedText: Hashable, Sendable, BitwiseCopyable {}

extension FixedText {
    /// Up to the first NUL, or to the end. Invalid UTF-8 is replaced.
    public var string: String {
        withUnsafeBytes(of: self) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    public var isEmpty: Bool { withUnsafeBytes(of: self) { $0[0] == 0 } }

    public static func == (a: Self, b: Self) -> Bool {
        withUnsafeBytes(of: a) { a in withUnsafeBytes(of: b) { b in a.elementsEqual(b) } }
    }

    public func hash(into hasher: inout Hasher) { withUnsafeBytes(of: self) { hasher.combine(bytes: $0) } }
}

/// A name of at most 15 bytes (IFNAMSIZ, TASK_COMM_LEN): as a string it is not allocated either.
public struct FixedName: FixedText {
    private var words: (UInt64, UInt64) = (0, 0)

    typealias Bytes = (
        CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar
    )

    /// Empty.
    init() {}

    init(_ bytes: Bytes) { words = unsafeBitCast(bytes, to: (UInt64, UInt64).self) }

    /// What is longer is cut behind a character; nil: empty.
    init(_ text: String?) {
        guard let text else { return }
        withUnsafeMutableBytes(of: &words) { bytes in
            var length = 0
            for character in text.unicodeScalars {
                let encoded = UTF8.encode(character)!
                guard length + encoded.count < bytes.count else { return }
                for byte in encoded {
                    bytes[length] = byte
                    length += 1
                }
            }
        }
    }

    public var isEmpty: Bool { words.0 & 0xff == 0 }
    /// nil: empty.
    public var text: String? { isEmpty ? nil : string }

    public static func == (a: FixedName, b: FixedName) -> Bool { a.words == b.words }
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

/// The name of a table or chain (NATTRACE_RULE_NAME_LENGTH).
struct FixedText32: FixedText {
    private typealias Words = (UInt64, UInt64, UInt64, UInt64)
    private let words: Words

    init<Characters: BitwiseCopyable>(_ characters: Characters) {
        words = withUnsafeBytes(of: characters) { $0.loadUnaligned(as: Words.self) }
    }
}

/// Conntrack's words for INVALID (NATTRACE_TEXT_LENGTH).
public struct FixedText72: FixedText {
    private typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    private let words: Words

    init<Characters: BitwiseCopyable>(_ characters: Characters) {
        words = withUnsafeBytes(of: characters) { $0.loadUnaligned(as: Words.self) }
    }
}
