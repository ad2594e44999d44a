// How a flow looks in one observation, by which it is known whose it is.

/// Tuples in the client's direction: at most four, without an allocation.
struct ClientViews {
    private var tuples: (Tuple?, Tuple?, Tuple?, Tuple?)

    var isEmpty: Bool { tuples.0 == nil && tuples.2 == nil }

    func contains(where test: (Tuple) -> Bool) -> Bool {
        tuples.0.map(test) == true || tuples.1.map(test) == true || tuples.2.map(test) == true
            || tuples.3.map(test) == true
    }

    func visit(_ body: (Tuple) -> Void) {
        tuples.0.map(body)
        tuples.1.map(body)
        tuples.2.map(body)
        tuples.3.map(body)
    }
}

extension ClientViews {
    /// An RST may run either way.
    init(_ o: Observation) {
        if let entry = o.conntrack {
            tuples.0 = entry.original
            tuples.1 = entry.translated
        }
        guard let packet = o.packet, o.kind != .socketState || packet.tuple.source.port != 0 else { return }
        switch packet.flags.role {
        case .syn: tuples.2 = packet.tuple
        case .synack: tuples.2 = packet.tuple.reversed
        case .ack, .rst:
            tuples.2 = packet.tuple
            tuples.3 = packet.tuple.reversed
        }
    }
}

extension Observation {
    /// What the client dialled, as far as this first sight of a SYN tells.
    var dialled: Tuple? {
        if let entry = conntrack, !entry.isReplyDirection { return entry.original }
        return packet?.tuple
    }
}
