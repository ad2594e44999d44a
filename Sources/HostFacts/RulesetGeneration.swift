// The number that nf_tables gives each state of a namespace's ruleset.

import CNattrace
import Glibc

/// Whether nf_tables is in the running kernel, without making it load itself.
struct NFTablesModule {
    /// nil: not known.
    let isBuiltIn: Bool?
    private let modulesPath: String

    init(isBuiltIn: Bool?, modulesPath: String = "/proc/modules") {
        self.isBuiltIn = isBuiltIn
        self.modulesPath = modulesPath
    }

    /// Throws where it cannot be told.
    func isThere() throws(FactFailure) -> Bool {
        if isBuiltIn == true { return true }
        do throws(FactFailure) {
            if try isLoaded() { return true }
        } catch {
            // A kernel without modules loads none when it is asked for one.
            if error.code == ENOENT { return true }
            throw error
        }
        guard isBuiltIn == false else { throw FactFailure("whether nf_tables is built in is not known without BTF") }
        return false
    }

    private func isLoaded() throws(FactFailure) -> Bool {
        var text: [UInt8] = [UInt8(ascii: "\n")]
        try Files.read(modulesPath) { text += $0 }
        let line: StaticString = "\nnf_tables "
        return text.withUnsafeBytes { memmem($0.baseAddress!, $0.count, line.utf8Start, line.utf8CodeUnitCount) != nil }
    }
}

enum RulesetGeneration {
    private static let subject = "nf_tables"
    /// What a namespace begins with (nf_tables_init_net); every change counts one up, so there has
    /// been no rule in it. Only after four thousand million changes it would come again.
    static let pristine: UInt32 = 1

    /// The generation of the ruleset in the transport's namespace; nil: this kernel has no nf_tables.
    /// Needs CAP_NET_ADMIN there.
    static func current(over transport: borrowing some NetlinkTransport & ~Copyable) throws(FactFailure) -> UInt32? {
        switch try transport.ask(request(sequence: 1), sequence: 1, subject: subject) {
        case .message(_, let body): return try decode(body)
        // nfnetlink_rcv_msg, where nothing answers for this subsystem.
        case .refused(EINVAL), .refused(EOPNOTSUPP), .refused(ENOENT): return nil
        case .refused(let code): throw FactFailure(call: subject, code: code)
        }
    }

    static func request(sequence: UInt32) -> NetlinkRequest {
        let type = NFNL_SUBSYS_NFTABLES << 8 | Int32(bitPattern: NFT_MSG_GETGEN.rawValue)
        return NetlinkRequest(type: type, flags: 0, sequence: sequence, body: nfgenmsg())
    }

    /// Reads the body of an NFT_MSG_NEWGEN message.
    static func decode(_ body: ArraySlice<UInt8>) throws(FactFailure) -> UInt32 {
        guard body.count >= MemoryLayout<nfgenmsg>.size else {
            throw FactFailure("nf_tables: a generation of \(body.count) bytes is too short")
        }
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<nfgenmsg>.size), subject: subject)
        while let attribute = try attributes.next() {
            guard UInt32(attribute.type) == NFTA_GEN_ID.rawValue, let value = attribute.value.load(UInt32.self) else {
                continue
            }
            return UInt32(bigEndian: value)
        }
        throw FactFailure("nf_tables: a generation without its number")
    }
}
