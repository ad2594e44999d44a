// The BPF object that this program carries, loaded with a choice of its programs.

import CLibBPF
import CNattrace
import Glibc
import Privileges

/// Owns a loaded `struct bpf_object`; its programs and maps live as long as this.
final class ProgramObject {
    private let handle: OpaquePointer
    /// Programs that the kernel would not load, and why.
    let refused: [String: String]

    /// Loads those of `wanted` that the kernel accepts. `sharing` is an object loaded before,
    /// whose maps, constants apart, are used instead of new ones.
    init(
        loading wanted: Set<String>, configuration: nattrace_configuration, limits: TracerLimits,
        sharing other: ProgramObject? = nil
    ) throws(TracerError) {
        var wanted = wanted
        var refused: [String: String] = [:]
        while true {
            let handle = try Self.open()
            let mark = LibbpfLog.mark
            let result: Int32
            do throws(TracerError) {
                try Self.prepare(handle, loading: wanted, configuration: configuration, limits: limits, sharing: other)
                result = bpf_object__load(handle)
            } catch {
                bpf_object__close(handle)
                throw error
            }
            if result == 0 {
                self.handle = handle
                self.refused = refused
                return
            }
            bpf_object__close(handle)
            // One refused program makes the whole load fail: go on without it. Each round has
            // one program less, so this ends.
            guard let refusal = Refusal(log: LibbpfLog.lines(since: mark)), wanted.remove(refusal.program) != nil else {
                throw Self.failure(-result)
            }
            refused[refusal.program] = refusal.reason
        }
    }

    deinit { bpf_object__close(handle) }

    /// nil: the object has no such program, or it was not to be loaded.
    func program(_ name: String) -> OpaquePointer? {
        guard let program = bpf_object__find_program_by_name(handle, name), bpf_program__fd(program) >= 0 else {
            return nil
        }
        return program
    }

    /// The loaded programs.
    var programs: [OpaquePointer] {
        Self.programs(of: handle).filter { bpf_program__fd($0) >= 0 }
    }

    /// A descriptor that stays this object's.
    func map(_ name: String) throws(TracerError) -> Int32 {
        let descriptor = bpf_object__find_map_fd_by_name(handle, name)
        guard descriptor >= 0 else { throw .system(call: "finding the BPF map \(name)", errno: -descriptor) }
        return descriptor
    }

    /// The names of all programs in the object and the sections they are in, without loading.
    static func contents() throws(TracerError) -> [(program: String, section: String)] {
        let handle = try open()
        defer { bpf_object__close(handle) }
        return programs(of: handle).map { (name(of: $0), String(cString: bpf_program__section_name($0))) }
    }

    private static func open() throws(TracerError) -> OpaquePointer {
        var size = 0
        let bytes = nattrace_embedded_object(&size)
        var options = bpf_object_open_opts()
        options.sz = MemoryLayout<bpf_object_open_opts>.size
        let handle = "nattrace".withCString { name in
            options.object_name = name
            return bpf_object__open_mem(bytes, size, &options)
        }
        guard let handle else { throw .last("opening the embedded BPF object") }
        return handle
    }

    private static func prepare(
        _ handle: OpaquePointer, loading wanted: Set<String>, configuration: nattrace_configuration,
        limits: TracerLimits, sharing other: ProgramObject?
    ) throws(TracerError) {
        for program in programs(of: handle) {
            bpf_program__set_autoload(program, wanted.contains(name(of: program)))
        }
        var configuration = configuration
        var isConfigured = false
        var map: OpaquePointer? = bpf_object__next_map(handle, nil)
        while let current = map {
            let name = String(cString: bpf_map__name(current))
            if name == ".rodata.config" {
                // It holds one variable. Its value size is checked by libbpf.
                let result = bpf_map__set_initial_value(
                    current, &configuration, MemoryLayout.size(ofValue: configuration))
                guard result == 0 else {
                    throw .system(call: "setting the BPF programs' configuration", errno: -result)
                }
                isConfigured = true
            } else if let other, !name.contains(".rodata") {
                let result = bpf_map__reuse_fd(current, try other.map(name))
                guard result == 0 else { throw .system(call: "sharing the BPF map \(name)", errno: -result) }
            } else if let entries = limits.entries(of: name) {
                let result = bpf_map__set_max_entries(current, entries)
                guard result == 0 else { throw .system(call: "sizing the BPF map \(name)", errno: -result) }
            }
            map = bpf_object__next_map(handle, current)
        }
        guard isConfigured else { throw .system(call: "finding the BPF programs' .rodata.config", errno: ENOENT) }
    }

    private static func programs(of handle: OpaquePointer) -> [OpaquePointer] {
        var programs: [OpaquePointer] = []
        while let program = bpf_object__next_program(handle, programs.last) { programs.append(program) }
        return programs
    }

    private static func name(of program: OpaquePointer) -> String {
        String(cString: bpf_program__name(program))
    }

    /// A load that failed for no program's sake. The capabilities were checked before.
    private static func failure(_ error: Int32) -> TracerError {
        let hasMaps = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_HASH, nil) == 1
        if hasMaps && libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nil) == 0 {
            return .unsupportedKernel(what: "it has no BPF ring buffer", whatToDo: "use Linux 5.8 or newer")
        }
        return switch error {
        // Before 5.11 what maps take is counted as locked memory of the user; libbpf has tried to raise the limit.
        case EPERM where hasMaps && !lockedMemoryIsUnlimited && !CapabilitySet.effective.contains(.sysResource):
            .notPermitted(
                capability: "CAP_SYS_RESOURCE or an unlimited RLIMIT_MEMLOCK (before Linux 5.11)",
                whatToDo: "run nattrace as root, or raise the limit (systemd: LimitMEMLOCK=infinity)")
        case EPERM, EACCES:
            .notPermitted(capability: "CAP_BPF outside of a user namespace, with bpf(2) not filtered by seccomp")
        case ENOSYS:
            .unsupportedKernel(what: "it has no bpf(2)", whatToDo: "use one that is built with CONFIG_BPF_SYSCALL=y")
        default:
            .system(call: "loading the BPF programs", errno: error)
        }
    }

    private static var lockedMemoryIsUnlimited: Bool {
        var limit = rlimit()
        // RLIM_INFINITY, which is imported wrongly.
        return getrlimit(Int32(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 && limit.rlim_cur == .max
    }
}
