// Commands of advice that change rules: with the tool that the rules were made with, since another one would not show
// them, or put its own where they have no effect.

extension Case {
    /// What to do about a rule that stands in the way.
    func advice(against rule: Rule) -> [String] {
        let tuple = netfilterDrop?.packet.tuple ?? connection.dialled
        // Of an answer it is the sender that stays the same.
        let isAnswer = droppedRole == .synack
        let end = isAnswer ? tuple.source : tuple.destination
        let see = ["See the rules: \(commandHere("nft -a list ruleset"))"]
        guard let place = rule.place else { return see }
        let show: String
        let accept: String
        switch rule.editor {
        case .iptables(let program):
            let chain = place.chain.shellWord
            let table = "\(program) -t \(place.table.shellWord)"
            accept =
                "\(table) -I \(chain) -p tcp \(isAnswer ? "-s" : "-d") \(end.address) --\(isAnswer ? "sport" : "dport") \(end.port) -j ACCEPT"
            show = "\(table) -nvL \(chain) --line-numbers"
        case .nft:
            guard let chain = place.inNft else { return see }
            let position = rule.isPolicy ? "" : rule.id.map { " position \($0)" } ?? ""
            let (address, port) = isAnswer ? ("saddr", "sport") : ("daddr", "dport")
            accept =
                "nft insert rule \(chain)\(position) \(end.address.nftFamily) \(address) \(end.address) tcp \(port) \(end.port) accept"
            show = "nft -a list chain \(chain)"
        }
        return ["Accept it before: \(commandHere(accept))", "See the chain: \(commandHere(show))"]
    }

    /// The command that lets a machine translate the source of what a network dials of itself by way of it, beside the
    /// rule that translates the destination; and a remark on it, or an empty one.
    ///
    /// Clients of other networks keep their addresses: by the device that they come in by, which POSTROUTING knows
    /// (28f8bfd1ac94, Linux 5.5), but iptables refuses to ask there.
    func masquerading(
        from client: IPAddress, to backend: Endpoint, on interface: String, beside rule: Rule?
    ) -> (command: String, remark: String) {
        let family = backend.address.nftFamily
        if let rule, case .iptables(let program) = rule.editor {
            return (
                "\(program) -t nat -I POSTROUTING -s \(client) -d \(backend.address) -p tcp --dport \(backend.port) -m conntrack --ctstate DNAT -j MASQUERADE",
                "-s with the whole network: for all its clients"
            )
        }
        // In a table of its own where that of the rule is not known: it may be there and be another tool's.
        let place = rule?.place.flatMap { $0.inNft == nil ? nil : $0 }
        let table = place.map { "\($0.family) \($0.table)" } ?? "\(family) hairpin"
        let (from, remark) =
            interface.isNftIdentifier
            ? ("iifname \(interface) oifname \(interface)", "")
            : ("\(family) saddr \(client)", "saddr with the whole network: for all its clients")
        // nft reads its words as one script.
        return (
            (place == nil ? "nft add table \(table) ';' add chain" : "nft add chain")
                + " \(table) postrouting '{ type nat hook postrouting priority srcnat; };' add rule \(table) postrouting"
                + " \(from) \(family) daddr \(backend.address) tcp dport \(backend.port) ct status dnat masquerade",
            remark
        )
    }
}

extension Rule {
    /// Where it stands: nftables' family, table and chain, or iptables' in the same words.
    struct Place {
        var family: Substring
        var table: Substring
        var chain: Substring

        /// `ip filter input`, for a command of nft's. nil: a name that nft would not read as one word: whoever may make
        /// a chain may call it `a; flush ruleset`.
        var inNft: String? {
            table.isNftIdentifier && chain.isNftIdentifier ? "\(family) \(table) \(chain)" : nil
        }
    }

    /// What it is changed with.
    enum Editor {
        case nft
        case iptables(program: String)
    }

    /// nil: not known as a whole.
    var place: Place? {
        // Names have spaces only where somebody means to deceive.
        guard let words = ruleset?.split(separator: " ", omittingEmptySubsequences: false), words.count == 3 else {
            return nil
        }
        return Place(family: words[0], table: words[1], chain: words[2])
    }

    var editor: Editor {
        guard isMadeByIptables else { return .nft }
        let family = place?.family == "ip6" ? "ip6tables" : "iptables"
        return switch tool {
        case .iptablesLegacy: .iptables(program: "\(family)-legacy")
        case .iptablesNft: .iptables(program: "\(family)-nft")
        default: .iptables(program: family)
        }
    }

    var isPolicy: Bool { id == nil && text?.hasPrefix("policy ") == true }

    /// Its table is of a family whose hooks are IP's.
    var isOfIP: Bool {
        guard let family = ruleset?.split(separator: " ").first else { return false }
        return family != "bridge" && family != "netdev"
    }

    private static let chainsOfIptables: Set<Substring> = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]

    /// Where it is not known which tool says so: its text is as iptables writes it; a policy is that of one of its
    /// chains.
    var isMadeByIptables: Bool {
        if let tool { return tool != .nft }
        if isPolicy { return ruleset?.split(separator: " ").last.map(Self.chainsOfIptables.contains) ?? false }
        return text.map { $0.hasPrefix("-") || $0.contains(" -j ") || $0.contains(" -g ") } ?? false
    }

    /// `ip filter input handle 4 "tcp dport 80 drop"`
    var inWords: String {
        // With iptables it is a handle or a place in the chain, by which of its two kinds made it.
        let number = id.map { (isMadeByIptables ? " " : " handle ") + $0 } ?? ""
        return (ruleset ?? "of an unknown chain") + number + (text.map { " \"\($0)\"" } ?? "")
    }
}

extension IPAddress {
    /// What nft and `ip` call the family in a match.
    var nftFamily: String { family == .v4 ? "ip" : "ip6" }
}

extension StringProtocol {
    /// Whether nft takes it as one name (its scanner's `string`), and a shell as one word.
    var isNftIdentifier: Bool {
        guard let first = utf8.first, isLetter(first) || first == UInt8(ascii: "_") else { return false }
        return utf8.allSatisfy { isLetter($0) || "0123456789_-./".utf8.contains($0) }
    }
}

private func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
}
