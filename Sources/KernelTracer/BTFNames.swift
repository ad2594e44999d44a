// The running kernel's names for its numbers. The values move between kernels, so they are
// read from its BTF.

import Handshake

/// Names of drop and reset reasons, as the running kernel spells them, without the prefix of
/// the enum: `NO_SOCKET`. NOT_SPECIFIED, which says that the kernel does not tell, is a name.
///
/// Belongs to one thread. Nothing but the names is kept of the kernel's BTF.
public final class BTFNames: KernelNames {
    private let dropReasons: [UInt32: String]
    private let resetReasons: [UInt32: String]
    private let subsystems: [UInt32: String]
    public let hasNFTablesBuiltIn: Bool
    /// Names of values that belong to subsystems; nil: asked for in vain.
    private var subsystemReasons: [UInt32: String?] = [:]
    private let findSubsystemReason: (_ module: String, _ value: UInt32) -> String?

    /// Of the running kernel. Throws `.unsupportedKernel` where it has no BTF.
    public convenience init() throws(TracerError) { self.init(of: try KernelTypes()) }

    /// `types`: those of the running kernel, where they were read already, which takes milliseconds.
    convenience init(of types: KernelTypes) {
        self.init(from: types.kernel) { module, value in
            // Rare: parsed again rather than kept. A module of another name or one that is not
            // loaded leaves the number.
            guard let types = try? KernelTypes(), let own = types.module(module) else { return nil }
            return own.values(ofEnumsNamed: "_drop_reason").first { $0.value == value }?.name
        }
    }

    init(from types: TypeInformation, subsystemReason: @escaping (_ module: String, _ value: UInt32) -> String?) {
        dropReasons = Self.names(types, enum: "skb_drop_reason", prefix: "SKB_DROP_REASON_")
        resetReasons = Self.names(types, enum: "sk_rst_reason", prefix: "SK_RST_REASON_")
        subsystems = Self.names(types, enum: "skb_drop_reason_subsys", prefix: "SKB_DROP_REASON_SUBSYS_")
        // One of them may be missing, because the compiler changed it; not all.
        hasNFTablesBuiltIn = ["nft_do_chain", "nft_register_expr", "nft_register_chain_type"]
            .contains(where: types.hasFunction)
        findSubsystemReason = subsystemReason
    }

    /// nil: this kernel has no name for it, as before 5.17.
    ///
    /// The high 16 bits are the subsystem (since 6.4), 0 the core. A subsystem's reasons are an
    /// enum of the module; where that cannot be asked, the subsystem and the number is the name.
    public func dropReason(_ value: UInt32) -> String? {
        guard value >> 16 != 0 else { return dropReasons[value] }
        if let known = subsystemReasons[value] { return known }
        let name = subsystemReason(value)
        subsystemReasons[value] = name
        return name
    }

    /// nil: this kernel has no name for it, as before 6.10.
    public func resetReason(_ value: UInt32) -> String? { resetReasons[value] }

    private func subsystemReason(_ value: UInt32) -> String? {
        guard let subsystem = subsystems[value >> 16] else { return nil }
        // MAC80211_UNUSABLE is of module mac80211, OPENVSWITCH of openvswitch.
        let module = subsystem.lowercased().prefix { $0 != "_" }
        return findSubsystemReason(String(module), value) ?? "\(subsystem)_\(value & 0xffff)"
    }

    private static func names(_ types: TypeInformation, enum name: String, prefix: String) -> [UInt32: String] {
        var names: [UInt32: String] = [:]
        for (name, value) in types.values(ofEnum: name) ?? [] {
            // Markers such as SKB_DROP_REASON_MAX share a value with nothing or with a later
            // one; the first of equals is the reason. SKB_CONSUMED has no prefix.
            guard names[value] == nil else { continue }
            names[value] = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
        }
        return names
    }
}
