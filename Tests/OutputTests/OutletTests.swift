// Readers that take nothing for a while, of each kind: nobody waits for them, and they get
// everything in the end.

import Glibc
import Testing

@testable import Output

/// Two ends of something to write to and to read from.
private final class Ends {
    let reader: Int32
    let writer: Int32
    private var readerIsOpen = true

    init(_ reader: Int32, _ writer: Int32) {
        (self.reader, self.writer) = (reader, writer)
        _ = fcntl(reader, F_SETFL, O_NONBLOCK)
    }

    deinit {
        closeReader()
        close(writer)
    }

    static func pipe() -> Ends {
        var ends: [Int32] = [-1, -1]
        precondition(Glibc.pipe(&ends) == 0)
        return Ends(ends[0], ends[1])
    }

    static func socket() -> Ends {
        var ends: [Int32] = [-1, -1]
        precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        return Ends(ends[0], ends[1])
    }

    /// Raw: what is written comes out as it is.
    static func terminal() -> Ends {
        var main: Int32 = -1
        var terminal: Int32 = -1
        precondition(openpty(&main, &terminal, nil, nil, nil) == 0)
        var settings = termios()
        precondition(tcgetattr(terminal, &settings) == 0)
        cfmakeraw(&settings)
        precondition(tcsetattr(terminal, TCSANOW, &settings) == 0)
        return Ends(main, terminal)
    }

    func closeReader() {
        if readerIsOpen { close(reader) }
        readerIsOpen = false
    }

    /// What can be read now.
    func available() -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(reader, &chunk, chunk.count)
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }
}

enum Medium: String, CaseIterable, Sendable {
    case pipe, socket, terminal

    fileprivate var ends: Ends {
        switch self {
        case .pipe: .pipe()
        case .socket: .socket()
        case .terminal: .terminal()
        }
    }

    var way: Outlet.Way { self == .socket ? .socket : .own }
}

/// Line by line, each with its number.
private func line(_ number: Int) -> String { "\(number) 0123456789012345678901234567890123456789" }

@Suite struct OutletTests {
    /// A megabyte, which nothing here has room for; then the reader takes it, piece by piece.
    @Test(.timeLimit(.minutes(1)), arguments: Medium.allCases)
    func aReaderThatComesBackGetsEverythingInOrder(medium: Medium) {
        let ends = medium.ends
        let outlet = Outlet(ends.writer)
        #expect(outlet.way == medium.way)
        let output = OutputBuffer(outlet: outlet, name: "a reader")
        var expected = ""
        for number in 0..<20_000 {
            output.put(text: line(number))
            output.endLine()
            expected += line(number) + "\n"
        }
        #expect(output.flush() == .open)
        #expect(output.unwritten > 100_000)
        #expect(output.unwritten + Int(output.written) == expected.utf8.count)
        #expect(output.awaited == outlet.descriptor)

        var came = ends.available()
        #expect(!came.isEmpty)
        while output.awaited != nil {
            #expect(output.flush() == .open)
            came += ends.available()
        }
        #expect(output.unwritten == 0)
        // The terminal's side may still be moving what it was given.
        while came.count < expected.utf8.count { came += ends.available() }
        #expect(came == Array(expected.utf8))
    }

    @Test(arguments: Medium.allCases)
    func theOpenFileOfOthersStaysAsItWas(medium: Medium) {
        let ends = medium.ends
        let output = OutputBuffer(outlet: Outlet(ends.writer), name: "a reader")
        output.put("x")
        output.flush()
        #expect(fcntl(ends.writer, F_GETFL) & O_NONBLOCK == 0)
        #expect(ends.available() == [UInt8(ascii: "x")])
    }

    @Test(arguments: [Medium.pipe, .socket])
    func aReaderThatGoesIsNoError(medium: Medium) {
        signal(SIGPIPE, SIG_IGN)
        let ends = medium.ends
        let output = OutputBuffer(outlet: Outlet(ends.writer), name: "a reader")
        for number in 0..<20_000 {
            output.put(text: line(number))
            output.endLine()
        }
        #expect(output.flush() == .open)
        ends.closeReader()
        #expect(output.flush() == .readerGone)
        #expect(output.unwritten == 0 && output.awaited == nil)
        output.put("more")
        #expect(output.flush() == .readerGone)
        #expect(output.unwritten == 0)
    }

    /// As Ctrl-S does.
    @Test(.timeLimit(.minutes(1)))
    func aStoppedTerminalIsNotWaitedFor() {
        let ends = Ends.terminal()
        let output = OutputBuffer(outlet: Outlet(ends.writer), name: "a terminal")
        #expect(tcflow(ends.writer, TCOOFF) == 0)
        output.put("stopped")
        #expect(output.flush() == .open)
        #expect(output.unwritten == 7 && output.written == 0)
        #expect(tcflow(ends.writer, TCOON) == 0)
        #expect(output.flush() == .open)
        #expect(output.unwritten == 0 && output.written == 7)
    }

