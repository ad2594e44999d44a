// Rows that come and go at the bottom of a terminal: never mixed with what else is written, never waited for.

import Glibc
import Testing

@testable import Output

/// A pipe in place of the terminal: what was written comes out as it is.
private final class Screen {
    let outlet: Outlet
    private let reader: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
        _ = fcntl(reader, F_SETFL, O_NONBLOCK)
        outlet = Outlet(writer)
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// What came since it was asked last.
    func came() -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(reader, &chunk, chunk.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }

    /// Leaves room for nothing; returns how many bytes that took.
    func fill() -> Int {
        let page = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
        var filled = 0
        while case .took(let count) = page.withUnsafeBytes({ outlet.take($0) }) { filled += count }
        return filled
    }
}

private let erased = "\r\u{1b}[J"

/// One row, as it is drawn.
private func row(_ text: String) -> String { "\r\u{1b}[?7l\(text)\u{1b}[K\u{1b}[J\r\u{1b}[?7h" }

@Suite struct FooterTests {
    @Test func rowsReplaceThoseBefore() {
        let screen = Screen()
        let footer = Footer(outlet: screen.outlet, isOurs: { true })
        footer.draw(["one", "two"])
        #expect(screen.came() == "\r\u{1b}[?7lone\u{1b}[K\r\ntwo\u{1b}[K\u{1b}[J\u{1b}[1A\r\u{1b}[?7h")
        footer.draw(["one", "two"])
        #expect(screen.came() == "")
        // Nothing scrolls where the rows are there already.
        footer.draw(["one", "more"])
        #expect(
            screen.came() == "\r\u{1b}[?7l\u{1b}7one\u{1b}[K\r\u{1b}[1Bmore\u{1b}[K\u{1b}[J\u{1b}8\u{1b}[?7h")
        footer.draw(["three"])
        #expect(screen.came() == row("three"))
        footer.resized()
        footer.draw(["three"])
        #expect(screen.came() == row("three"))
        footer.draw(["four", "five"])
        #expect(screen.came().contains("\r\n"))
        #expect(footer.isShown && !footer.isTakenAway)
        #expect(footer.erase())
        #expect(screen.came() == erased)
        #expect(!footer.isShown && footer.isTakenAway)
        #expect(footer.erase())
        #expect(screen.came() == "")
    }

    @Test func noRowsAreTheSameAsErased() {
        let screen = Screen()
        let footer = Footer(outlet: screen.outlet, isOurs: { true })
        footer.draw([])
        #expect(screen.came() == "")
        footer.draw(["one"])
        footer.draw([])
        #expect(screen.came().hasSuffix(erased))
        #expect(!footer.isShown && !footer.isTakenAway)
    }

    @Test func nothingOfAnothersIsTouched() {
        let screen = Screen()
        var isOurs = false
        let footer = Footer(outlet: screen.outlet, isOurs: { isOurs })
        footer.draw(["one"])
        #expect(screen.came() == "")
        isOurs = true
        footer.draw(["one"])
        #expect(screen.came() != "")
        isOurs = false
        #expect(footer.erase())
        footer.draw(["two"])
        #expect(screen.came() == "")
    }

    @Test func writtenTextComesAfterTheRowsAreGone() {
        let screen = Screen()
        let footer = Footer(outlet: screen.outlet, isOurs: { true })
        let output = OutputBuffer(outlet: screen.outlet, name: "a terminal")
        output.beforeWriting = { footer.erase() }
        footer.draw(["status"])
        _ = screen.came()
        // Without anything to write, nothing is taken away.
        output.flush()
        #expect(screen.came() == "")
        output.put("a block\n")
        output.flush()
        #expect(screen.came() == erased + "a block\n")
    }

    /// The row was taken in part, or not at all: it is completed and erased before a single byte of the block.
    @Test func aTerminalThatIsNotReadGetsEverythingInOrder() {
        let screen = Screen()
        let footer = Footer(outlet: screen.outlet, isOurs: { true })
        let output = OutputBuffer(outlet: screen.outlet, name: "a terminal")
        output.beforeWriting = { footer.erase() }
        let filled = screen.fill()
        footer.draw(["status"])
        footer.draw(["later"])
        output.put("a block\n")
        #expect(output.flush() == .open)
        #expect(output.awaited != nil && output.written == 0)
        // There is room for some of it now, and the erasing comes first all the same.
        #expect(screen.came() == String(repeating: "x", count: filled))
        #expect(output.flush() == .open)
        #expect(output.awaited == nil)
        #expect(screen.came() == row("status") + erased + "a block\n")
    }

    @Test func aReaderThatIsGoneEndsIt() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        signal(SIGPIPE, SIG_IGN)
        let footer = Footer(outlet: Outlet(ends[1]), isOurs: { true })
        close(ends[0])
        footer.draw(["one"])
        #expect(footer.erase())
        close(ends[1])
    }
}

@Suite struct StatusLineTests {
    private let second: UInt64 = 1_000_000_000

    private func figures(at seconds: UInt64, _ observations: UInt64 = 0, lost: UInt64 = 0) -> RunFigures {
        RunFigures(
            inFlight: 12, verdicts: [.established: 12, .noListener: 2, .dropped: 1], observations: observations,
            lost: lost, elapsed: seconds * second)
    }

