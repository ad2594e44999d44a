import Handshake
import Testing

@testable import Metrics

private let facts = RunFacts(version: "1.2.3", kernel: "6.1.0 \"odd\"\\", startTime: 1_700_000_000_250_000_000)

private func endpoint(_ text: String, _ port: UInt16) -> Endpoint {
    Endpoint(address: IPAddress(text)!, port: port)
}

/// Each sample of a page by what stands before its value.
private func samples(_ page: String) -> [String: String] {
    Dictionary(
        page.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let mark = line.lastIndex(of: " ")!
            return (String(line[..<mark]), String(line[line.index(after: mark)...]))
        },
        uniquingKeysWith: { first, second in
            Issue.record("told twice: \(first), \(second)")
            return second
        })
}

@Suite struct PageTests {
    @Test func everyVerdictIsThereFromTheStart() {
        let page = samples(HandshakeMetrics(facts).snapshot.page(process: nil))
        for code in VerdictCode.allCases {
            #expect(page["nattrace_connections_total{verdict=\"\(code.rawValue)\"}"] == "0")
        }
        #expect(page["nattrace_handshake_duration_seconds_count"] == "0")
        #expect(page["nattrace_start_time_seconds"] == "1700000000.25")
        #expect(
            page.keys.contains(#"nattrace_build_info{version="1.2.3",kernel="6.1.0 \"odd\"\\"}"#), "quotes are escaped")
    }

    @Test func familiesAreToldOnceWithHelpAndType() {
        let metrics = HandshakeMetrics(facts)
        var status = RunStatus()
        status.losses = [.init(reason: "ring buffer full", scope: .observations, total: 7)]
        status.hooks = ["kprobe": 3, "tracepoint": 8]
        status.inFlight = 2
        metrics.publish(status)
        let page = metrics.snapshot.page(process: ProcessUsage(processorTime: 1_500_000_000, residentBytes: 4096))
        var family = ""
        var known: Set<String> = []
        for line in page.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# HELP ") {
                family = String(words[2])
                #expect(known.insert(family).inserted, "\(family) is told twice")
                #expect(words.count > 3)
            } else if line.hasPrefix("# TYPE ") {
                #expect(words[2] == family)
            } else {
                let name = line.prefix { $0 != "{" && $0 != " " }
                #expect(name == family || ["_bucket", "_sum", "_count"].contains(name.dropFirst(family.count)))
            }
        }
        let values = samples(page)
        #expect(values[#"nattrace_lost_total{reason="ring buffer full",scope="observations"}"#] == "7")
        #expect(values[#"nattrace_hooks{backend="kprobe"}"#] == "3")
        #expect(values["nattrace_handshakes_in_flight"] == "2")
        #expect(values["process_cpu_seconds_total"] == "1.5")
        #expect(values["process_resident_memory_bytes"] == "4096")
    }

    @Test func bucketsAddUp() {
        var histogram = DurationHistogram()
        for time: UInt64 in [1, 100_000, 100_001, 3_000_000, 9_000_000_000] { histogram.add(nanoseconds: time) }
        var state = MetricsState(facts: facts)
        state.durations = histogram
        let page = samples(state.page(process: nil))
        func bucket(_ bound: String) -> String? { page["nattrace_handshake_duration_seconds_bucket{le=\"\(bound)\"}"] }
        #expect(bucket("0.0001") == "2", "a bound belongs to its bucket")
        #expect(bucket("0.00025") == "3")
        #expect(bucket("0.0025") == "3")
        #expect(bucket("0.005") == "4")
        #expect(bucket("5") == "4")
        #expect(bucket("+Inf") == "5")
        #expect(page["nattrace_handshake_duration_seconds_count"] == "5")
        #expect(page["nattrace_handshake_duration_seconds_sum"] == "9.003200002")
    }

    @Test(
        arguments: [(0, "0"), (1, "0.000000001"), (1_000_000_000, "1"), (1_020_000_000, "1.02")] as [(UInt64, String)])
    func secondsAreExact(_ nanoseconds: UInt64, _ text: String) {
        #expect(PrometheusText.seconds(nanoseconds) == text)
    }

    @Test func labelsAreEscaped() {
        #expect(PrometheusText.escaped("a\"b\\c\nd{}é") == "a\\\"b\\\\c\\nd{}é")
    }
}

@Suite struct DestinationTests {
    @Test func countsByVerdict() {
        var counts = DestinationCounts()
        counts.count(.established, at: endpoint("192.0.2.1", 80))
        counts.count(.noListener, at: endpoint("192.0.2.1", 80))
        counts.count(.noListener, at: endpoint("192.0.2.1", 80))
        counts.count(.established, at: endpoint("2001:db8::1", 443))
        #expect(counts.count == 2)
        #expect(counts.all.first?.verdicts == [.established: 1, .noListener: 2])
        #expect(counts.all.last?.destination.description == "[2001:db8::1]:443")
    }

    @Test func aScanPassesThroughAndWhatIsUsedStays() {
        var counts = DestinationCounts()
        let service = endpoint("192.0.2.1", 443)
        counts.count(.established, at: service)
        for port in UInt16(1000)..<3000 {
            counts.count(.noListener, at: endpoint("192.0.2.2", port))
            if port % 100 == 0 { counts.count(.established, at: service) }
        }
        #expect(counts.count == DestinationCounts.maximum)
        #expect(counts.all.first { $0.destination == service }?.verdicts == [.established: 21])
        #expect(counts.evicted == UInt64(2000 + 1 - DestinationCounts.maximum))
    }
}

@Suite struct AnswerTests {
    @Test(arguments: ["/metrics", "/metrics?x=1"])
    func thePage(_ target: String) {
        let answer = ScrapeAnswer(method: "GET", target: target) { "page\n" }
        #expect(answer.status == 200)
        #expect(answer.body == "page\n")
        #expect(answer.contentType.hasPrefix("text/plain; version=0.0.4"))
    }

    @Test(arguments: [("GET", "/", 200), ("GET", "/metrics/", 404), ("POST", "/metrics", 405), ("GET", "", 404)])
    func nothingElseMakesThePage(_ method: String, _ target: String, _ status: Int) {
        let answer = ScrapeAnswer(method: method, target: target) {
            Issue.record("the page was made")
            return ""
        }
        #expect(answer.status == status)
    }
}
