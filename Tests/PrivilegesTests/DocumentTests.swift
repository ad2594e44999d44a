// docs/capabilities.md says what the program says.

import Foundation
import Testing

@testable import Privileges

@Suite("Document of capabilities")
struct DocumentTests {
    @Test("Has a line for each, with its words")
    func table() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/capabilities.md")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
        let told = lines.filter { $0.hasPrefix("| CAP_") }
        let wanted = Capability.allCases.map { "| \($0.name) | \($0.purpose) | \($0.loss) |" }
        #expect(told.sorted() == wanted.sorted(), "\n\(wanted.joined(separator: "\n"))")
    }
}
