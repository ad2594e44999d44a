@testable import HostFacts

/// Answers each request by a script: one list of datagrams a request, sequence numbers filled in.
final class ScriptedTransport: NetlinkTransport {
    private var script: [[[UInt8]]]
    private var pending: [[UInt8]] = []
    private(set) var requests: [[UInt8]] = []

    init(_ script: [[[UInt8]]]) {
        self.script = script
    }

    func send(_ message: [UInt8]) throws(FactFailure) {
        requests.append(message)
        guard !script.isEmpty else { throw FactFailure("asked once too often") }
        let sequence = message[8..<12]
        pending = script.removeFirst().map { datagram in
            var datagram = datagram
            datagram.replaceSubrange(8..<12, with: sequence)
            return datagram
        }
    }

    func receive() throws(FactFailure) -> [UInt8] {
        guard !pending.isEmpty else { throw FactFailure(call: "recvfrom", code: 11) }
        return pending.removeFirst()
    }

    func interfaceName(_ index: UInt32) -> String? { index == 5 ? "vrf-blue" : nil }
    func interfaceIndex(_ name: String) -> UInt32? { name == "vrf-blue" ? 5 : nil }
}
