// The way out: batches, slow and vanished readers, full disks.

import Glibc
import Testing

@testable import Output

@Suite struct OutputBufferTests {
    @Test func numbers() {
        let capture = Capture()
        for number: UInt64 in [0, 9, 10, 99, 100, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, .max] {
            capture.output.put(number)
            capture.output.put(" ")
        }
        capture.output.putNine(7)
        capture.output.putHex(0xbeef, digits: 6)
        #expect(
            capture.text()
                == "0 9 10 99 100 9999999999999999999 10000000000000000000 18446744073709551615 00000000700beef")
    }

    /// Digits are made eight at a time: as Swift writes them, at each length and where halves of them are zero.
    @Test func numbersAreAsSwiftWritesThem() {
        var numbers: [UInt64] = [0, .max]
        for length in 0..<20 {
            let power = (0..<length).reduce(UInt64(1)) { product, _ in product &* 10 }
            numbers += [power &- 1, power, power &+ 1, power &* 9 / 7]
        }
        for number in stride(from: UInt64(0), to: 99_999_999, by: 9973) { numbers.append(number) }
        for number in 0..<UInt64(10_000) { numbers += [number, number &* 0x9e37_79b9_7f4a_7c15] }
        let capture = Capture()
        var expected = ""
        for number in numbers {
            capture.output.put(number)
            capture.output.put(" ")
            capture.output.putHex16(number)
            capture.output.put(" ")
            let hex = String(number, radix: 16)
            expected += "\(number) \(String(repeating: "0", count: 16 - hex.count) + hex) "
        }
        #expect(capture.text() == expected)
    }

    /// As RFC 5952 has it, and as `IPAddress` itself says.
    @Test func addresses() {
        let texts = [
            "0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "::1", "1::", "2001:db8::1", "::ffff:192.0.2.1",
            "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "2001:db8::1:0:0:1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6::",
            "::3:4:5:6:7:8", "fe80::abcd:ef01:0:10", "f:ff:fff:ffff::",
        ]
        for text in texts {
            let address = endpoint(text, 0).address
            let capture = Capture()
            capture.output.put(address)
            #expect(capture.text() == text)
            #expect(address.description == text)
        }
    }

    @Test func aLineLongerThanTheBufferStaysWhole() {
        let capture = Capture()
        let long = String(repeating: "x", count: 300_000)
        capture.output.put(text: long)
        #expect(capture.output.written == 0)
        capture.output.endLine()
        #expect(capture.output.written == 300_001)
        #expect(capture.text() == long + "\n")
    }

    @Test func aReaderThatIsGoneIsNoError() {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        let output = OutputBuffer(descriptor: ends[1], name: "standard output")
        output.put("x")
        #expect(output.flush() == .readerGone)
        output.put("y")
        #expect(output.flush() == .readerGone)
        #expect(output.written == 0)
    }

    @Test func aFullDiskIsAnError() {
        let descriptor = open("/dev/full", O_WRONLY)
        defer { close(descriptor) }
        let output = OutputBuffer(descriptor: descriptor, name: "out\u{1b}[2J.json")
        output.put("x")
        let error = OutputError(operation: .write, name: "out\u{1b}[2J.json", code: ENOSPC)
        #expect(output.flush() == .failed(error))
        #expect(!error.description.contains("\u{1b}"))
        #expect(error.exitStatus == 74)
    }

    /// A reader that takes a little at a time, on a descriptor that somebody made non-blocking.
    @Test func aSlowReaderGetsEverything() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        let reader = ends[0]
        var thread = pthread_t()
        let total = UnsafeMutablePointer<Int>.allocate(capacity: 2)
        defer { total.deallocate() }
        total[0] = Int(reader)
        total[1] = 0
        let started = pthread_create(
            &thread, nil,
            { argument in
                guard let total = argument?.assumingMemoryBound(to: Int.self) else { return nil }
                var chunk = [UInt8](repeating: 0, count: 5000)
                while true {
                    let count = read(Int32(total[0]), &chunk, chunk.count)
                    if count <= 0 { return nil }
                    total[1] += count
                    usleep(200)
                }
            }, total)
        #expect(started == 0)
        let output = OutputBuffer(descriptor: ends[1], name: "a pipe")
        for _ in 0..<50_000 {
            output.put("0123456789")
            output.endLine()
        }
        #expect(output.flush() == .open)
        close(ends[1])
        pthread_join(thread, nil)
        close(ends[0])
        #expect(total[1] == 550_000)
        #expect(output.written == 550_000)
    }
}
