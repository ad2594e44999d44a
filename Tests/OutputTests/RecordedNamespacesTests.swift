// Names of namespaces in a recording.

import Glibc
import Testing

@testable import Handshake
@testable import Output

private final class NamedFacts: Facts {
    var names: [UInt32: String]
    init(_ names: [UInt32: String]) { self.names = names }

    func answer(_ question: Question) -> Answer {
        guard case .netnsName(let inode) = question else { return .name("not a namespace's") }
        return names[inode].map(Answer.name) ?? .nothing
    }
}

@Suite struct RecordedNamespacesTests {
    private func record(to path: String, _ ask: (RecordingFacts, NamedFacts) -> Void) throws {
        let writer = try RecordingWriter(
            path: path, header: RecordingHeader(start: ArticleCase.start, unansweredAfter: 5_000_000_000))
        let named = NamedFacts([7: "blue", 8: "red"])
        ask(RecordingFacts(named, writer: writer), named)
        #expect(writer.finish(ArticleCase.totals) == .open)
    }

    @Test func findsNamesAndAllThatHadThem() throws {
        let file = TemporaryFile()
        try record(to: file.path) { facts, named in
            for inode: UInt32 in [7, 8, 9] { _ = facts.answer(.netnsName(inode: inode)) }
            _ = facts.answer(.symbol(address: 7))
            // `red` was deleted and made anew.
            named.names = [10: "red"]
            _ = facts.answer(.netnsName(inode: 10))
        }
        #expect(try RecordedNamespaces(path: file.path).inodes == ["blue": [7], "red": [8, 10]])
    }

    @Test func takesWhatStandsBeforeTheDamage() throws {
        let file = TemporaryFile()
        try record(to: file.path) { facts, _ in _ = facts.answer(.netnsName(inode: 7)) }
        file.bytes = Array(file.bytes.dropLast())
        #expect(try RecordedNamespaces(path: file.path).inodes == ["blue": [7]])
        file.bytes = [1, 2, 3]
        #expect(throws: RecordingError.self) { try RecordedNamespaces(path: file.path) }
    }

    @Test func tellsWhatCanBeReadTwice() throws {
        let file = TemporaryFile()
        #expect(RecordedNamespaces.isReadable(twice: file.path))
        // To open it gives the better error.
        #expect(RecordedNamespaces.isReadable(twice: file.path + "-missing"))
        #expect(!RecordedNamespaces.isReadable(twice: "/dev/null"))
    }
}
