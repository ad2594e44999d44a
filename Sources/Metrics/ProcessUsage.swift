// What this program itself uses, asked when it is scraped.

import Glibc

struct ProcessUsage {
    /// Nanoseconds, of all threads, user and system (getrusage(2)).
    var processorTime: UInt64
    /// Bytes (proc_pid_statm(5)).
    var residentBytes: UInt64

    /// nil: /proc does not tell.
    static var now: ProcessUsage? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0, let pages = residentPages() else {
            return nil
        }
        func nanoseconds(_ time: timeval) -> UInt64 {
            UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_usec) * 1000
        }
        return ProcessUsage(
            processorTime: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
            residentBytes: pages * UInt64(sysconf(Int32(_SC_PAGESIZE))))
    }

    private static func residentPages() -> UInt64? {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let fields = bytes[..<count].split(separator: UInt8(ascii: " "))
        return fields.count > 1 ? UInt64(String(decoding: fields[1], as: UTF8.self)) : nil
    }
}
