import Glibc

/// CLOCK_MONOTONIC in nanoseconds, as the kernel side stamps its observations.
public func monotonicTime() -> UInt64 { time(of: CLOCK_MONOTONIC) }

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
public func realtimeOffset() -> Int64 {
    Int64(bitPattern: time(of: CLOCK_REALTIME) &- time(of: CLOCK_MONOTONIC))
}

private func time(of clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