    private func row(_ figures: RunFigures, width: Int = 79, colour: Bool = false, unicode: Bool = true) -> String {
        var line = StatusLine(TerminalStyle(colour: colour, unicode: unicode))
        return line.row(figures, width: width)
    }

    @Test func saysHowItGoes() {
        #expect(
            row(figures(at: 42, 42 * 124))
                == "nattrace: 0:42 · 3 of 15 failed · 12 in flight · 124 events/s · none lost")
        #expect(
            row(figures(at: 3723), width: 120, unicode: false)
                == "nattrace: 1:02:03 | 3 of 15 failed | 12 in flight | 0 events/s | none lost")
        let nothing = RunFigures(
            inFlight: 0, verdicts: [:], observations: 0, lost: 0, elapsed: 0, remaining: 90 * second)
        #expect(row(nothing) == "nattrace: 1:30 left · no verdict yet · 0 in flight · 0 events/s · none lost")
    }

    @Test func theRateIsThatOfTheLastSecond() {
        var line = StatusLine(TerminalStyle(colour: false, unicode: true))
        _ = line.row(figures(at: 1, 1000), width: 79)
        #expect(line.row(figures(at: 3, 1500), width: 79).contains(" 250 events/s "))
        // Drawn anew within a moment: the same rate.
        var soon = figures(at: 3, 1501)
        soon.elapsed += 1000
        #expect(line.row(soon, width: 79).contains(" 250 events/s "))
        #expect(line.row(figures(at: 4, 1501), width: 79).contains(" 1 event/s "))
    }

    @Test func lossesAreRedAndNeverLeftOut() {
        #expect(row(figures(at: 1, lost: 7), colour: true).contains("\u{1b}[1;31m7 LOST\u{1b}[0m"))
        #expect(!row(figures(at: 1), colour: true).contains("31m"))
        for width in 17...200 { #expect(row(figures(at: 1, lost: 7), width: width).contains("7 LOST"), "\(width)") }
    }

    @Test func fits() {
        for width in 0...200 {
            for lost: UInt64 in [0, 1_000_000] {
                #expect(columns(row(figures(at: 100_000, 1_000_000_000, lost: lost), width: width)) <= width)
            }
        }
        #expect(row(figures(at: 42), width: 40) == "nattrace: 0:42 · 3 of 15 failed")
    }
}

@Suite struct ProgressLineTests {
    /// What is shown at these times (milliseconds), `nil` where nothing new is.
    private func shown(
        _ times: [UInt64], width: Int = 79, atOnce: Bool = false, text: String = "reading x", fraction: Double? = 0.426
    ) -> [String?] {
        let screen = Screen()
        var now: UInt64 = 5_000_000_000
        let line = ProgressLine(
            footer: Footer(outlet: screen.outlet, isOurs: { true }), style: TerminalStyle(colour: false, unicode: true),
            width: { width }, now: { now })
        let rows = times.map { time in
            now = 5_000_000_000 + time * 1_000_000
            line.update(text, fraction: fraction.map { $0 + Double(time) / 10_000_000 }, atOnce: atOnce)
            let came = screen.came()
            return came.isEmpty ? nil : came.replacing(/\r|\u{1b}\[[?0-9]*[JKAlh]/, with: "")
        }
        line.end()
        #expect(screen.came() == (rows.contains { $0 != nil } ? erased : ""))
        return rows
    }

    @Test func onlyWhatTakesLongIsShown() {
        #expect(shown([0, 500, 999]) == [nil, nil, nil])
        #expect(
            shown([0, 1000, 1050, 1100]) == [
                nil, "nattrace: reading x   42 %  [########            ]", nil, nil,
            ])
        #expect(shown([0], atOnce: true) == ["nattrace: reading x   42 %  [########            ]"])
    }

    @Test func fitsAndIsSanitized() {
        #expect(shown([0], atOnce: true, text: "a\u{1b}[2Jb", fraction: nil) == ["nattrace: a\\x1b[2Jb"])
        for width in 12...80 {
            for fraction in [nil, 0, 0.5, 1, 7, -1] {
                let row = shown(
                    [0], width: width, atOnce: true, text: "reading a-file-with-a-long-name", fraction: fraction)[0]
                #expect(columns(row ?? "") <= width)
            }
        }
    }

    @Test func withoutATerminalNothingHappens() {
        let line = ProgressLine(footer: nil, style: TerminalStyle(colour: false, unicode: true), width: { 79 })
        #expect(!line.isActive)
        line.update("x", fraction: 0.5, atOnce: true)
        line.end()
    }

    @Test func rowsAreCutBesideTheirColours() {
        #expect(clippedRow("abc", to: 3) == "abc")
        #expect(clippedRow("abcd", to: 3) == "abc")
        #expect(clippedRow("\u{1b}[31mabc\u{1b}[0md", to: 4) == "\u{1b}[31mabc\u{1b}[0md")
        #expect(clippedRow("\u{1b}[31mabc\u{1b}[0md", to: 2) == "\u{1b}[31mab\u{1b}[0m")
        #expect(clippedRow("漢字", to: 3) == "漢")
        #expect(clipped("abcdef", to: 4, ellipsis: "…") == "abc…")
        #expect(clipped("abcd", to: 4, ellipsis: "...") == "abcd")
    }
}
