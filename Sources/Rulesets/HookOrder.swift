// The base chains of one hook, in the order in which a packet meets them, and what the end of one
// says about the next.

import Handshake

extension BaseChain {
    /// NAT translates at a fixed place, whatever the priorities of its chains are among themselves.
    fileprivate var place: Int64 {
        guard isNAT else { return priority }
        return hook == .prerouting || hook == .output ? -100 : 100
    }

    /// Which packet it sees: the one before NAT, after it, or, on the same place, either. The search has
    /// only one of them, so that what a chain would do with it decides nothing about chains elsewhere.
    fileprivate var segment: Int {
        guard layer == .ip, hook != .forward, !isNAT else { return 0 }
        let translation: Int64 = hook == .prerouting || hook == .output ? -100 : 100
        return priority < translation ? 0 : priority == translation ? 1 : 2
    }
}

struct HookOrder {
    let model: Model
    let hook: NetfilterHook
    let layer: Layer
    /// Chains that a packet meets in an order that is not known stand together.
    private var groups: [[Int]] = []

    init(model: Model, hook: NetfilterHook, layer: Layer, family: IPAddress.Family) {
        self.model = model
        self.hook = hook
        self.layer = layer
        let chains = model.chains.indices.filter { index in
            guard let base = model.chains[index].base, base.hook == hook, base.layer == layer else { return false }
            return base.family == nil || base.family == family
        }
        typealias Key = (segment: Int, place: Int64, kind: Int, priority: Int64)
        func key(_ chain: Int) -> Key {
            guard let base = model.chains[chain].base else { return (0, 0, 0, 0) }
            return (base.segment, base.place, base.isNAT ? 1 : 0, base.priority)
        }
        // Sorting is stable: those that cannot be told apart keep the order of the output.
        for chain in chains.sorted(by: { key($0) < key($1) }) {
            if let last = groups.last?.last, key(last) == key(chain) {
                groups[groups.count - 1].append(chain)
            } else {
                groups.append([chain])
            }
        }
    }

    /// Walks all of them.
    func search(_ search: RuleSearch, with walk: inout Walk) {
        let isAboutNAT: Bool =
            switch search.effect {
            case .translateDestination, .translateSource: true
            default: false
            }
        /// Whether the packet may still be there, and whether it may be without a translation.
        var isAlive = true
        var isUntranslated = true
        /// Whether it is certain that it is there.
        var isSure = true
        var segment: Int?
        for group in groups {
            guard let first = model.chains[group[0]].base else { continue }
            if let segment, segment != first.segment {
                isAlive = true
                isSure = false
            }
            segment = first.segment
            guard isAlive, !first.isNAT || isUntranslated else { continue }
            var leaves = true
            var leavesUntranslated = true
            var staysSure = isSure
            for chain in group {
                guard let base = model.chains[chain].base else { continue }
                let isMet = isMet(base, isAboutNAT: isAboutNAT)
                let fates = walk.enter(chain, way: isMet)
                let mayReturn = fates.contains(.returned)
                if mayReturn, base.policyDrops, search.effect == .drop {
                    let isCertain = isMet == .yes && fates == .returned && isSure && group.count == 1
                    walk.addPolicy(of: chain, isCertain: isCertain)
                }
                var isPassing = fates.contains(.accepted) || (mayReturn && !base.policyDrops)
                let isPassingTranslated = fates.contains(.translated)
                let mayEnd = fates.contains(.gone) || (mayReturn && base.policyDrops)
                if isMet != .yes { isPassing = true }
                if mayEnd { staysSure = false }
                if !isPassing, !isPassingTranslated { leaves = false }
                if !isPassing { leavesUntranslated = false }
            }
            isAlive = leaves
            isUntranslated = isUntranslated && leavesUntranslated
            isSure = staysSure
        }
    }

    /// Whether the packet comes to this chain at all.
    private func isMet(_ base: BaseChain, isAboutNAT: Bool) -> Truth {
        // A bridge, and which device, is not known. Chains of NAT see only what begins a connection:
        // whoever asks about a translation knows that this packet did.
        layer == .ip && (!base.isNAT || isAboutNAT) ? .yes : .unknown
    }
}
