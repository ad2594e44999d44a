// From the kernel's bytes to values: each kind, and what is refused.

import CNattrace
import Testing

@testable import Handshake

@Suite("Decoding an observation")
struct ObservationTests {
    private let translation = Entry(flow(client, published), to: flow(client, inner))

    @Test("A packet has its tuple, flags, numbers, device and place")
    func packet() throws {
        var raw = syn(from: client, to: published).received(by: "eth0", index: 4)
        raw.time_ns = 77
        raw.cpu = 3
        raw.payload = 12
        let o = try #require(Observation(raw))
        #expect(o.kind == .packet && o.hook == .netifReceiveSkb && o.backend == .tracepoint && o.stage == .ingress)
        #expect(
            o.packet
                == Packet(tuple: flow(client, published), flags: .syn, seq: someISN, ack: 0, payload: 12))
        #expect((o.time, o.isn, o.netns, o.interfaceIndex, o.cpu) == (77, someISN, Place.gateway, 4, 3))
        #expect(o.name.string == "eth0")
        #expect(o.conntrack == nil && !o.isUntracked && o.reason == nil)
    }

    @Test("An IPv6 packet has all sixteen bytes of its addresses")
    func version6() throws {
        let there = ("[2001:db8:1:2:3:4:5:6]:1", "[fd00::2]:65535")
        let o = try #require(Observation(syn(from: there.0, to: there.1).received(by: "eth0")))
        #expect(o.packet?.tuple == flow(there.0, there.1))
    }

    @Test("An entry tells what was dialled and where it goes")
    func entry() throws {
        var given = translation
        given.status = [.destinationNAT, .destinationNATDone]
        given.state = 1
        var raw = syn(from: client, to: published).with(given).conntrack(.new)
        raw.ct_zone = 9
        let entry = try #require(Observation(raw)?.conntrack)
        #expect(entry.original == flow(client, published))
        #expect(entry.reply == flow(inner, client))
        #expect(entry.translated == flow(client, inner))
        #expect(entry.translatesDestination && !entry.translatesSource)
        #expect(entry.status.names == ["DST_NAT", "DST_NAT_DONE"] && entry.stateName == "SYN_SENT")
        #expect(entry.zone == 9 && entry.isNew && !entry.isReplyDirection)
    }

    @Test(
        "Which way a packet runs within its entry is told by its enum ip_conntrack_info",
        arguments: [(0, false, false), (1, false, false), (2, false, true), (3, true, false), (4, true, false)])
    func direction(_ info: UInt8, _ isReply: Bool, _ isNew: Bool) throws {
        var raw = syn(from: client, to: published).with(translation).conntrack(.match)
        raw.ct_info = info
        let entry = try #require(Observation(raw)?.conntrack)
        #expect((entry.isReplyDirection, entry.isNew) == (isReply, isNew))
    }

    @Test("Untracked is a packet that says so and has no entry")
    func untracked() throws {
        #expect(try #require(Observation(syn(from: client, to: published).untracked().delivered())).isUntracked)
        #expect(!(try #require(Observation(syn(from: client, to: published).delivered())).isUntracked))
        var raw = syn(from: client, to: published).with(translation).delivered()
        raw.ct_info = 7
        #expect(!(try #require(Observation(raw)).isUntracked))
    }

    @Test("Each conntrack decision", arguments: [ConntrackDecision.asked, .new, .match, .untracked, .again])
    func decisions(_ decision: ConntrackDecision) throws {
        let o = try #require(Observation(syn(from: client, to: published).conntrack(decision)))
        #expect(o.detail == .conntrack(decision))
    }

    @Test("INVALID has conntrack's words, if there are any, and they are not taken for tuples")
    func invalid() throws {
        #expect(words(try #require(Observation(syn(from: client, to: published).conntrack(.invalid)))) == "")
        var raw = syn(from: client, to: published).invalid("bad checksum")
        raw.ct = 1
        let o = try #require(Observation(raw))
        #expect(words(o) == "bad checksum")
        #expect(o.conntrack == nil)
    }

    @Test("Conntrack's words end where their room does")
    func longWords() throws {
        let room = Int(NATTRACE_TEXT_LENGTH)
        let o = try #require(
            Observation(syn(from: client, to: published).invalid(String(repeating: "x", count: room + 10))))
        #expect(words(o) == String(repeating: "x", count: room))
    }

    /// nil: it is not about INVALID.
    private func words(_ o: Observation) -> String? {
        if case .invalid(let words) = o.detail { words.string } else { nil }
    }

    @Test("A NAT rule's range is no packet, and its flags are no reason")
    func natSetup() throws {
        let raw = natRule(.destination, from: "10.0.0.2:8080", to: "10.0.0.9:8090", flags: 3, binds: translation)
        let o = try #require(Observation(raw))
        #expect(
            o.detail
                == .natSetup(
                    .destination,
                    NATRange(first: endpoint("10.0.0.2:8080"), last: endpoint("10.0.0.9:8090"), flags: 3)))
        #expect(o.packet == nil && o.reason == nil)
        #expect(o.conntrack?.original == flow(client, published))
    }

    @Test("NAT rewrites a source or a destination", arguments: [Manipulation.source, .destination])
    func natPacket(_ manipulation: Manipulation) throws {
        let o = try #require(
            Observation(syn(from: client, to: published).with(translation).rewritten(manipulation, .prerouting)))
        #expect(o.detail == .natPacket(manipulation))
    }

    @Test("A look-up finds nothing, or a socket that is bound somewhere")
    func listener() throws {
        let packet = syn(from: client, to: inner)
        #expect(try #require(Observation(packet.lookedUp())).detail == .listener(nil))
        #expect(
            try #require(Observation(packet.lookedUp(finding: "10.0.0.2:8080", tiedTo: 5))).detail
                == .listener(BoundListener(address: address("10.0.0.2"), port: 8080, interfaceIndex: 5)))
    }

    @Test("A dual-stack listener that takes IPv4 is bound in IPv6")
    func dualStackListener() throws {
        let raw = syn(from: client, to: inner).lookedUp(finding: "[::]:8080")
        #expect(
            try #require(Observation(raw)).detail
                == .listener(BoundListener(address: address("::"), port: 8080, interfaceIndex: 0)))
    }

    @Test("Where the listener is bound is not taken for a conntrack entry")
    func listenerHasNoEntry() throws {
        var raw = syn(from: client, to: inner).lookedUp(finding: "10.0.0.2:8080")
        raw.ct = 1
        #expect(try #require(Observation(raw)).conntrack == nil)
    }

    @Test("Each maker of a reset", arguments: [ResetMaker.tcp, .active, .netfilter])
    func reset(_ maker: ResetMaker) throws {
        let o = try #require(Observation(syn(from: client, to: inner).reset(by: maker)))
        #expect(o.detail == .reset(maker))
    }

    @Test("A reason of zero is one, and none is none")
    func reasons() throws {
        let packet = syn(from: client, to: inner)
        #expect(try #require(Observation(packet.dropped(reason: 0))).reason == 0)
        #expect(try #require(Observation(packet.dropped(reason: 6))).reason == 6)
        #expect(try #require(Observation(packet.dropped())).reason == nil)
    }

    @Test("A socket's old and new state")
    func socketState() throws {
        let packet = ack(from: client, to: inner)
        #expect(
            try #require(Observation(packet.socket(from: .synReceived, to: .established))).detail
                == .socketState(from: .synReceived, to: .established))
        #expect(
            try #require(Observation(packet.socket(from: .newSynReceived, to: .close))).detail
                == .socketState(from: .newSynReceived, to: .close))
    }

    @Test("Without a family there is neither packet nor entry")
    func noFamily() throws {
        var raw = syn(from: client, to: inner).with(translation).dropped()
        raw.family = 0
        let o = try #require(Observation(raw))
        #expect(o.packet == nil && o.conntrack == nil)
    }

    @Test("A stage that is not known is none")
    func unknownStage() throws {
        var raw = syn(from: client, to: inner).delivered()
        for stage: UInt8 in [0, 10, 255] {
            raw.stage = stage
            #expect(try #require(Observation(raw)).stage == nil)
        }
    }

    @Test("An observation of a kind, hook or backend that is not known is refused")
    func unknownIsRefused() {
        let known = syn(from: client, to: inner).delivered()
        func isRefused(_ change: (inout nattrace_observation) -> Void) -> Bool {
            var raw = known
            change(&raw)
            return Observation(raw) == nil
        }
        #expect(!isRefused { _ in })
        for kind: UInt8 in [0, 15, 31, 33, 255] { #expect(isRefused { $0.kind = kind }, "kind \(kind)") }
        for hook: UInt16 in [0, UInt16(NATTRACE_HOOK_COUNT), 65535] {
            #expect(isRefused { $0.hook = hook }, "hook \(hook)")
        }
        for backend: UInt8 in [4, 255] { #expect(isRefused { $0.backend = backend }, "backend \(backend)") }
    }

    @Test("A detail that its kind does not know is refused")
    func unknownDetailIsRefused() {
        func isRefused(_ known: nattrace_observation, with detail: UInt8) -> Bool {
            var raw = known
            raw.detail = detail
            return Observation(raw) == nil
        }
        let packet = syn(from: client, to: inner)
        #expect(isRefused(packet.conntrack(.new), with: 6))
        #expect(isRefused(packet.rewritten(.source, .postrouting), with: 2))
        #expect(isRefused(natRule(.source, from: inner, flags: 3, binds: translation), with: 2))
        #expect(isRefused(packet.reset(), with: 3))
        #expect(isRefused(packet.socket(from: .synSent, to: .established), with: 0x01))
        #expect(isRefused(packet.socket(from: .synSent, to: .established), with: 0x20))
        #expect(isRefused(packet.socket(from: .synSent, to: .established), with: 0xd1))
        #expect(!isRefused(packet.delivered(), with: 99))
    }

    @Test("Every hook that the kernel side numbers has a name of its own")
    func hooks() {
        #expect(Hook.allCases.map { Int32($0.rawValue) } == Array(1..<NATTRACE_HOOK_COUNT))
        #expect(Set(Hook.allCases.map(\.name)).count == Hook.allCases.count)
    }

    @Test("Stages are numbered as on the kernel side, in the order of a packet's way")
    func stages() {
        #expect(Stage.allCases.map { Int32($0.rawValue) } == Array(NATTRACE_STAGE_INGRESS...NATTRACE_STAGE_EGRESS))
        #expect(Stage.ingress < .prerouting && Stage.postrouting < .egress)
    }

    private static let roles: [(flags: TCPFlags, role: PacketRole)] = [
        (.syn, .syn), ([.syn, .ece, .cwr], .syn), ([.syn, .ack], .synack), (.ack, .ack), ([.ack, .psh], .ack),
        (.rst, .rst), ([.rst, .ack], .rst), ([.syn, .rst], .rst),
    ]

    @Test("A packet's role within the handshake", arguments: roles)
    func role(_ flags: TCPFlags, _ role: PacketRole) {
        #expect(flags.role == role)
    }

    @Test("States and status bits have the kernel's names")
    func entryNames() {
        var entry = translation
        entry.isTranslatedByNAT = false
        entry.state = 3
        entry.status = ConntrackStatus(rawValue: 0x8000_000e)
        let decoded = Observation(syn(from: client, to: published).with(entry).delivered())?.conntrack
        #expect(decoded?.stateName == "ESTABLISHED")
        #expect(decoded?.status.names == ["SEEN_REPLY", "ASSURED", "CONFIRMED"])
        entry.state = 10
        entry.status = []
        let other = Observation(syn(from: client, to: published).with(entry).delivered())?.conntrack
        #expect(other?.stateName == nil)
        #expect(other?.status.hasNames == false)
    }
}

@Suite("Names of the kernel")
struct FixedNameTests {
    @Test("A name ends at its first NUL, or after sixteen bytes")
    func ends() {
        #expect(FixedName(fixed("eth0")).string == "eth0")
        #expect(FixedName(fixed("fifteen-bytes-x")).string == "fifteen-bytes-x")
        var full = fixed("fifteen-bytes-x")
        full.15 = CChar(UInt8(ascii: "!"))
        #expect(FixedName(full).string == "fifteen-bytes-x!")
        #expect(FixedName(fixed("")).isEmpty && !FixedName(fixed("a")).isEmpty)
    }

    @Test("A string is taken as far as whole characters fit into fifteen bytes")
    func strings() {
        #expect(FixedName("eth0").string == "eth0" && FixedName("eth0") == FixedName(fixed("eth0")))
        #expect(FixedName("fifteen-bytes-xyz").string == "fifteen-bytes-x")
        #expect(FixedName("thirteen-byt\u{e9}\u{1f98a}").string == "thirteen-byt\u{e9}")
        #expect(FixedName(nil).isEmpty && FixedName("").text == nil && FixedName("a").text == "a")
    }

    @Test("Longer texts end at their first NUL, and are equal where all their bytes are")
    func longer() {
        func text(_ text: String) -> FixedText32 {
            var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: text.utf8) }
            return FixedText32(words)
        }
        let whole = String(repeating: "x", count: 32)
        #expect(text(whole).string == whole && text("input").string == "input" && text("").isEmpty)
        #expect(text("input") == text("input") && text("input") != text("inpux") && text(whole) != text("x"))
        #expect(Set([text("a"), text("b"), text("a")]).count == 2)
    }

    @Test("Bytes that are no text are replaced")
    func notText() {
        var bytes = fixed("a?b")
        bytes.1 = -1
        #expect(FixedName(bytes).string == "a\u{fffd}b")
    }
}
