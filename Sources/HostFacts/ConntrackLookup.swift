// Entries of the conntrack table, asked by IPCTNL_MSG_CT_GET about one tuple.

import CNattrace
import Glibc
import Handshake

enum ConntrackLookup {
    /// A setting that is there while conntrack is, in every namespace. Asking conntrack where it is
    /// not would load it: it tracks from then on what a rule needs of it, at a cost.
    static let sysctl = "net/netfilter/nf_conntrack_max"

    private static let subject = "ctnetlink"

    /// The entry that has the tuple in either direction; nil: there is none.
    static func entry(
        _ tuple: Tuple, zone: UInt16, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> TrackedFlow? {
        guard tuple.source.address.family == tuple.destination.address.family else {
            throw FactFailure("conntrack entry \(tuple) cannot be")
        }
        switch try transport.ask(request(tuple, zone: zone, sequence: 1), sequence: 1, subject: subject) {
        case .message(messageType(IPCTNL_MSG_CT_NEW.rawValue), let body): return try decode(body)
        case .message(let type, _):
            throw FactFailure("ctnetlink: a message of type \(type) where an entry was asked for")
        case .refused(ENOENT): return nil
        // nfnetlink_rcv_msg, after it tried to load what answers.
        case .refused(EINVAL): throw FactFailure("this kernel has no conntrack netlink (CONFIG_NF_CT_NETLINK)")
        case .refused(let code): throw FactFailure(call: subject, code: code)
        }
    }

    static func request(_ tuple: Tuple, zone: UInt16, sequence: UInt32) -> NetlinkRequest {
        var body = nfgenmsg()
        body.nfgen_family = tuple.source.address.socketFamily
        var request = NetlinkRequest(
            type: messageType(IPCTNL_MSG_CT_GET.rawValue), flags: 0, sequence: sequence, body: body)
        let isV4 = tuple.family == .v4
        let addresses =
            NetlinkRequest.attribute((isV4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC).rawValue, tuple.source.address.networkOrder)
            + NetlinkRequest.attribute(
                (isV4 ? CTA_IP_V4_DST : CTA_IP_V6_DST).rawValue, tuple.destination.address.networkOrder)
        let ports =
            NetlinkRequest.attribute(CTA_PROTO_NUM.rawValue, [UInt8(IPPROTO_TCP)])
            + NetlinkRequest.attribute(CTA_PROTO_SRC_PORT.rawValue, networkOrder(tuple.source.port))
            + NetlinkRequest.attribute(CTA_PROTO_DST_PORT.rawValue, networkOrder(tuple.destination.port))
        // The kernel looks for it among the tuples of both directions (nf_conntrack_find_get).
        request.addNested(
            CTA_TUPLE_ORIG.rawValue,
            NetlinkRequest.nested(CTA_TUPLE_IP.rawValue, addresses)
                + NetlinkRequest.nested(CTA_TUPLE_PROTO.rawValue, ports))
        request.add(CTA_ZONE.rawValue, networkOrder(zone))
        return request
    }

    /// Reads the body of an IPCTNL_MSG_CT_NEW message. Numbers in attributes are in network order.
    static func decode(_ body: ArraySlice<UInt8>) throws(FactFailure) -> TrackedFlow {
        guard body.count >= MemoryLayout<nfgenmsg>.size else {
            throw FactFailure("ctnetlink: an entry of \(body.count) bytes is too short")
        }
        var original: HalfTuple?
        var reply: HalfTuple?
        var zone: UInt16?
        var status: UInt32 = 0
        var state: UInt8 = 0
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<nfgenmsg>.size), subject: subject)
        while let attribute = try attributes.next() {
            switch UInt32(attribute.type) {
            case CTA_TUPLE_ORIG.rawValue: original = try HalfTuple(attribute.value)
            case CTA_TUPLE_REPLY.rawValue: reply = try HalfTuple(attribute.value)
            case CTA_STATUS.rawValue: status = attribute.value.load(UInt32.self).map(UInt32.init(bigEndian:)) ?? 0
            case CTA_ZONE.rawValue: zone = attribute.value.load(UInt16.self).map(UInt16.init(bigEndian:))
            case CTA_PROTOINFO.rawValue: state = try tcpState(attribute.value) ?? 0
            default: break
            }
        }
        guard let original, let reply, let forth = original.tuple, let back = reply.tuple else {
            throw FactFailure("ctnetlink: an entry without its tuples, or not of TCP")
        }
        // A zone that is one direction's alone stands in that direction's tuple (ctnetlink_fill_info).
        return TrackedFlow(
            original: forth, reply: back, state: state, status: status,
            zone: zone ?? original.zone ?? reply.zone ?? 0)
    }

    /// A tuple while it is read.
    private struct HalfTuple {
        var source: IPAddress?
        var destination: IPAddress?
        var sourcePort: UInt16?
        var destinationPort: UInt16?
        var isTCP = false
        var zone: UInt16?

        init(_ bytes: ArraySlice<UInt8>) throws(FactFailure) {
            var attributes = NetlinkAttributes(bytes, subject: subject)
            while let attribute = try attributes.next() {
                switch UInt32(attribute.type) {
                case CTA_TUPLE_IP.rawValue: try readAddresses(attribute.value)
                case CTA_TUPLE_PROTO.rawValue: try readPorts(attribute.value)
                case CTA_TUPLE_ZONE.rawValue: zone = attribute.value.load(UInt16.self).map(UInt16.init(bigEndian:))
                default: break
                }
            }
        }

        private mutating func readAddresses(_ bytes: ArraySlice<UInt8>) throws(FactFailure) {
            var attributes = NetlinkAttributes(bytes, subject: subject)
            while let attribute = try attributes.next() {
                switch UInt32(attribute.type) {
                case CTA_IP_V4_SRC.rawValue, CTA_IP_V6_SRC.rawValue:
                    source = IPAddress(networkOrder: attribute.value)
                case CTA_IP_V4_DST.rawValue, CTA_IP_V6_DST.rawValue:
                    destination = IPAddress(networkOrder: attribute.value)
                default: break
                }
            }
        }

        private mutating func readPorts(_ bytes: ArraySlice<UInt8>) throws(FactFailure) {
            var attributes = NetlinkAttributes(bytes, subject: subject)
            while let attribute = try attributes.next() {
                switch UInt32(attribute.type) {
                case CTA_PROTO_NUM.rawValue: isTCP = attribute.value.first == UInt8(IPPROTO_TCP)
                case CTA_PROTO_SRC_PORT.rawValue:
                    sourcePort = attribute.value.load(UInt16.self).map(UInt16.init(bigEndian:))
                case CTA_PROTO_DST_PORT.rawValue:
                    destinationPort = attribute.value.load(UInt16.self).map(UInt16.init(bigEndian:))
                default: break
                }
            }
        }

        /// nil: something is missing, or it is not TCP's.
        var tuple: Tuple? {
            guard isTCP, let source, let destination, source.family == destination.family, let sourcePort,
                let destinationPort
            else { return nil }
            return Tuple(
                source: Endpoint(address: source, port: sourcePort),
                destination: Endpoint(address: destination, port: destinationPort))
        }
    }

    /// enum tcp_conntrack; nil: the entry has none.
    private static func tcpState(_ bytes: ArraySlice<UInt8>) throws(FactFailure) -> UInt8? {
        var protocols = NetlinkAttributes(bytes, subject: subject)
        while let info = try protocols.next() {
            guard UInt32(info.type) == CTA_PROTOINFO_TCP.rawValue else { continue }
            var attributes = NetlinkAttributes(info.value, subject: subject)
            while let attribute = try attributes.next() {
                if UInt32(attribute.type) == CTA_PROTOINFO_TCP_STATE.rawValue { return attribute.value.first }
            }
        }
        return nil
    }

    private static func messageType(_ type: UInt32) -> Int32 {
        NFNL_SUBSYS_CTNETLINK << 8 | Int32(bitPattern: type)
    }

    private static func networkOrder(_ value: UInt16) -> [UInt8] {
        [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
    }
}
