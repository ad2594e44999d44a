// What is in use in nattrace's own network namespace, and whether it can be asked for: for `nattrace doctor`.

import Glibc
import Handshake
import Rulesets

/// nil: not known.
public struct NamespaceExamination: Sendable {
    public var inode: UInt32?
    public var conntrackCount: UInt64?
    public var conntrackMaximum: UInt64?
    /// Why an entry cannot be asked for; nil: it can, or it was not tried.
    public var conntrackProblem: String?
    public var usesNftables: Bool?
    public var usesIptablesLegacy: Bool?
    public var rules: Int
    public var translates: Bool?
    public var rulesetProblem: String?
    public var entersOthers: Bool
}

/// A program that rulesets are read with.
public struct ToolExamination: Sendable {
    public var name: String
    public var path: String?
    public var purpose: String
}

extension LiveFacts {
    /// Nothing is loaded by it: what is not there is not asked.
    public func examineOwnNamespace() -> NamespaceExamination {
        guard let own = namespaces.ownIdentity else {
            return NamespaceExamination(
                rules: 0, rulesetProblem: "/proc/thread-self/ns/net cannot be opened", entersOthers: false)
        }
        return examine(namespace: UInt32(truncatingIfNeeded: own.inode))
    }

    func examine(namespace inode: UInt32) -> NamespaceExamination {
        let texts = rulesetReader.rulesets(in: inode)
        let ruleset = Ruleset(texts)
        let count = number("net/netfilter/nf_conntrack_count", inode)
        return NamespaceExamination(
            inode: inode, conntrackCount: count,
            conntrackMaximum: number("net/netfilter/nf_conntrack_max", inode),
            conntrackProblem: count == nil ? nil : conntrackProblem(inode),
            usesNftables: use(texts.nftJSON, of: texts),
            usesIptablesLegacy: use(texts.iptablesSave ?? texts.ip6tablesSave, of: texts),
            rules: ruleset.ruleCount, translates: ruleset.problem == nil ? ruleset.translates : nil,
            rulesetProblem: ruleset.problem, entersOthers: namespaces.canReturn)
    }

    /// A tool prints something only where there is something to print.
    private func use(_ text: [UInt8]?, of texts: RulesetTexts) -> Bool? {
        text != nil ? true : texts.problem == nil ? false : nil
    }

    private func number(_ name: String, _ netns: UInt32) -> UInt64? {
        guard case .name(let text) = answer(.sysctl(name: name, netns: netns)) else { return nil }
        return UInt64(text)
    }

    /// Asks for an entry that there cannot be. The kernel would load a module to answer that, so only where it is
    /// there already.
    private func conntrackProblem(_ netns: UInt32) -> String? {
        guard Self.isLoaded("nf_conntrack_netlink") else { return nil }
        let nowhere = Endpoint(address: IPAddress(v4: 0), port: 0)
        let query = ConntrackQuery(tuple: Tuple(source: nowhere, destination: nowhere), zone: 0, netns: netns)
        guard case .unavailable(let problem) = answer(.conntrackEntry(query)) else { return nil }
        return problem
    }

    /// Without modules all that there is is there.
    private static func isLoaded(_ module: String) -> Bool {
        var text = ""
        do throws(FactFailure) {
            try Files.read("/proc/modules") { text += String(decoding: $0, as: UTF8.self) }
        } catch {
            return error.code == ENOENT
        }
        return text.split(separator: "\n").contains { $0.hasPrefix("\(module) ") }
    }

    /// Whether this process's rights are those of a user namespace, and not the machine's. The machine's own has this
    /// number (PROC_USER_INIT_INO).
    public static var isInUserNamespace: Bool {
        guard let identity = try? FileIdentity(path: "/proc/thread-self/ns/user") else { return false }
        return identity.inode != 0xefff_fffd
    }

    /// A number below /proc/sys/kernel; nil: there is none of this name.
    public static func kernelSetting(_ name: String) -> Int? {
        (try? Sysctl.value("kernel/\(name)")).flatMap { $0 }.flatMap { Int($0) }
    }

    /// Whether drops get functions. The first question may read all of the kernel's symbols.
    public func problemWithFunctionNames() -> String? {
        guard case .unavailable(let problem) = answer(.symbol(address: 1)) else { return nil }
        return problem
    }

    /// The programs that are run, and for what.
    public static func examineTools() -> [ToolExamination] {
        let tool = Tool()
        return [
            ("nft", "rules of nftables and iptables-nft"), ("iptables-legacy-save", "rules of iptables-legacy, IPv4"),
            ("ip6tables-legacy-save", "rules of iptables-legacy, IPv6"),
            ("iptables-nft-save", "what nft cannot say of iptables-nft, IPv4"),
            ("ip6tables-nft-save", "what nft cannot say of iptables-nft, IPv6"),
        ].map { ToolExamination(name: $0, path: tool.path(of: $0), purpose: $1) }
    }
}
