import ArgumentParser
import Glibc
import KernelTracer
import Output
import SystemSupport

/// The root of the command line.
@main
struct Nattrace: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nattrace",
        abstract: Trace.configuration.abstract,
        version: BuildFacts.text,
        subcommands: [Trace.self, Replay.self, ReportCommand.self, Doctor.self],
        defaultSubcommand: Trace.self)

    /// The command that is meant where none is named.
    static let standardCommand = Trace._commandName

    static func main() {
        // A reader that goes away is no failure; writing then reports EPIPE.
        signal(SIGPIPE, SIG_IGN)
        let outcome = perform(Array(CommandLine.arguments.dropFirst()))
        var status = outcome.status
        var error = outcome.error
        if !outcome.text.isEmpty, let failure = write(outcome.text, to: STDOUT_FILENO), failure != EPIPE {
            status = .cannotWrite
            error = "stdout cannot be written: \(errorText(failure))"
        }
        if let error {
            if outcome.isLive { say(error) } else { _ = write("nattrace: \(oneLine(error))\n", to: STDERR_FILENO) }
        }
        Glibc.exit(status.rawValue)
    }

    /// What is left to say when a command is over.
    struct Outcome: Equatable {
        var status: ExitStatus
        /// For stdout: help, the version, a completion script.
        var text = ""
        /// For stderr.
        var error: String?
        /// Whether it is a live run's: it had no reader wait, and has none wait now.
        var isLive = false
    }

    static func perform(_ arguments: [String]) -> Outcome {
        if arguments.first == Completion.request {
            return Outcome(status: .done, text: Completion.answer(Array(arguments.dropFirst())))
        }
        do throws(Failure) {
            if let script = try CompletionScripts.asked(by: arguments) { return Outcome(status: .done, text: script) }
        } catch {
            return outcome(of: error)
        }
        var command: any ParsableCommand
        do {
            command = try parse(commandLine: arguments)
        } catch let failure as Failure {
            return outcome(of: failure)
        } catch {
            return help(error) ?? outcome(of: refusal(of: arguments, error))
        }
        var outcome = run { try command.run() }
        outcome.isLive = command is Trace
        return outcome
    }

    /// Columns that the help is written for: longer lines are hard to read.
    private static let widestHelp = 80

    /// ArgumentParser's way to say that help or the version is asked for: an error, of parsing or of
    /// a command that stands for it. nil: another error.
    private static func help(_ error: any Error) -> Outcome? {
        guard exitCode(for: error).isSuccess else { return nil }
        let width = Display.width ?? TerminalSink.defaultWidth
        let text = fullMessage(for: error, columns: min(width, widestHelp))
        return Outcome(status: .done, text: text.hasSuffix("\n") ? text : text + "\n")
    }

    /// Errors that are no `Failure` come from below, and are no fault of the command line.
    static func run(_ body: () throws -> Void) -> Outcome {
        do {
            try body()
            return Outcome(status: .done)
        } catch let failure as Failure {
            return outcome(of: failure)
        } catch let error as TracerError {
            return outcome(of: Failure(error))
        } catch let error as OutputError {
            return outcome(of: Failure(error))
        } catch let error as RecordingError {
            return outcome(of: Failure(error))
        } catch {
            return help(error) ?? Outcome(status: .system, error: "\(error)")
        }
    }

    /// The command that a command line asks for. Throws a `Failure` or an error of ArgumentParser.
    static func parse(commandLine arguments: [String]) throws -> any ParsableCommand {
        let words = try spelledOut(arguments)
        let command = try parseAsRoot(words)
        guard let path = (command as? Trace)?.config else { return command }
        return try parseAsRoot(
            [standardCommand] + ConfigurationFile(path: path).arguments(besides: Array(words.dropFirst())))
    }

    /// What is wrong with arguments that ArgumentParser refuses.
    static func refusal(of arguments: [String], _ error: any Error) -> Failure {
        Mistake.inArguments(arguments) ?? .usage(usageMessage(message(for: error)))
    }

    /// Puts in the name of the command that is meant where there is none: without it the help
    /// would not show a single option, and each misspelt command would be a surplus argument.
    static func spelledOut(_ arguments: [String]) throws(Failure) -> [String] {
        guard let first = arguments.first else { return [standardCommand] }
        if first == "--version" || first == "--experimental-dump-help" { return arguments }
        if configuration.subcommands.contains(where: { $0._commandName == first }) { return arguments }
        if first == "help" {
            guard arguments.count > 1 else { return [standardCommand, "--help"] }
            return try spelledOut([arguments[1], "--help"])
        }
        if first.hasPrefix("-") { return [standardCommand] + arguments }
        throw Mistake.inWords(arguments.prefix { !$0.hasPrefix("-") }, of: nil)
    }

    /// ArgumentParser's message in the manner of this program's own.
    static func usageMessage(_ message: String) -> String {
        var message = message
        if message.hasPrefix("Error: ") { message.removeFirst("Error: ".count) }
        if let mark = message.firstIndex(of: "'"), message.hasPrefix("Unknown option") {
            let rest = message[mark...]
            message = "unknown option " + rest
            if let end = message.firstRange(of: "'. Did you mean ") {
                message.replaceSubrange(end, with: "': did you mean ")
            }
        }
        return message.prefix(1).lowercased() + message.dropFirst()
    }

    private static func outcome(of failure: Failure) -> Outcome {
        let message = failure.message
        guard failure.status == .usage else { return Outcome(status: failure.status, error: message) }
        let isClosed = message.hasSuffix("?") || message.hasSuffix(".")
        return Outcome(status: .usage, error: message + (isClosed ? " " : ". ") + "See 'nattrace --help'.")
    }

    /// Line breaks and other control characters, which an argument may hold, written out.
    static func oneLine(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" {
                result += " "
            } else if scalar.properties.generalCategory == .control {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Milliseconds that the last words of a live run wait to be read.
    private static let lastPatience: Int32 = 500

    /// A terminal that is stopped does not keep the program: signals are still held back.
    private static func say(_ error: String) {
        let status = StatusWriter(outlet: Outlet(STDERR_FILENO))
        status.note(oneLine(error))
        guard let descriptor = status.output.awaited else { return }
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        if poll(&ready, 1, lastPatience) > 0 { status.flush() }
    }

    /// Writes all of a text; returns the error number where that fails.
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
            return nil
        }
    }
}
