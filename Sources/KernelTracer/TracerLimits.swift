// How much the kernel side may hold: what a user may want to be larger or smaller.

import CNattrace

/// Sizes that are set when the programs are loaded.
public struct TracerLimits: Hashable, Sendable {
    /// Bytes of the ring buffer: a power of two, in which the kernel wants whole pages. The process maps it twice, so
    /// that what wraps around lies in one piece.
    public let ringBytes: Int
    /// Handshakes followed at once.
    public let connections: Int

    public static let ringRange = 64 << 10...1 << 30
    public static let connectionsRange = 1024...1 << 22
    public static let standard = TracerLimits(
        ringBytes: Int(NATTRACE_RING_BYTES), connections: Int(NATTRACE_CONNECTIONS))

    /// What is out of range is brought into it; a ring buffer gets the next larger size that there is.
    public init(ringBytes: Int, connections: Int) {
        let wanted = min(max(ringBytes, Self.ringRange.lowerBound), Self.ringRange.upperBound)
        self.ringBytes = wanted.nonzeroBitCount == 1 ? wanted : 1 << (Int.bitWidth - wanted.leadingZeroBitCount)
        self.connections = min(
            max(connections, Self.connectionsRange.lowerBound), Self.connectionsRange.upperBound)
    }

    /// The sequence numbers of so many handshakes, and of those that the ring buffer may tell of before user space,
    /// which keeps as many, has let go of older ones for them.
    var numbers: Int {
        (connections + ringBytes / MemoryLayout<nattrace_observation>.size) * Int(NATTRACE_NUMBERS)
    }

    /// `max_entries` of a map by its name in the object; nil: it has its own.
    func entries(of map: String) -> UInt32? {
        switch map {
        case "ring": UInt32(ringBytes)
        case "followed": UInt32(numbers)
        default: nil
        }
    }

    /// With so much unread, no handshake begins to be followed: half of the room is for those that are.
    var pressedBytes: Int { ringBytes / 2 }
    /// With so much unread, not even one that ends where it was first seen.
    var endsBytes: Int { ringBytes / 8 * 7 }
}
