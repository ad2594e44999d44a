// Machines that are made up: what `nattrace doctor` would find on each.

import Examination
import Handshake
import Privileges

/// Hooks of each kind; the others behave alike.
private let functions: [Hook] = [
    .nfConntrackIn, .nfConntrackTCPPacket, .nfCtL4protoLogInvalid, .nfL4protoLogInvalid, .tcpV4Rcv, .inetLookupListener,
    .inet6LookupListener, .tcpV4SendReset, .tcpV6SendReset, .tcpCheckReq,
]
private let tracepoints: [Hook] = [.netifReceiveSkb, .kfreeSkb, .netDevStartXmit, .inetSockSetState]

let everything: CapabilitySet = [
    .bpf, .perfmon, .sysAdmin, .netAdmin, .netRaw, .sysPtrace, .dacReadSearch,
]

func hook(_ hook: Hook, _ state: HookFinding.State, _ declined: HookFinding.Declined...) -> HookFinding {
    HookFinding(hook, state, declined: declined, loss: "what \(hook.name) shows is not known")
}

extension Findings {
    /// Nothing is missing.
    static func good() -> Findings {
        var features: [Feature: Presence] = [:]
        for feature in Feature.allCases { features[feature] = .present }
        return Findings(
            version: "0.1.0", hostName: "gateway", kernel: "6.12.0", architecture: "x86_64", time: 0, refusal: nil,
            features: features, lockdown: "none", settings: [.perfEventParanoid: 2, .kptrRestrict: 0], userID: 0,
            capabilities: everything, usefulCapabilities: everything,
            hooks: functions.map { hook($0, .attached(.kprobe)) } + tracepoints.map { hook($0, .attached(.tracepoint)) }
                + [
                    hook(.nftTracePacket, .attached(.kprobe)), hook(.nfSendReset, .waiting(module: "nf_reject_ipv4")),
                    hook(.tcpSendResetTracepoint, .unneeded),
                ],
            namespace: NamespaceFindings(
                inode: 4_026_531_840, conntrackCount: 1, conntrackMaximum: 65536, usesNftables: true,
                usesIptablesLegacy: false, rules: 3, translates: true, entersOthers: true),
            tools: [ToolFinding(name: "nft", path: "/usr/sbin/nft", purpose: "rules of nftables")])
    }

    static func withoutKprobes() -> Findings {
        var found = good()
        found.features[.kprobes] = .absent(nil)
        found.features[.fentry] = .absent("loading: Operation not permitted")
        let no = HookFinding.Declined(.kprobe, "this kernel has no kprobes")
        found.hooks =
            functions.filter { $0 != .tcpV4SendReset && $0 != .tcpV6SendReset }
            .map { hook($0, .unavailable(no.reason), no) }
            + [Hook.tcpV4SendReset, .tcpV6SendReset].map {
                hook($0, .replaced(by: .tcpSendResetTracepoint, isComplete: true), no)
            }
            + (tracepoints + [.tcpSendResetTracepoint]).map { hook($0, .attached(.tracepoint)) }
            + [hook(.nftTracePacket, .unavailable(no.reason), no), hook(.nfSendReset, .unavailable(no.reason), no)]
        return found
    }

    static func refused(_ status: Int32, _ what: String, _ whatToDo: String?) -> Findings {
        var found = good()
        found.refusal = Refusal(status: status, what: what, whatToDo: whatToDo)
        found.hooks = found.hooks.map { hook($0.hook, .untried) }
        return found
    }

    mutating func set(_ changed: HookFinding) {
        hooks = hooks.map { $0.hook == changed.hook ? changed : $0 }
    }
}
