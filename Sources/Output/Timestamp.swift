// Dates from nanoseconds, since a whole Foundation would be a high price for them.

/// A moment in UTC, taken apart (proleptic Gregorian calendar, no leap seconds, as POSIX counts).
struct CivilTime: Equatable {
    var year: Int
    var month: Int
    var day: Int
    /// Of the day, 0 to 86399.
    var second: Int

    init(secondsSinceEpoch seconds: Int64) {
        func floor(_ a: Int64, _ b: Int64) -> (quotient: Int64, remainder: Int64) {
            let (q, r) = a.quotientAndRemainder(dividingBy: b)
            return r < 0 ? (q - 1, r + b) : (q, r)
        }
        let (days, secondOfDay) = floor(seconds, 86_400)
        // The calendar repeats every 400 years.
        let (cycles, dayOfCycle) = floor(days, 146_097)
        var year = 1970 + 400 * Int(cycles)
        var rest = Int(dayOfCycle)
        func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
        while rest >= (isLeap(year) ? 366 : 365) {
            rest -= isLeap(year) ? 366 : 365
            year += 1
        }
        var month = 1
        for length in [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if rest < length { break }
            rest -= length
            month += 1
        }
        self.year = year
        self.month = month
        day = rest + 1
        second = Int(secondOfDay)
    }
}

/// Turns monotonic times into RFC 3339 text: `2025-01-31T23:59:59.123456789Z`.
///
/// Keeps the text of the last second, since most lines fall into the same one.
struct Clock {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    let realtimeOffset: Int64
    /// The monotonic time at which the last second began, and its date up to the point, once there was one.
    private var second: UInt64 = 0
    private var text: [UInt8] = []
    /// Bytes of a date up to the point, of years of four digits.
    private static let textBytes = 20

    init(realtimeOffset: Int64) { self.realtimeOffset = realtimeOffset }

    /// Seconds since 1970 and nanoseconds of a monotonic time.
    func realtime(_ monotonic: UInt64) -> (seconds: Int64, nanoseconds: UInt64) {
        let time = Int64(truncatingIfNeeded: monotonic) &+ realtimeOffset
        let nanoseconds = time % 1_000_000_000
        return nanoseconds < 0
            ? (time / 1_000_000_000 - 1, UInt64(nanoseconds + 1_000_000_000))
            : (time / 1_000_000_000, UInt64(nanoseconds))
    }

    /// Appends the date of a monotonic time.
    mutating func put(_ monotonic: UInt64, to output: OutputBuffer) {
        if text.isEmpty || monotonic &- second >= 1_000_000_000 { remember(secondOf: monotonic) }
        // A constant number of bytes, so that no function is called to copy them.
        text.withUnsafeBytes { output.put(UnsafeRawBufferPointer(start: $0.baseAddress, count: Self.textBytes)) }
        output.putNine(monotonic &- second)
        output.put(UInt8(ascii: "Z"))
    }

    /// `23:59:59.123Z`
    func timeOfDay(_ monotonic: UInt64) -> String {
        let (seconds, nanoseconds) = realtime(monotonic)
        let second = CivilTime(secondsSinceEpoch: seconds).second
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return "\(digits(second / 3600, 2)):\(digits(second / 60 % 60, 2)):\(digits(second % 60, 2))"
            + ".\(digits(Int(nanoseconds / 1_000_000), 3))Z"
    }

    private mutating func remember(secondOf monotonic: UInt64) {
        let (seconds, nanoseconds) = realtime(monotonic)
        second = monotonic &- nanoseconds
        let civil = CivilTime(secondsSinceEpoch: seconds)
        func digits(_ number: Int, _ count: Int) -> [UInt8] {
            var rest = number
            var digits = [UInt8](repeating: UInt8(ascii: "0"), count: count)
            for i in digits.indices.reversed() {
                digits[i] += UInt8(rest % 10)
                rest /= 10
            }
            return digits
        }
        text = digits(civil.year, 4)
        let parts: [(Unicode.Scalar, Int)] = [
            ("-", civil.month), ("-", civil.day), ("T", civil.second / 3600), (":", civil.second / 60 % 60),
            (":", civil.second % 60),
        ]
        for (separator, number) in parts { text += [UInt8(ascii: separator)] + digits(number, 2) }
        text.append(UInt8(ascii: "."))
    }
}
