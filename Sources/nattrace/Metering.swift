// `--metrics`: from the run to the page that Prometheus reads.

import Handshake
import KernelTracer
import Metrics

/// Holds a socket from the start, and answers on it once capabilities are given up.
final class Metering {
    let metrics: HandshakeMetrics
    private var listener: ScrapeListener?
    private var server: ScrapeServer?

    init(at address: Endpoint, _ start: StartInfo) throws(Failure) {
        metrics = HandshakeMetrics(
            RunFacts(
                version: start.version, kernel: start.kernel,
                startTime: UInt64(bitPattern: Int64(bitPattern: start.time) &+ start.realtimeOffset)))
        do throws(ScrapeError) { listener = try ScrapeListener(address) } catch {
            throw Failure(.system, error.description)
        }
    }

    func open() throws(Failure) {
        guard let listener = listener.take() else { return }
        let address = listener.address
        do { server = try ScrapeServer(listener, metrics: metrics) } catch {
            throw Failure(.system, "'--metrics \(address)' cannot be answered: \(error)")
        }
    }

    /// `own`: losses that user space counts.
    func publish(_ counts: KernelCounts, _ own: [LossCount], inFlight: Int, backends: [String: String]) {
        var status = RunStatus()
        status.inFlight = inFlight
        status.observations = counts.observations.made
        status.losses = counts.losses + own
        for backend in backends.values { status.hooks[backend, default: 0] += 1 }
        metrics.publish(status)
    }

    func close() { server?.close() }
}
