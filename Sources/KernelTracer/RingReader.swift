// Takes observations out of the ring buffer.

import CLibBPF
import CNattrace
import Glibc

/// Owns libbpf's side of the ring. A final class whose method the C callback calls: that is
/// the cheapest way from C into Swift.
final class RingReader {
    typealias Body = (UnsafePointer<nattrace_observation>) -> Void

    private var ring: OpaquePointer?
    private var body: Body?
    private var remaining = 0
    private var taken = 0
    /// A module was loaded at `time`, CLOCK_MONOTONIC in nanoseconds.
    typealias ModuleEvent = (name: String, time: UInt64)
    private var moduleEvents: [ModuleEvent] = []

    /// Returned by the callback to leave the ring before it is empty; the sample counts as taken.
    private static let enough: Int32 = -ECANCELED

    /// `map` is the ring buffer's descriptor, which stays the caller's.
    init(map: Int32) throws(TracerError) {
        ring = ring_buffer__new(
            map,
            { context, data, size in
                guard let context, let data, size >= MemoryLayout<nattrace_observation>.size else { return 0 }
                return Unmanaged<RingReader>.fromOpaque(context).takeUnretainedValue().take(data)
            }, Unmanaged.passUnretained(self).toOpaque(), nil)
        guard ring != nil else { throw .last("mapping the ring buffer") }
    }

    deinit { ring_buffer__free(ring) }

    /// Hands at most `limit` observations to `body`, oldest first, and returns how many.
    /// The memory is the ring's, and gone after `body`. What is about modules is kept back.
    func drain(limit: Int, _ body: Body) throws(TracerError) -> Int {
        guard limit > 0 else { return 0 }
        remaining = limit
        taken = 0
        let result = withoutActuallyEscaping(body) { body in
            self.body = body
            defer { self.body = nil }
            return ring_buffer__consume(ring)
        }
        guard result >= 0 || result == Self.enough else {
            throw .system(call: "reading the ring buffer", errno: -result)
        }
        return taken
    }

    /// What was told about modules since the last call.
    func takeModuleEvents() -> [ModuleEvent] {
        defer { moduleEvents = [] }
        return moduleEvents
    }

    private func take(_ data: UnsafeMutableRawPointer) -> Int32 {
        let observation = UnsafePointer(data.assumingMemoryBound(to: nattrace_observation.self))
        if observation.pointee.kind == NATTRACE_KIND_MODULE {
            let name = withUnsafeBytes(of: observation.pointee.name) { name in
                String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
            moduleEvents.append((name, observation.pointee.time_ns))
        } else {
            body?(observation)
            taken += 1
        }
        remaining -= 1
        return remaining > 0 ? 0 : Self.enough
    }
}
