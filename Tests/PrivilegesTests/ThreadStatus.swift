// What /proc says of the calling thread.

import Foundation

struct ThreadStatus: Sendable {
    /// `CapEff` and the like.
    let sets: [String: UInt64]
    let noNewPrivileges: Bool

    init() {
        self.init(text: (try? String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)) ?? "")
    }

    init(text: String) {
        let fields = text.split(separator: "\n").compactMap { line -> (String, String)? in
            let parts = line.split(separator: ":", maxSplits: 1)
            return parts.count == 2
                ? (String(parts[0]), parts[1].trimmingCharacters(in: .whitespaces)) : nil
        }
        sets = Dictionary(
            fields.compactMap { name, value in
                name.hasPrefix("Cap") ? UInt64(value, radix: 16).map { (name, $0) } : nil
            }, uniquingKeysWith: { first, _ in first })
        noNewPrivileges = fields.contains { $0 == ("NoNewPrivs", "1") }
    }
}
