import ArgumentParser
import KernelTracer

/// How much may be held at once; what falls out is counted.
struct LimitOptions: ParsableArguments {
    @Option(
        name: .customLong("buffer"),
        help: ArgumentHelp(
            "How far the kernel may be ahead. (default: 4M)", valueName: "size"),
        transform: Values.bufferSize)
    var ringBytes: Int?

    @Option(
        help: ArgumentHelp(
            "Handshakes followed at once. (default: \(TracerLimits.standard.connections))", valueName: "n"),
        transform: Values.connections)
    var maxConnections: Int?

    @Option(
        help: ArgumentHelp(
            "Output that may wait for its reader. (default: 8M)", valueName: "size"),
        transform: Values.bufferSize)
    var outputBacklog = Display.defaultBacklog

    var limits: TracerLimits {
        let standard = TracerLimits.standard
        return TracerLimits(
            ringBytes: ringBytes ?? standard.ringBytes, connections: maxConnections ?? standard.connections)
    }
}
