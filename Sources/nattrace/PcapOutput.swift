// The file of `--pcap`: opened, written beside whatever is shown, closed.

import Glibc
import Handshake
import Output

/// A pcapng file, a pipe, or standard output, with the sink that writes it.
final class PcapOutput {
    /// Stands for standard output.
    static let standardOutput = "-"

    let sink: PcapngSink
    let output: OutputBuffer
    /// nil: standard output, which is not closed.
    private var descriptor: Int32?

    /// Takes over the file. `backlog`: bytes that may wait for the reader; nil: it is waited for. Then it has to be
    /// made while there is the right to open pipes again.
    init(_ file: PcapFile, hardware: String?, selection: VerdictSelection, backlog: Int?) {
        descriptor = file.path == Self.standardOutput ? nil : file.descriptor
        let name = file.path == Self.standardOutput ? "standard output" : file.path
        output =
            backlog == nil
            ? OutputBuffer(descriptor: file.descriptor, name: name)
            : OutputBuffer(outlet: Outlet(file.descriptor), name: name)
        sink = PcapngSink(
            output: output, application: "nattrace \(nattraceVersion)", hardware: hardware, limit: backlog,
            isSelective: selection != VerdictSelection())
    }

    deinit { if let descriptor { Glibc.close(descriptor) } }

    @discardableResult
    func flush() -> OutputBuffer.State { output.flush() }

    /// At the end: closes it, and says what is wrong with it.
    func finish() -> OutputBuffer.State {
        guard let descriptor else { return output.state }
        self.descriptor = nil
        // Some file systems say only now that there was no room.
        let result = Glibc.close(descriptor)
        let code = errno
        if result != 0, code != EINTR, output.state == .open {
            return .failed(OutputError(operation: .write, name: output.name, code: code, written: output.written))
        }
        return output.state
    }

    /// At the end: what was left out, and whether the rest of it was never read, which is an error.
    func undelivered(_ status: StatusWriter) -> Failure? {
        let leftOut = sink.leftOut
        let connections = "\(leftOut) \(leftOut == 1 ? "connection" : "connections")"
        if output.awaited != nil {
            let rest = "the last \(output.unwritten) bytes of it left out"
            return Failure(
                .cannotWrite, "\(output.name) was not read: " + (leftOut > 0 ? "\(connections) and \(rest)" : rest))
        }
        if leftOut > 0, output.state == .open {
            status.warning("\(connections) of \(output.name) left out, because it was not read in time")
        }
        return nil
    }
}

/// A file that was opened to be written.
struct PcapFile {
    let path: String
    let descriptor: Int32

    /// Creates or empties the file, readable by its owner only. A pipe waits until somebody reads it.
    ///
    /// `others`: what else is read or written, each with its path and what to call it.
    init(_ path: String, beside others: [(path: String, what: String)]) throws {
        try Self.check(path, beside: others)
        self.path = path
        descriptor = path == PcapOutput.standardOutput ? STDOUT_FILENO : try OutputBuffer.create(file: path)
    }

    /// Refuses what would spoil something else. To be asked before any of the others is written to.
    static func check(_ path: String, beside others: [(path: String, what: String)]) throws(Failure) {
        guard path != PcapOutput.standardOutput else {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw Failure.usage(
                    "'--pcap -' writes packets to standard output, which is a terminal: name a file, or pipe it to"
                        + " 'wireshark -k -i -'")
            }
            return
        }
        let own = Self.identity { stat(path, &$0) }
        for other in others where other.path == path || own != nil && own == Self.identity({ stat(other.path, &$0) }) {
            throw Failure.usage("'--pcap \(path)' is \(other.what): name another file")
        }
        if own != nil, own == Self.identity({ fstat(STDOUT_FILENO, &$0) }) {
            throw Failure.usage("'--pcap \(path)' is the file that standard output goes to: name another file")
        }
    }

    static func isPipe(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    private struct Identity: Equatable {
        var device: dev_t
        var inode: ino_t
    }

    /// Of files and pipes, which must not be written twice; nil: there is none, or it is something else.
    private static func identity(_ ask: (inout stat) -> Int32) -> Identity? {
        var status = stat()
        guard ask(&status) == 0, [S_IFREG, S_IFIFO].contains(status.st_mode & S_IFMT) else { return nil }
        return Identity(device: status.st_dev, inode: status.st_ino)
    }
}
