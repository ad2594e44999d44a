// tcpdump's filter expressions (pcap-filter(7)), as fingers write them by habit: what they are called here.

enum TcpdumpExpression {
    /// The same as options: `tcp dst port 80 and host 192.0.2.7` as `--dport 80 --addr 192.0.2.7`. A lone address or
    /// port is one too. nil: it cannot be said so.
    static func options(for words: [String]) -> String? {
        var rest = words[...]
        var options: [String] = []
        var direction: String?
        while let word = rest.popFirst() {
            switch word {
            case "tcp", "and", "&&": continue
            case "ip", "ip6":
                options.append(word == "ip" ? "-4" : "-6")
            case "src", "dst":
                direction = word
            case "port", "portrange":
                guard let value = rest.popFirst(), isPort(value) else { return nil }
                options.append("\(port(direction)) \(value)")
                direction = nil
            case "host", "net":
                guard let value = rest.popFirst(), isAddress(value) else { return nil }
                options.append("\(address(direction)) \(value)")
                direction = nil
            default:
                if isPort(word) {
                    options.append("\(port(direction)) \(word)")
                } else if isAddress(word) {
                    options.append("\(address(direction)) \(word)")
                } else if let (host, number) = socket(word) {
                    options.append("\(address(direction)) \(host) \(port(direction)) \(number)")
                } else {
                    return nil
                }
                direction = nil
            }
        }
        return options.isEmpty || direction != nil ? nil : options.joined(separator: " ")
    }

    /// Whether it looks like one, also like one that cannot be said here.
    static func isOne(_ words: [String]) -> Bool { words.first.map(keywords.contains) ?? false }

    private static let keywords: Set<String> = [
        "tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6", "src", "dst", "port", "portrange", "host", "net", "not", "!",
        "tcp[tcpflags]", "ether", "vlan", "proto", "less", "greater",
    ]

    private static func port(_ direction: String?) -> String {
        switch direction {
        case "src": "--sport"
        case "dst": "--dport"
        default: "--port"
        }
    }

    private static func address(_ direction: String?) -> String {
        switch direction {
        case "src": "--saddr"
        case "dst": "--daddr"
        default: "--addr"
        }
    }

    private static func isPort(_ text: String) -> Bool { (try? Values.ports(text)) != nil }
    private static func isAddress(_ text: String) -> Bool { (try? Values.prefix(text)) != nil }

    /// `192.0.2.7:80`, `[2001:db8::7]:80`
    private static func socket(_ text: String) -> (host: Substring, port: Substring)? {
        guard let mark = text.lastIndex(of: ":") else { return nil }
        var host = text[..<mark]
        let port = text[text.index(after: mark)...]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return isAddress(String(host)) && isPort(String(port)) ? (host, port) : nil
    }
}
