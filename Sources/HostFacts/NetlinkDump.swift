// Lists that the kernel walks through and answers in pieces (NLM_F_DUMP): sockets, addresses, routes.

import CNattrace
import Glibc

/// What is asked for by a dump, and collected from its answer.
protocol NetlinkList {
    /// Whom error texts name: `rtnetlink`.
    static var subject: String { get }
    /// What people call the list: `the routing tables`.
    static var name: String { get }

    func request(sequence: UInt32) -> NetlinkRequest
    /// Takes one message that is none of netlink's own.
    mutating func add(_ message: NetlinkMessage) throws(FactFailure)
    /// What an error number of the kernel means here.
    static func failure(_ code: Int32) -> FactFailure
}

extension NetlinkList {
    static func failure(_ code: Int32) -> FactFailure { FactFailure(call: subject, code: code) }
}

/// The answer to one request for a list, put together datagram by datagram.
struct NetlinkDump<List: NetlinkList> {
    private(set) var list: List
    /// The request's number, which its answers carry.
    let sequence: UInt32
    private(set) var isComplete = false
    /// The list changed while it was walked through: it may lack things or have them twice.
    private(set) var isInterrupted = false

    init(_ empty: List, sequence: UInt32) {
        list = empty
        self.sequence = sequence
    }

    /// Takes one datagram. Throws where the kernel reports an error or the bytes make no sense.
    mutating func add(_ datagram: [UInt8]) throws(FactFailure) {
        var messages = NetlinkMessages(datagram, subject: List.subject)
        while !isComplete, let message = try messages.next() {
            guard message.sequence == sequence else { continue }
            if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { isInterrupted = true }
            switch message.type {
            case NLMSG_DONE:
                // A dump that failed on the way says so here, by a negative error number.
                if let code = message.body.load(Int32.self), code < 0 { throw List.failure(0 &- code) }
                isComplete = true
            case NLMSG_ERROR: throw List.failure(try message.errorCode(List.subject))
            case NLMSG_OVERRUN: throw FactFailure("\(List.subject): the kernel lost a part of its answer")
            default: try list.add(message)
            }
        }
    }
}

/// How often a list that changed meanwhile is asked for.
let maximumDumpAttempts = 4

extension NetlinkTransport where Self: ~Copyable {
    /// The whole list, as it stood at one moment. `sequence` is the number of the request before: late
    /// answers to an abandoned one are told apart.
    func dump<List: NetlinkList>(_ empty: List, after sequence: inout UInt32) throws(FactFailure) -> List {
        for _ in 1...maximumDumpAttempts {
            sequence += 1
            var dump = NetlinkDump(empty, sequence: sequence)
            try send(empty.request(sequence: sequence).bytes)
            while !dump.isComplete { try dump.add(try receive()) }
            if !dump.isInterrupted { return dump.list }
        }
        throw FactFailure("\(List.name) changed each of \(maximumDumpAttempts) times that they were read")
    }
}
