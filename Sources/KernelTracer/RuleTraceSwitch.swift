// Turns on the kernel's calls of __nft_trace_packet(), without touching anybody's ruleset.

import CNattrace
import Glibc
import Handshake
import SystemSupport

/// Keeps nftables' rule tracing on from when it is made to its end.
///
/// The kernel calls `__nft_trace_packet` only while its static key `nft_trace_enabled` is on, and that is so
/// while any rule of the machine has a `meta nftrace set` (nft_meta_set_init). Here such a rule is put into a
/// table without hooks, in a network namespace of its own: no packet ever meets it, no user sees it, and it goes
/// with the namespace, which lives as long as this socket. No packet is marked to be traced, so the
/// kernel's own tracing stays silent. While it is on, module nf_tables cannot be removed.
struct RuleTraceSwitch: ~Copyable {
    private let socket: OwnedDescriptor

    /// Needs CAP_SYS_ADMIN, and nf_tables loaded; else it would be loaded by this.
    init() throws(TracerError) {
        let made = try Self.inNewNamespace()
        try Self.send(Self.batch(), by: made.rawValue)
        socket = made
    }

    /// A netlink socket in a new network namespace, which nothing else refers to. This thread is back where it
    /// was.
    private static func inNewNamespace() throws(TracerError) -> OwnedDescriptor {
        let own = try OwnedDescriptor(
            open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), from: "open(/proc/thread-self/ns/net)")
        guard unshare(CLONE_NEWNET) == 0 else { throw .last("unshare(CLONE_NEWNET)") }
        let fd = Glibc.socket(
            AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), NETLINK_NETFILTER)
        let code = errno
        guard setns(own.rawValue, CLONE_NEWNET) == 0 else {
            // Everything that followed would be asked of an empty namespace.
            fatalError("nattrace: cannot return to its own network namespace: \(errorText(errno))")
        }
        errno = code
        return try OwnedDescriptor(fd, from: "socket(NETLINK_NETFILTER)")
    }

    private static func send(_ batch: [UInt8], by fd: Int32) throws(TracerError) {
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard Glibc.send(fd, batch, batch.count, 0) == batch.count else {
            throw .last("send(nf_tables)")
        }
        // The last message of the batch asks for an answer; one that fails answers as well.
        var answer = [UInt8](repeating: 0, count: 4096)
        let length = recv(fd, &answer, answer.count, 0)
        guard length >= 0 else { throw .last("recv(nf_tables)") }
        let header = MemoryLayout<nlmsghdr>.size
        guard length >= header + 4 else { throw .system(call: "recv(nf_tables)", errno: EBADMSG) }
        let error = answer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: header, as: Int32.self) }
        guard error == 0 else { throw .system(call: "nf_tables", errno: 0 &- error) }
    }

    /// A table, a chain without a hook, and a rule `meta nftrace set 1`, in one transaction (nfnetlink_rcv_batch).
    static func batch() -> [UInt8] {
        let table = "nattrace"
        let chain = "trace"
        var batch = NetlinkBatch()
        batch.begin()
        batch.message(Int32(NFT_MSG_NEWTABLE.rawValue)) { $0.string(NFTA_TABLE_NAME.rawValue, table) }
        batch.message(Int32(NFT_MSG_NEWCHAIN.rawValue)) {
            $0.string(NFTA_CHAIN_TABLE.rawValue, table)
            $0.string(NFTA_CHAIN_NAME.rawValue, chain)
        }
        batch.message(Int32(NFT_MSG_NEWRULE.rawValue), flags: NLM_F_APPEND | NLM_F_ACK) {
            $0.string(NFTA_RULE_TABLE.rawValue, table)
            $0.string(NFTA_RULE_CHAIN.rawValue, chain)
            $0.nested(NFTA_RULE_EXPRESSIONS.rawValue) {
                $0.expression("immediate") {
                    $0.number(NFTA_IMMEDIATE_DREG.rawValue, NFT_REG_1.rawValue)
                    $0.nested(NFTA_IMMEDIATE_DATA.rawValue) { $0.bytes(NFTA_DATA_VALUE.rawValue, [1]) }
                }
                $0.expression("meta") {
                    $0.number(NFTA_META_KEY.rawValue, NFT_META_NFTRACE.rawValue)
                    $0.number(NFTA_META_SREG.rawValue, NFT_REG_1.rawValue)
                }
            }
        }
        batch.end()
        return batch.data
    }
}

/// Builds a batch of nf_tables messages (linux/netfilter/nfnetlink.h): headers in host order, numbers in
/// attributes in network order.
private struct NetlinkBatch {
    private(set) var data: [UInt8] = []
    private var sequence: UInt32 = 0

    mutating func begin() { control(NFNL_MSG_BATCH_BEGIN) }
    mutating func end() { control(NFNL_MSG_BATCH_END) }

    private mutating func control(_ type: Int32) {
        append(type: type, flags: 0, family: AF_UNSPEC, resource: UInt16(NFNL_SUBSYS_NFTABLES)) { _ in }
    }

    mutating func message(_ type: Int32, flags: Int32 = 0, _ body: (inout NetlinkBatch) -> Void) {
        append(
            type: NFNL_SUBSYS_NFTABLES << 8 | type, flags: NLM_F_CREATE | flags, family: AF_INET, resource: 0, body)
    }

    private mutating func append(
        type: Int32, flags: Int32, family: Int32, resource: UInt16, _ body: (inout NetlinkBatch) -> Void
    ) {
        let start = data.count
        put(UInt32(0))
        put(UInt16(type))
        put(UInt16(NLM_F_REQUEST | flags))
        put(sequence)
        put(UInt32(0))
        sequence += 1
        // struct nfgenmsg
        data.append(UInt8(family))
        data.append(UInt8(NFNETLINK_V0))
        put(resource.bigEndian)
        body(&self)
        setLength(at: start, UInt32(data.count - start))
    }

    mutating func string(_ type: UInt32, _ text: String) { bytes(type, Array(text.utf8) + [0]) }
    mutating func number(_ type: UInt32, _ value: UInt32) {
        bytes(type, withUnsafeBytes(of: value.bigEndian) { Array($0) })
    }

    mutating func bytes(_ type: UInt32, _ value: [UInt8]) {
        put(UInt16(4 + value.count))
        put(UInt16(type))
        data += value
        while data.count % 4 != 0 { data.append(0) }
    }

    mutating func nested(_ type: UInt32, _ body: (inout NetlinkBatch) -> Void) {
        let start = data.count
        put(UInt16(0))
        put(UInt16(type) | UInt16(NLA_F_NESTED))
        body(&self)
        setLength(at: start, UInt16(data.count - start))
    }

    mutating func expression(_ name: String, _ body: (inout NetlinkBatch) -> Void) {
        nested(NFTA_LIST_ELEM.rawValue) {
            $0.string(NFTA_EXPR_NAME.rawValue, name)
            $0.nested(NFTA_EXPR_DATA.rawValue, body)
        }
    }

    private mutating func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value) { data += $0 } }

    private mutating func setLength(at start: Int, _ length: some FixedWidthInteger) {
        withUnsafeBytes(of: length) { data.replaceSubrange(start..<start + $0.count, with: $0) }
    }
}
