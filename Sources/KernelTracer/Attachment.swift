// Programs attached to a hook, for as long as this lives.

import CLibBPF
import Glibc
import Handshake
import SystemSupport

/// Links are file descriptors of this process, nothing is pinned: however the process ends,
/// the kernel detaches what it had attached.
final class Attachment {
    let backend: Backend
    /// The module that the function is in, nil where it is built in.
    let module: String?
    /// CLOCK_MONOTONIC in nanoseconds, before the first program was attached.
    let time: UInt64

    private let object: ProgramObject
    private let programs: [OpaquePointer]
    private var links: [OpaquePointer] = []

    /// Attaches the programs of one way, in order; all or none. They are `object`'s, which
    /// lives as long as this at least. `symbol`: what the kernel calls the function, if not as the way does.
    init(
        _ way: Way, symbol: String? = nil, module: String?, programs: [OpaquePointer], of object: ProgramObject
    ) throws(TracerError) {
        backend = way.backend
        self.module = module
        self.object = object
        self.programs = programs
        time = monotonicTime()
        for program in programs {
            let link: OpaquePointer? =
                switch way.target {
                case .function(let name) where way.backend == .kprobe:
                    bpf_program__attach_kprobe(program, Self.isReturnProbe(program), symbol ?? name)
                // The kernel has been told at load where they go.
                case .function, .event: bpf_program__attach(program)
                }
            guard let link else {
                let error = errno
                detach()
                throw .system(call: "attaching", errno: error)
            }
            links.append(link)
        }
    }

    deinit { detach() }

    /// Descriptors of the programs.
    var descriptors: [Int32] { programs.map { bpf_program__fd($0) } }

    /// Returns before entries, so that no return is counted that lost its entry by this.
    func detach() {
        while let link = links.popLast() { bpf_link__destroy(link) }
    }

    private static func isReturnProbe(_ program: OpaquePointer) -> Bool {
        bpf_program__section_name(program).map { String(cString: $0).hasPrefix("kretprobe") } ?? false
    }
}
