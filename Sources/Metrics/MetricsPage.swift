// The page that is scraped: which families there are, what they are called, and what they mean.

import Handshake

extension MetricsState {
    /// The whole page. docs/metrics.md tells the same for people; a test compares the two.
    func page(process: ProcessUsage?) -> String {
        var out = PrometheusText()
        describeRun(&out)
        countConnections(&out)
        countPackets(&out)
        countObservations(&out)
        if let process { describe(process, &out) }
        return out.text
    }

    private func describeRun(_ out: inout PrometheusText) {
        out.family("nattrace_build_info", .gauge, "Always 1; the labels say which program on which kernel.")
        out.sample([("version", facts.version), ("kernel", facts.kernel)], 1)
        out.family("nattrace_start_time_seconds", .gauge, "When tracing began, in seconds since 1970.")
        out.sample(PrometheusText.seconds(facts.startTime))
        out.family("nattrace_hooks", .gauge, "Attached hooks, by the way in which they are attached.")
        for (backend, count) in status.hooks.sorted(by: { $0.key < $1.key }) {
            out.sample([("backend", backend)], UInt64(count))
        }
    }

    private func countConnections(_ out: inout PrometheusText) {
        out.family("nattrace_handshakes_in_flight", .gauge, "Handshakes that are followed and have no verdict yet.")
        out.sample(UInt64(max(0, status.inFlight)))
        // All of them from the start: what begins to exist with its first failure has no increase to alert on.
        out.family("nattrace_connections_total", .counter, "Connections, by their first verdict.")
        for code in VerdictCode.allCases { out.sample([("verdict", code.rawValue)], verdicts[code] ?? 0) }
        out.family("nattrace_verdicts_revised_total", .counter, "Later verdicts that replaced a first one.")
        for code in VerdictCode.allCases { out.sample([("verdict", code.rawValue)], revised[code] ?? 0) }
        out.family(
            "nattrace_destination_connections_total", .counter,
            "Connections by their destination after translation and first verdict; for the destinations used last.")
        for (destination, verdicts) in destinations.all {
            for code in VerdictCode.allCases {
                guard let count = verdicts[code] else { continue }
                out.sample([("destination", destination.description), ("verdict", code.rawValue)], count)
            }
        }
        out.family("nattrace_destinations", .gauge, "Destinations that have counts of their own.")
        out.sample(UInt64(destinations.count))
        out.family("nattrace_destinations_limit", .gauge, "How many can have.")
        out.sample(UInt64(DestinationCounts.maximum))
        out.family(
            "nattrace_destinations_evicted_total", .counter,
            "Destinations whose counts went to make room for a new one.")
        out.sample(destinations.evicted)
        out.family(
            "nattrace_handshake_duration_seconds", .histogram,
            "From the first step of an established handshake to its last.")
        var below: UInt64 = 0
        for (bound, count) in zip(DurationHistogram.bounds, durations.counts) {
            below += count
            out.sample([("le", PrometheusText.seconds(bound))], suffix: "_bucket", below)
        }
        let all = durations.counts.reduce(0, &+)
        out.sample([("le", "+Inf")], suffix: "_bucket", all)
        out.sample(suffix: "_sum", PrometheusText.seconds(durations.sum))
        out.sample(suffix: "_count", all)
    }

    private func countPackets(_ out: inout PrometheusText) {
        out.family(
            "nattrace_packets_total", .counter,
            "Packets of handshakes that passed a network device, once for each device.")
        let packets: [(type: String, incoming: CountedStep, outgoing: CountedStep)] = [
            ("syn", .synIn, .synOut), ("synack", .synackIn, .synackOut), ("rst", .rstIn, .rstOut),
        ]
        for (type, incoming, outgoing) in packets {
            out.sample([("type", type), ("direction", "in")], steps[incoming] ?? 0)
            out.sample([("type", type), ("direction", "out")], steps[outgoing] ?? 0)
        }
        out.family("nattrace_resets_made_total", .counter, "RSTs that this machine made.")
        out.sample(steps[.resetMade] ?? 0)
        out.family("nattrace_drops_total", .counter, "Packets of handshakes that the kernel dropped.")
        out.sample(steps[.dropped] ?? 0)
        out.family("nattrace_retransmissions_total", .counter, "SYNs and SYN-ACKs that this machine sent again.")
        out.sample(steps[.retransmitted] ?? 0)
    }

    private func countObservations(_ out: inout PrometheusText) {
        out.family("nattrace_observations_total", .counter, "Observations that the kernel side made.")
        out.sample(status.observations)
        out.family(
            "nattrace_lost_total", .counter,
            "What was lost, by cause; scope observations: verdicts meanwhile are more general.")
        for loss in status.losses {
            out.sample([("reason", loss.reason), ("scope", loss.scope.rawValue)], loss.total)
        }
    }

    private func describe(_ process: ProcessUsage, _ out: inout PrometheusText) {
        out.family("process_cpu_seconds_total", .counter, "Processor time of this program, user and system.")
        out.sample(PrometheusText.seconds(process.processorTime))
        out.family("process_resident_memory_bytes", .gauge, "Memory of this program that is in use, in bytes.")
        out.sample(process.residentBytes)
    }
}
