// Giving up what is not needed any more, once everything is attached and every file is open.

import CNattrace
import Glibc
import SystemSupport

/// A call that should have given up something failed; nothing is lost by it but that.
public struct PrivilegeError: Error, Equatable, CustomStringConvertible {
    public let description: String

    fileprivate init(_ call: String) {
        description = "\(call) failed: \(errorText(errno))"
    }
}

public enum LeastPrivilege {
    /// Gives up for good, in this thread, everything but `kept`, as far as it was there: from the effective,
    /// permitted, inheritable, ambient and bounding set. Programs that are run get `forChildren` of it and nothing
    /// else, whoever this process runs as.
    ///
    /// Sets belong to threads: to be called before there are others. The bounding set, and that user 0 regains
    /// all with the next program, can only be changed with CAP_SETPCAP. Without, no_new_privs sees to it that
    /// nothing comes back that was given up; children of root then get all of `kept`.
    public static func keep(_ kept: CapabilitySet, forChildren: CapabilitySet) throws(PrivilegeError) {
        var sets = nattrace_capabilities()
        guard nattrace_capget(&sets) == 0 else { throw PrivilegeError("capget") }
        let kept = kept.intersection(CapabilitySet(rawValue: sets.permitted))
        let children = forChildren.intersection(kept)
        if sets.effective >> UInt64(CAP_SETPCAP) & 1 == 1 {
            try narrowBoundingSet(to: kept)
            try endPrivilegeOfRoot()
        }
        sets.permitted = kept.rawValue
        sets.effective = kept.rawValue
        // What is to be ambient has to be inheritable.
        sets.inheritable = children.rawValue
        guard nattrace_capset(sets) == 0 else { throw PrivilegeError("capset") }
        try setAmbient(children)
        guard nattrace_prctl(PR_SET_NO_NEW_PRIVS, 1, 0) == 0 else { throw PrivilegeError("prctl(PR_SET_NO_NEW_PRIVS)") }
    }

    private static func narrowBoundingSet(to kept: CapabilitySet) throws(PrivilegeError) {
        for number in 0..<UInt64(64) where kept.rawValue >> number & 1 == 0 {
            // -1: this kernel has no capability of this number.
            guard nattrace_prctl(PR_CAPBSET_READ, UInt(number), 0) == 1 else { continue }
            guard nattrace_prctl(PR_CAPBSET_DROP, UInt(number), 0) == 0 else {
                throw PrivilegeError("prctl(PR_CAPBSET_DROP)")
            }
        }
    }

    /// From now on user 0 gets by execve(2) no more than any other.
    private static func endPrivilegeOfRoot() throws(PrivilegeError) {
        let bits = nattrace_prctl(PR_GET_SECUREBITS, 0, 0)
        guard bits >= 0, nattrace_prctl(PR_SET_SECUREBITS, UInt(bits) | nattrace_no_root, 0) == 0 else {
            throw PrivilegeError("prctl(PR_SET_SECUREBITS)")
        }
    }

    private static func setAmbient(_ wanted: CapabilitySet) throws(PrivilegeError) {
        guard nattrace_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_CLEAR_ALL), 0) == 0 else {
            throw PrivilegeError("prctl(PR_CAP_AMBIENT_CLEAR_ALL)")
        }
        for capability in wanted.members {
            guard nattrace_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_RAISE), UInt(capability.rawValue)) == 0 else {
                throw PrivilegeError("prctl(PR_CAP_AMBIENT_RAISE, \(capability.name))")
            }
        }
    }
}
