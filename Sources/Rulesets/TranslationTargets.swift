// What a rule of NAT makes of a packet.

import Handshake

extension Translation {
    func isOfDestination(at hook: NetfilterHook) -> Bool {
        switch direction {
        case .destination: true
        case .source: false
        case .byHook: hook == .prerouting || hook == .output
        }
    }
}

extension Evaluation {
    struct Outcome {
        /// Whether the rule translates at all: a packet of the other family, or one whose key a map lacks,
        /// goes on.
        var fires: Truth
        /// Whether it could make this of it; true where nothing was asked.
        var canMake: Bool
    }

    mutating func outcome(of translation: Translation, at hook: NetfilterHook, asked: Endpoint?, table: Int) -> Outcome
    {
        if let family = translation.family, family != packet.family { return Outcome(fires: .no, canMake: false) }
        let isOfDestination = translation.isOfDestination(at: hook)
        let old = isOfDestination ? packet.tuple.destination : packet.tuple.source
        let keptHost = translation.keepsHost && !packet.isRewritten ? old.address : nil
        var outcome = Outcome(fires: .no, canMake: false)
        for target in translation.targets {
            var fires = Truth.yes
            // Each pair is a way that it may turn out: an address, and perhaps a port with it.
            var literals: [Literal?] = []
            switch target.address {
            case .unchanged: literals = [packet.isRewritten ? nil : .address(old.address)]
            case .local, .unknown: literals = [nil]
            case .literal(let literal): literals = [literal]
            case .lookup(let operand, let source):
                literals = values(operand, source, table: table, fires: &fires)
            }
            var ports: [Literal?] = []
            switch target.port {
            case .unchanged: ports = [packet.isRewritten ? nil : .number(UInt64(old.port))]
            case .unknown: ports = [nil]
            case .literal(let literal): ports = [literal]
            case .lookup(let operand, let source): ports = values(operand, source, table: table, fires: &fires)
            }
            outcome.fires = outcome.fires || fires
            guard let asked else {
                outcome.canMake = outcome.canMake || fires != .no
                continue
            }
            guard asked.address.family == packet.family else { continue }
            budget.spend(literals.count)
            for literal in literals {
                var address = literal
                var port = ports
                // A map may give both.
                if case .concatenation(let parts)? = literal, parts.count == 2 {
                    address = parts[0]
                    port = [parts[1]]
                }
                guard mayBe(asked.address, address, from: keptHost) else { continue }
                if port.contains(where: { mayBe(asked.port, $0) }) { outcome.canMake = true }
            }
        }
        return outcome
    }

    private mutating func values(
        _ operand: Operand, _ source: MapSource, table: Int, fires: inout Truth
    ) -> [Literal?] {
        let found = lookUp(operand, in: source, table: table)
        if found.data.isEmpty {
            fires = .no
        } else if found.mayMiss || !found.data.contains(where: \.isCertain) {
            fires = fires && .unknown
        }
        return found.data.map { entry in
            if case .literal(let literal) = entry.data { literal } else { nil }
        }
    }

    /// nil: any. `old`: the address before, where bits of the host are kept.
    private func mayBe(_ address: IPAddress, _ literal: Literal?, from old: IPAddress?) -> Bool {
        guard let literal, Value.address(address).belongs(to: literal) != .no else { return literal == nil }
        guard let old, case .addresses(let range) = literal, old.family == address.family else { return true }
        let high = range.lowerBound.high ^ range.upperBound.high
        let low = range.lowerBound.low ^ range.upperBound.low
        return old.masked(by: high, low) == address.masked(by: high, low)
    }

    private func mayBe(_ port: UInt16, _ literal: Literal?) -> Bool {
        literal.map { Value.number(UInt64(port), kind: .port).belongs(to: $0) != .no } ?? true
    }
}
