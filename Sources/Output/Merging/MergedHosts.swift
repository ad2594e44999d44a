// What the hosts of merged recordings are called, and what is said of their clocks.

import Handshake

struct MergedHosts {
    /// As recorded, not neutralised yet.
    let names: [String]
    let clocks: [RecordingClock]

    /// The host's name, where the recordings have different ones; else the file's name, or its whole path.
    init(_ starts: [StartInfo], paths: [String], clocks: [RecordingClock]) {
        self.clocks = clocks
        func stem(_ path: String) -> String {
            let file = path.split(separator: "/").last.map(String.init) ?? path
            guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
            return String(file[..<dot])
        }
        func areDifferent(_ names: [String]) -> Bool { !names.contains("") && Set(names).count == names.count }
        let choices = [starts.map(\.hostName), paths.map(stem)]
        names = choices.first(where: areDifferent) ?? paths
    }

    /// How the clock of a host differs from that of another one, which is named; nil: it is the one to compare with.
    func clock(_ recording: Int) -> String? {
        let clock = clocks[recording]
        if clock.reference != recording {
            let other =
                clock.contradicting > 0
                ? "; \(clock.contradicting) of \(clock.handshakes) handshakes say otherwise" : ""
            return "\(difference(clock.ahead)) \(names[clock.reference]), within \(within(clock.within))\(other)"
        }
        guard recording != 0 else { return nil }
        switch (clock.bounds.lower, clock.bounds.upper) {
        case (.min, .max): return "not known: no handshake that was answered is in both recordings"
        case (.min, let upper): return "at most \(difference(upper)) \(names[0])"
        case (let lower, .max): return "at least \(difference(lower)) \(names[0])"
        case (let lower, let upper): return "from \(difference(lower)) to \(difference(upper)) \(names[0])"
        }
    }

    /// `1500.001 ms ahead of`
    private func difference(_ ahead: Int64) -> String {
        Row.milliseconds(ahead.magnitude &+ 500) + (ahead < 0 ? " behind" : " ahead of")
    }

    /// Rounded up, and by what the difference was rounded.
    private func within(_ error: Int64) -> String { Row.milliseconds(UInt64(max(0, error)) &+ 1499) }
}
