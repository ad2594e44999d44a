// One rule of iptables-save as statements of the model.

import Handshake

struct IptablesRule {
    /// Of the program: iptables or ip6tables.
    let family: IPAddress.Family
    private(set) var statements: [Statement] = []
    private(set) var writesAddresses = false

    private var words: ArraySlice<SavedRule.Word>
    private var target: String?
    private var isGoto = false
    /// Whose options may stand here.
    private var modules: Set<Substring> = []
    private var options: IptablesTarget.Options = []
    /// A word stands where none is known to: what follows may be anything.
    private var isBroken = false

    init(_ rule: SavedRule, family: IPAddress.Family, isChain: (String) -> Bool) {
        self.family = family
        words = rule.words[...]
        var isNegated = false
        while let word = words.popFirst() {
            if word.text == "!", !word.isQuoted {
                isNegated = true
                continue
            }
            read(word, isNegated: isNegated)
            isNegated = false
        }
        finish(isChain)
    }

    private mutating func finish(_ isChain: (String) -> Bool) {
        guard !isBroken else {
            statements = [.opaque(.all)]
            return
        }
        guard let target else { return }
        // A chain may not have a target's name.
        if isGoto || isChain(target) {
            statements.append(.verdict(isGoto ? .goto(target) : .jump(target)))
        } else {
            writesAddresses = IptablesTarget.writesAddresses(target)
            if let statement = IptablesTarget.statement(named: target, options: options) {
                statements.append(statement)
            }
        }
    }

    private mutating func argument() -> Substring {
        guard let word = words.popFirst() else {
            isBroken = true
            return ""
        }
        return word.text[...]
    }

    private mutating func add(_ condition: Condition, _ isNegated: Bool) {
        statements.append(.condition(isNegated ? .not(condition) : condition))
    }

    private mutating func read(_ word: SavedRule.Word, isNegated: Bool) {
        guard !word.isQuoted, word.text.hasPrefix("-") else {
            isBroken = true
            return
        }
        if word.text == "-j" || word.text == "-g" {
            if target != nil { isBroken = true }
            target = String(argument())
            isGoto = word.text == "-g"
            return
        }
        guard target == nil else {
            // All that follows is the target's.
            let value = words.first.map { $0.isQuoted || !$0.text.hasPrefix("--") } == true ? String(argument()) : nil
            options.append((name: String(word.text.dropFirst(2)), value: value))
            return
        }
        switch word.text {
        case "-s": add(IptablesValues.matches(.sourceAddress(family), argument()), isNegated)
        case "-d": add(IptablesValues.matches(.destinationAddress(family), argument()), isNegated)
        case "-i": add(.compare(.equal, .field(.inputInterface), device()), isNegated)
        case "-o": add(.compare(.equal, .field(.outputInterface), device()), isNegated)
        case "-p": add(transport(argument()), isNegated)
        case "-m": readModule(argument())
        case "-f": statements.append(.condition(.unknown))
        case "--comment": _ = argument()
        case "--sport", "--source-port": add(ports(.sourcePort, argument()), isNegated)
        case "--dport", "--destination-port": add(ports(.destinationPort, argument()), isNegated)
        case "--sports", "--source-ports": add(ports(.sourcePort, argument()), isNegated)
        case "--dports", "--destination-ports": add(ports(.destinationPort, argument()), isNegated)
        case "--ports":
            let list = argument()
            add(.any([ports(.sourcePort, list), ports(.destinationPort, list)]), isNegated)
        case "--tcp-flags":
            let mask = IptablesValues.flags(argument())
            let set = IptablesValues.flags(argument())
            add(.compare(.equal, .masked(.field(.tcpFlags), mask), .literal(set)), isNegated)
        case "--syn":
            let mask = Literal.bits([.word("fin"), .word("syn"), .word("rst"), .word("ack")])
            add(.compare(.equal, .masked(.field(.tcpFlags), mask), .literal(.word("syn"))), isNegated)
        case "--src-range":
            add(
                .compare(.equal, .field(.sourceAddress(family)), .literal(IptablesValues.addresses(argument()))),
                isNegated)
        case "--dst-range":
            add(
                .compare(.equal, .field(.destinationAddress(family)), .literal(IptablesValues.addresses(argument()))),
                isNegated)
        case "--ctstate" where modules.contains("conntrack"), "--state" where modules.contains("state"):
            add(IptablesValues.trackingStates(argument()), isNegated)
        case "--src-type" where modules.contains("addrtype"):
            add(IptablesValues.addressTypes(.sourceType, argument()), isNegated)
        case "--dst-type" where modules.contains("addrtype"):
            add(IptablesValues.addressTypes(.destinationType, argument()), isNegated)
        default:
            // Of another extension. What follows up to the next option is its own.
            statements.append(.condition(.unknown))
            while let next = words.first, next.isQuoted || !(next.text.hasPrefix("-") || next.text == "!") {
                words.removeFirst()
            }
        }
    }

    private mutating func device() -> Pattern { .literal(IptablesValues.device(String(argument()))) }

    private func transport(_ name: Substring) -> Condition {
        let isAny = name == "all" || name == "0"
        return .compare(.equal, .field(.transport), .literal(isAny ? .everything : .word(String(name))))
    }

    private func ports(_ field: Field, _ list: Substring) -> Condition {
        .compare(.equal, .field(field), .anyOf(list.split(separator: ",").map { IptablesValues.ports($0) }))
    }

    private mutating func readModule(_ name: Substring) {
        modules.insert(name)
        switch name {
        // These match by their options alone.
        case "tcp", "multiport", "iprange", "comment", "addrtype": break
        // They need an option. Any but the states stays unknown: for a packet without an entry, the kernel
        // does not even look at it.
        case "conntrack", "state":
            if words.first.map({ $0.text == "!" || $0.text.hasPrefix("--") }) != true {
                statements.append(.condition(.unknown))
            }
        // No TCP packet has these headers.
        case "udp", "icmp", "icmp6", "ipv6-icmp": break
        default: statements.append(.condition(.unknown))
        }
    }
}
