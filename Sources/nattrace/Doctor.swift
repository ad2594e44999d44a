import ArgumentParser
import Examination
import Glibc
import Output

/// `nattrace doctor`: what can be traced here, how, what is missing and how to get it.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what this kernel allows to trace, what is missing, and how to get it.",
        usage: "nattrace doctor [--json] [--color when]",
        discussion: """
            EXAMPLES:
              sudo nattrace doctor
              sudo nattrace doctor --json | jq .nattrace.lacks

            Attaches all hooks for a moment, as a trace would, and lets go of them. Changes nothing on the \
            machine. Ends with 0 where tracing is possible, 69 where this kernel cannot be traced, 77 where it \
            is not permitted; what could be found out is shown in each case.
            """)

    @Flag(help: "One JSON object on stdout, for programs.")
    var json = false

    @Option(help: ArgumentHelp("Colour: auto, for terminals without NO_COLOR.", valueName: "when"))
    var color = ColorChoice.auto

    func run() throws {
        let (findings, refusal) = Examiner.examine()
        let report = Report(findings)
        let output = OutputBuffer(descriptor: STDOUT_FILENO, name: "standard output")
        if json {
            DoctorJSON(output: output).write(report)
        } else {
            DoctorText(
                output: output, width: Display.width ?? TerminalSink.defaultWidth, colour: Display.wantsColour(color),
                unicode: Display.isUnicode
            ).write(report)
        }
        if case .failed(let error) = output.flush() { throw Failure(error) }
        if let refusal { throw Failure(refusal) }
    }
}
