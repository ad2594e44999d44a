// Rulesets that the tools printed (Fixtures/make), and short ways to ask them.

import Foundation
import Handshake

@testable import Rulesets

enum Fixture {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appending(path: name)))
    }

    /// As nftables has it.
    static func nft(_ name: String) throws -> Ruleset {
        Ruleset(RulesetTexts(nftJSON: try bytes("\(name).json"), nftText: try bytes("\(name).txt"), isComplete: true))
    }

    /// As iptables-nft made it.
    static func iptablesNft(_ name: String) throws -> Ruleset {
        Ruleset(
            RulesetTexts(
                nftJSON: try bytes("\(name).json"), nftText: try bytes("\(name).txt"),
                iptablesNftSave: try bytes("\(name).words"), isComplete: true))
    }

    static func legacy(_ name: String) throws -> Ruleset {
        Ruleset(RulesetTexts(iptablesSave: try bytes("\(name).save"), isComplete: true))
    }
}

extension Ruleset {
    /// Rules of one chain of `ip t` or `inet t`, as JSON that nft would print.
    static func handmade(
        _ rules: [String], family: String = "ip", hook: String = "input", type: String = "filter",
        priority: Int = 0, policy: String = "accept", more: [String] = []
    ) -> Ruleset {
        var entries = [
            #"{"metainfo": {"version": "1.0.6"}}"#, #"{"table": {"family": "\#(family)", "name": "t", "handle": 1}}"#,
            #"{"chain": {"family": "\#(family)", "table": "t", "name": "c", "handle": 1, "type": "\#(type)", "#
                + #""hook": "\#(hook)", "prio": \#(priority), "policy": "\#(policy)"}}"#,
        ]
        entries += more
        for (position, rule) in rules.enumerated() {
            entries.append(
                #"{"rule": {"family": "\#(family)", "table": "t", "chain": "c", "handle": \#(position + 1), "#
                    + #""expr": [\#(rule)]}}"#)
        }
        return Ruleset(
            RulesetTexts(
                nftJSON: Array(#"{"nftables": [\#(entries.joined(separator: ", "))]}"#.utf8), isComplete: true))
    }

    func ask(
        _ effect: RuleSearch.Effect, _ stage: Stage?, _ source: String = "192.0.2.1:40000",
        _ destination: String = "192.0.2.2:80", flags: TCPFlags = .syn, input: String? = nil, output: String? = nil,
        tracking: RuleSearch.TrackingState? = nil, own: [String] = []
    ) -> RuleCandidates {
        candidates(
            RuleSearch(
                effect: effect, stage: stage, tuple: Tuple(source: end(source), destination: end(destination)),
                flags: flags, inputInterface: input, outputInterface: output, netns: 1, tracking: tracking)
        ) { own.compactMap { IPAddress($0) } }
    }

    /// The same, in words: `12` is a candidate by its id, `12!` a certain one, `policy` a policy's.
    func found(
        _ effect: RuleSearch.Effect, _ stage: Stage?, _ source: String = "192.0.2.1:40000",
        _ destination: String = "192.0.2.2:80", flags: TCPFlags = .syn, input: String? = nil, output: String? = nil,
        tracking: RuleSearch.TrackingState? = nil, own: [String] = []
    ) -> [String] {
        ask(
            effect, stage, source, destination, flags: flags, input: input, output: output, tracking: tracking,
            own: own
        ).candidates.map {
            ($0.rule.id ?? "policy") + ($0.isCertain ? "!" : "")
        }
    }
}

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
func end(_ text: String) -> Endpoint {
    let colon = text.lastIndex(of: ":") ?? text.startIndex
    let address = text[..<colon].filter { $0 != "[" && $0 != "]" }
    return Endpoint(
        address: IPAddress(String(address)) ?? IPAddress(v4: 0), port: UInt16(text[text.index(after: colon)...]) ?? 0)
}

extension RuleCandidates {
    var texts: [String] { candidates.map { $0.rule.text ?? "?" } }
    var rulesets: [String] { candidates.map { $0.rule.ruleset ?? "?" } }
}
