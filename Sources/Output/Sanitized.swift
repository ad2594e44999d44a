// The one gate for text that others chose, before it reaches a terminal.

/// Text from outside (names of processes, interfaces, namespaces, files, texts of rules) with
/// everything made visible that a terminal would obey or that would reorder or hide what
/// stands next to it: C0 and C1 controls, DEL, bidirectional controls, line and paragraph
/// separators, and characters without width.
///
/// `\x1b` stands for the escape character, `\u{202e}` for a right-to-left override. With
/// `asciiOnly`, for terminals that do not speak UTF-8, each other character becomes `?`.
func sanitized(_ text: String, asciiOnly: Bool = false) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    if isPlain { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case ..<0x20, 0x7f..<0xa0:
            let digits = String(scalar.value, radix: 16)
            result += digits.count < 2 ? "\\x0\(digits)" : "\\x\(digits)"
        case 0xad, 0x34f, 0x61c, 0x115f...0x1160, 0x17b4...0x17b5, 0x180b...0x180f, 0x200b...0x200f, 0x2028...0x202e,
            0x2060...0x206f, 0x3164, 0xfe00...0xfe0f, 0xfeff, 0xffa0, 0xfff9...0xfffb, 0xe0000...0xe0fff:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        case 0xa0:
            result += " "
        case 0x80...:
            if asciiOnly {
                result += "?"
            } else {
                result.unicodeScalars.append(scalar)
            }
        default:
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
