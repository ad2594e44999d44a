// Three-valued logic: what is not known is never taken for either answer.

/// Whether something holds. Ordered: a conjunction is the least of its parts, a disjunction the greatest.
enum Truth: UInt8, Comparable, Sendable {
    case no, unknown, yes

    static func < (a: Truth, b: Truth) -> Bool { a.rawValue < b.rawValue }
    static func && (a: Truth, b: Truth) -> Truth { min(a, b) }
    static func || (a: Truth, b: Truth) -> Truth { max(a, b) }
    static prefix func ! (a: Truth) -> Truth {
        switch a {
        case .no: .yes
        case .unknown: .unknown
        case .yes: .no
        }
    }

    init(_ known: Bool) { self = known ? .yes : .no }
}
