// The page: skeleton, style and script, which are the same in every report, and between them what this one tells.

import CReportPage
import Handshake
import Output

/// What a page says of the file that it was made of, beside what the recording itself says.
public struct ReportSource: Sendable {
    /// The recording, as it was named.
    public var name: String
    /// The filters of the report, as on the command line; empty: none.
    public var filter: String
    /// Which connections are listed.
    public var selection: VerdictSelection
    /// The program that made the page.
    public var version: String
    /// Where and how the recording is damaged; nil: it is whole.
    public var damage: String?

    public init(
        name: String, filter: String = "", selection: VerdictSelection = VerdictSelection(), version: String,
        damage: String? = nil
    ) {
        self.name = name
        self.filter = filter
        self.selection = selection
        self.version = version
        self.damage = damage
    }
}

extension ReportSink {
    /// Writes the page. How that went is in the output's state.
    public func write(_ source: ReportSource, to output: OutputBuffer) {
        store.closeAll()
        let summary = Summary(self, source)
        for part in Self.parts(of: PageFiles.skeleton) {
            switch part {
            case .text(let text): output.append(text)
            case .place("title"): output.append(escaped(summary.title))
            case .place("policy"): output.append(escaped(PageFiles.policy))
            case .place("style"): output.append(PageFiles.style)
            case .place("script"): output.append(PageFiles.script)
            case .place("summary"): output.append(summary.html)
            case .place("footer"): output.append(summary.footer)
            case .place("data"): writeData(to: output)
            case .place(let name): preconditionFailure("the skeleton has a place \(name) that nothing is put into")
            }
        }
        output.flush()
    }

    /// Packed and in base64, in which nothing can be markup: the rows, and the details in blocks.
    private func writeData(to output: OutputBuffer) {
        func block(_ id: String, _ bytes: [UInt8]) {
            output.append("<script type=\"application/octet-stream\" id=\"\(id)\">")
            base64(bytes).withUnsafeBytes { output.append($0) }
            output.append("</script>\n")
        }
        let base = info.map { wording.realtime($0.time) }
        var json = JSONList()
        json.open("{")
        json.key("base")
        // Microseconds since 1970, as those of rows are since this.
        json.add((base?.seconds ?? 0) * 1_000_000 + Int64((base?.nanoseconds ?? 0) / 1000))
        json.key("blocks")
        json.add(written: store.index())
        json.close("}")
        block("index", deflated(json.bytes))
        for (number, bytes) in store.packedBlocks { block("block-\(number)", bytes) }
    }

    private enum Part {
        case text(String)
        case place(String)
    }

    /// The skeleton, taken apart at its places, `{{name}}`.
    private static func parts(of skeleton: String) -> [Part] {
        var parts: [Part] = []
        var rest = skeleton[...]
        while let open = rest.firstRange(of: "{{"), let close = rest[open.upperBound...].firstRange(of: "}}") {
            parts.append(.text(String(rest[..<open.lowerBound])))
            parts.append(.place(String(rest[open.upperBound..<close.lowerBound])))
            rest = rest[close.upperBound...]
        }
        return parts + [.text(String(rest))]
    }
}

/// The files of the folder Page, and the policy that lets a browser use them and nothing else.
enum PageFiles {
    static let skeleton = text(nattrace_report_skeleton)
    static let style = text(nattrace_report_style)
    static let script = text(nattrace_report_script)

    /// All that is not named is forbidden: to load anything, to send anything, to run any other script.
    static let policy =
        "default-src 'none'; style-src \(hash(style)); script-src \(hash(script)); base-uri 'none'; form-action 'none'"

    private static func hash(_ text: String) -> String {
        "'sha256-" + String(decoding: base64(SHA256.digest(Array(text.utf8))), as: UTF8.self) + "'"
    }

    private static func text(_ file: (UnsafeMutablePointer<Int>) -> UnsafePointer<CChar>) -> String {
        var size = 0
        let start = file(&size)
        return String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
    }
}