    /// A named pipe whose reader is gone cannot be opened again.
    @Test func whatCannotBeOpenedAgainIsAskedFirst() throws {
        signal(SIGPIPE, SIG_IGN)
        let file = TemporaryFile()
        unlink(file.path)
        try #require(mkfifo(file.path, 0o600) == 0)
        let reader = open(file.path, O_RDONLY | O_NONBLOCK)
        let writer = open(file.path, O_WRONLY)
        defer { close(writer) }
        close(reader)
        let outlet = Outlet(writer)
        #expect(outlet.way == .asked)
        #expect(outlet.descriptor == writer)
        let bytes = [UInt8](repeating: 1, count: 10_000)
        #expect(bytes.withUnsafeBytes { outlet.take($0) } == .failed(errno: EPIPE))
    }

    /// The descriptor itself waits, and is not waited for.
    @Test(.timeLimit(.minutes(1)))
    func aFullPipeThatIsAskedFirst() {
        let ends = Ends.pipe()
        let output = OutputBuffer(outlet: Outlet(asking: ends.writer), name: "a pipe")
        for number in 0..<10_000 {
            output.put(text: line(number))
            output.endLine()
        }
        #expect(output.flush() == .open)
        #expect(output.awaited == ends.writer)
        var came = ends.available()
        while output.awaited != nil {
            #expect(output.flush() == .open)
            came += ends.available()
        }
        #expect(came == Array((0..<10_000).map { line($0) + "\n" }.joined().utf8))
    }

    /// The side of a terminal that a terminal's window has: opened again, it would be another terminal.
    @Test(.timeLimit(.minutes(1)))
    func theOtherSideOfATerminalIsAskedFirst() {
        let ends = Ends.terminal()
        _ = fcntl(ends.reader, F_SETFL, 0)
        let outlet = Outlet(ends.reader)
        #expect(outlet.way == .asked)
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        #expect(bytes.withUnsafeBytes { outlet.take($0) } != .wouldWait)
    }

    /// One that is not told apart by what it is: files have an offset, and maybe O_APPEND, that count.
    @Test func filesAreWrittenAsTheyAre() {
        let file = TemporaryFile()
        file.bytes = Array("first ".utf8)
        let descriptor = open(file.path, O_WRONLY | O_APPEND)
        defer { close(descriptor) }
        let outlet = Outlet(descriptor)
        #expect(outlet.way == .plain && outlet.descriptor == descriptor)
        let output = OutputBuffer(outlet: outlet, name: "a file")
        output.put("second")
        #expect(output.flush() == .open)
        #expect(file.bytes == Array("first second".utf8))
    }

    @Test func aFullDiskIsAnError() {
        let descriptor = open("/dev/full", O_WRONLY)
        defer { close(descriptor) }
        let output = OutputBuffer(outlet: Outlet(descriptor), name: "a disk")
        output.put("x")
        #expect(output.flush() == .failed(OutputError(operation: .write, name: "a disk", code: ENOSPC)))
        #expect(output.unwritten == 0)
    }

    @Test func whatIsNotOpenIsAnError() {
        let output = OutputBuffer(outlet: Outlet(-1), name: "nothing")
        output.put("x")
        #expect(output.flush() == .failed(OutputError(operation: .write, name: "nothing", code: EBADF)))
    }

    @Test func countsTheLinesThatWait() {
        let ends = Ends.pipe()
        let output = OutputBuffer(outlet: Outlet(ends.writer), name: "a pipe")
        for number in 0..<10_000 {
            output.put(text: line(number))
            output.endLine()
        }
        output.flush()
        let came = ends.available().count { $0 == UInt8(ascii: "\n") }
        #expect(came > 0 && output.unwrittenLines == 10_000 - came)
    }
}

@Suite struct ByteQueueTests {
    @Test func firstInFirstOut() {
        var queue = ByteQueue()
        var next: UInt8 = 0
        var expected: [UInt8] = []
        // Grows, is taken from, moves and grows again.
        for round in 1...200 {
            let more = (0..<(round * 37 % 101)).map { _ in
                next &+= 1
                return next
            }
            more.withUnsafeBytes { queue.append($0) }
            expected += more
            let taken = round * 53 % 97 % (queue.count + 1)
            #expect(Array(queue.bytes.prefix(taken)) == Array(expected.prefix(taken)))
            queue.removeFirst(taken)
            expected.removeFirst(taken)
            #expect(queue.count == expected.count && Array(queue.bytes) == expected)
        }
        queue.removeAll()
        #expect(queue.isEmpty && queue.bytes.isEmpty)
    }
}
