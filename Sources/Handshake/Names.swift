// The kernel's numbers turned into names, asked once each and remembered.

/// Remembers what `Facts` answered, so that a name is asked for once and costs no more than
/// a look-up after that.
final class Names {
    private let facts: any Facts
    private var symbols: [UInt64: String?] = [:]
    private var dropReasons: [UInt32: String?] = [:]
    private var resetReasons: [UInt32: String?] = [:]
    private var namespaces: [UInt32: String?] = [:]

    /// Namespaces come and go with containers; so many are remembered before asking anew.
    private static let maximumNamespaces = 4096

    init(facts: any Facts) { self.facts = facts }

    func symbol(at address: UInt64) -> String? {
        address == 0 ? nil : remembered(address, in: &symbols) { .symbol(address: $0) }
    }

    func dropReason(_ raw: UInt32) -> String? { remembered(raw, in: &dropReasons) { .dropReason($0) } }
    func resetReason(_ raw: UInt32) -> String? { remembered(raw, in: &resetReasons) { .resetReason($0) } }

    func netns(_ inode: UInt32) -> String? {
        guard inode != 0 else { return nil }
        if namespaces.count >= Self.maximumNamespaces { namespaces.removeAll() }
        return remembered(inode, in: &namespaces) { .netnsName(inode: $0) }
    }

    /// Modules bring and take functions: addresses may mean others from now on.
    func forgetSymbols() { symbols.removeAll() }

    private func remembered<Key: Hashable>(
        _ key: Key, in memory: inout [Key: String?], question: (Key) -> Question
    ) -> String? {
        if let known = memory[key] { return known }
        let name = facts.name(question(key))
        memory[key] = .some(name)
        return name
    }
}
