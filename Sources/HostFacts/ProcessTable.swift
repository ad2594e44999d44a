import Glibc
import Handshake

/// What /proc says about processes. The folder is a parameter so that tests can bring their own.
struct ProcessTable {
    /// More processes than this are not looked at: Linux gives out at most 4194304 pids, and a
    /// machine anywhere near is not one to be walked through for a name.
    static let maximumProcesses = 1 << 17

    var folder = "/proc"

    /// Process (thread group) ids, ascending.
    func pids() throws(FactFailure) -> [Int32] {
        var result: [Int32] = []
        try Files.visit(folder) { _, name in
            if let pid = Self.number(name) { result.append(pid) }
            return result.count < Self.maximumProcesses
        }
        // The kernel lists them in order, but promises nothing.
        return result.sorted()
    }

    /// Name of the thread group; nil: it is gone.
    func name(of pid: Int32) -> String? {
        // 15 bytes for processes, up to 63 for kernel threads (proc_task_name), and a newline.
        guard var bytes = try? Files.bytes("\(folder)/\(pid)/comm", limit: 64) else { return nil }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    func networkNamespacePath(of pid: Int32) -> String { "\(folder)/\(pid)/ns/net" }

    /// The container that a process runs in, by its control group; nil: none, or it is gone.
    func containerID(of pid: Int32) -> String? { ContainerID.find(inControlGroups: controlGroups(of: pid)) }

    /// What an operator calls a process: its name, and its container or else its systemd unit.
    func identity(of pid: Int32) -> ProcessIdentity {
        let groups = controlGroups(of: pid)
        let container = ContainerID.find(inControlGroups: groups)
        return ProcessIdentity(
            pid: pid, name: name(of: pid), unit: container == nil ? UnitName.find(inControlGroups: groups) : nil,
            container: container)
    }

    /// The text of `/proc/PID/cgroup`; empty: the process is gone.
    private func controlGroups(of pid: Int32) -> [UInt8] {
        // 13 hierarchies of cgroup v1 with paths of up to 4096 bytes would be 52 KB; real
        // ones are a tenth of that.
        (try? Files.bytes("\(folder)/\(pid)/cgroup", limit: 1 << 16)) ?? []
    }

    /// A decimal number without sign, as folders of processes are named.
    private static func number(_ text: UnsafePointer<CChar>) -> Int32? {
        var value: Int32 = 0
        var index = 0
        while text[index] != 0 {
            let digit = Int32(text[index]) - Int32(UInt8(ascii: "0"))
            guard (0...9).contains(digit), value < 100_000_000 else { return nil }
            value = value * 10 + digit
            index += 1
        }
        return index == 0 ? nil : value
    }
}
