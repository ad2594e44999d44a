// Whether the matches of a rule hold for a packet.

import Handshake

/// What a search may still look at: no ruleset, however made, keeps it busy without end.
struct Budget {
    private var left = Bounds.work
    private(set) var isExhausted = false

    mutating func spend(_ amount: Int = 1) {
        left -= amount
        if left < 0 { isExhausted = true }
    }
}

struct Evaluation {
    let model: Model
    var packet: Packet
    var budget = Budget()

    init(model: Model, packet: Packet, budget: Budget) {
        self.model = model
        self.packet = packet
        self.budget = budget
    }

    func value(of operand: Operand) -> Value {
        switch operand {
        case .field(let field): packet.value(of: field)
        case .masked(let inner, let mask): value(of: inner).masked(by: mask)
        case .concatenation(let parts): .concatenation(parts.map { value(of: $0) })
        case .unknown: .unknown
        }
    }

    /// `table`: where a named set is looked for.
    mutating func holds(_ condition: Condition, table: Int) -> Truth {
        switch condition {
        case .unknown: return .unknown
        case .any(let parts):
            var any = Truth.no
            for part in parts { any = any || holds(part, table: table) }
            return any
        case .not(let inner): return !holds(inner, table: table)
        case .compare(let comparison, let operand, let pattern):
            let value = value(of: operand)
            if value.isAbsent { return .no }
            return compare(comparison, value, pattern, table: table)
        }
    }

    private mutating func compare(_ comparison: Comparison, _ value: Value, _ pattern: Pattern, table: Int) -> Truth {
        switch comparison {
        case .equal: return matches(value, pattern, table: table)
        case .notEqual: return !matches(value, pattern, table: table)
        case .anyBit:
            guard case .literal(let literal) = pattern, value.isBits else {
                return matches(value, pattern, table: table)
            }
            return value.hasAny(literal)
        case .noBit:
            guard case .literal(let literal) = pattern else { return .unknown }
            return !value.hasAny(literal)
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard case .literal(let literal) = pattern, let order = value.order(to: literal) else { return .unknown }
            switch comparison {
            case .less: return Truth(order < 0)
            case .lessOrEqual: return Truth(order <= 0)
            case .greater: return Truth(order > 0)
            default: return Truth(order >= 0)
            }
        }
    }

    private mutating func matches(_ value: Value, _ pattern: Pattern, table: Int) -> Truth {
        switch pattern {
        case .literal(let literal): return value.belongs(to: literal)
        case .anyOf(let literals):
            var any = Truth.no
            budget.spend(literals.count)
            for literal in literals {
                any = any || value.belongs(to: literal)
                if any == .yes { break }
            }
            return any
        case .set(let name):
            guard let set = model.sets[TableName(table: table, name: name)], !set.isVolatile, !budget.isExhausted
            else { return .unknown }
            var any = Truth.no
            budget.spend(set.elements.count)
            for element in set.elements {
                any = any || value.belongs(to: element.key)
                if any == .yes { break }
            }
            return any
        }
    }

    /// What a map may give for a key: every entry whose key it may be. `isCertain` of the one whose key it
    /// is; `mayMiss`: it may be that no entry has this key.
    struct Found {
        var data: [(data: MapData, isCertain: Bool)] = []
        var mayMiss = true
    }

    mutating func lookUp(_ operand: Operand, in source: MapSource, table: Int) -> Found {
        let key = value(of: operand)
        if key.isAbsent { return Found() }
        let entries: [MapEntry]
        switch source {
        case .entries(let given): entries = given
        case .named(let name):
            guard let map = model.sets[TableName(table: table, name: name)], !budget.isExhausted else {
                return Found(data: [(.unknown, false)])
            }
            // What is listed may have been there, and what is not, too.
            if map.isVolatile {
                return Found(data: map.elements.map { ($0.data, false) } + [(.unknown, false)])
            }
            entries = map.elements
        case .unknown: return Found(data: [(.unknown, false)])
        }
        budget.spend(entries.count)
        var found = Found()
        var fallback: MapData?
        for entry in entries {
            if case .everything = entry.key {
                fallback = entry.data
                continue
            }
            switch key.belongs(to: entry.key) {
            case .no: continue
            case .unknown: found.data.append((entry.data, false))
            case .yes: return Found(data: [(entry.data, true)], mayMiss: false)
            }
        }
        if let fallback {
            found.data.append((fallback, found.data.isEmpty))
            found.mayMiss = false
        }
        return found
    }
}
