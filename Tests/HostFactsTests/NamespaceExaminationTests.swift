// What is found in use in a namespace, in real ones.

import Glibc
import Testing

@testable import HostFacts

@Suite(.enabled(if: PrivateNamespace.isPossible)) struct NamespaceExaminationTests {
    /// Whether nf_tables is there is known only with the kernel's BTF, or where it is no module.
    private static let hasNft =
        LiveFacts.examineTools().contains { $0.name == "nft" && $0.path != nil } && access("/proc/modules", F_OK) != 0

    @Test(.enabled(if: hasNft)) func tellsRulesAndTranslation() throws {
        let facts = LiveFacts()
        let namespace = try PrivateNamespace()
        let empty = facts.examine(namespace: namespace.inode)
        #expect(empty.inode == namespace.inode && empty.rules == 0 && empty.usesNftables == false)
        #expect(empty.usesIptablesLegacy == false && empty.translates == false && empty.rulesetProblem == nil)
        try namespace.run(
            """
            nft add table ip t
            nft add chain ip t in '{ type filter hook input priority 0; }'
            nft add rule ip t in tcp dport 9 drop
            """)
        let filtered = facts.examine(namespace: namespace.inode)
        #expect(filtered.rules == 1 && filtered.usesNftables == true && filtered.translates == false)
        try namespace.run(
            """
            nft add chain ip t pre '{ type nat hook prerouting priority -100; }'
            nft add rule ip t pre tcp dport 80 dnat to 192.0.2.1:8080
            """)
        let translated = facts.examine(namespace: namespace.inode)
        #expect(translated.rules == 2 && translated.translates == true)
        #expect(translated.conntrackCount == 0 && translated.conntrackMaximum.map { $0 > 0 } == true)
        #expect(translated.conntrackProblem == nil && translated.entersOthers)
    }

    @Test func findsTools() {
        let tools = LiveFacts.examineTools()
        #expect(tools.count == 5 && tools.allSatisfy { !$0.purpose.isEmpty })
        for tool in tools {
            guard let path = tool.path else { continue }
            #expect(path.hasSuffix("/" + tool.name) && access(path, X_OK) == 0)
        }
    }

    @Test func readsSettings() {
        #expect(LiveFacts.kernelSetting("pid_max").map { $0 > 0 } == true)
        #expect(LiveFacts.kernelSetting("ostype") == nil && LiveFacts.kernelSetting("no_such_setting") == nil)
    }
}
