// Tells the kernel side that nobody looks into the ring buffer until he is woken.

import CLibBPF
import CNattrace
import Glibc

/// The programs' variable `sleeping`, mapped: to set it costs no system call.
///
/// While it is not set, the programs wake nobody, and whoever reads has to look again by himself. To wake up for each
/// observation costs the traced connection more than the observation does.
final class SleepFlag {
    private let memory: UnsafeMutableRawPointer
    private static let bytes = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// `map`: the descriptor of the map that holds the variable and nothing else.
    init(map: Int32) throws(TracerError) {
        let memory = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
        guard let memory, memory != MAP_FAILED else { throw .last("mapping the BPF programs' variables") }
        self.memory = memory
    }

    deinit { munmap(memory, Self.bytes) }

    /// The programs wake from here on. What was written before this shows when the ring buffer is looked at after it:
    /// one of both sees the other.
    func set() { nattrace_store_flag(memory, 1) }

    func clear() { nattrace_store_flag(memory, 0) }
}
