// The terminal: what it says, that nothing is wider than it, and that nobody else can write on it.

import Glibc
import Testing

@testable import Handshake
@testable import Output

private func shown(
    _ article: ArticleCase = ArticleCase(), width: Int, colour: Bool = false, unicode: Bool = true, follow: Bool = false
) -> String {
    let capture = Capture()
    article.tell(TerminalSink(output: capture.output, width: width, colour: colour, unicode: unicode, follow: follow))
    return capture.text()
}

/// A way through two namespaces, established, with what had to be concluded.
private func twoNamespaces(name: String? = nil) -> ArticleCase {
    let article = ArticleCase()
    let dialled = article.connection.dialled
    let translated = tuple("10.0.0.1", 41234, "10.0.0.2", 8080)
    article.connection.course.translated = translated
    func packet(_ tuple: Tuple, _ flags: TCPFlags) -> Packet {
        Packet(tuple: tuple, flags: flags, seq: 1, ack: 1, payload: 0)
    }
    article.connection.steps = [
        makeStep(
            0, at: 0, .transmit, .output, function: "tcp_connect", netns: 1, netnsName: name,
            packet: packet(dialled, .syn), process: ProcessIdentity(pid: 7, name: name ?? "curl")),
        makeStep(
            1, at: 3_000, .natSource, .postrouting, backend: .inferred, netns: 1, netnsName: name,
            packet: packet(dialled, .syn), rule: Rule(id: name, ruleset: name, text: name),
            detail: .translation(before: dialled, after: translated, asked: nil)),
        makeStep(
            2, at: 5_000, .syn, .ingress, function: "net:netif_receive_skb", netns: 2, netnsName: "pod",
            packet: packet(translated, .syn), interface: name ?? "veth0"),
        makeStep(
            3, at: 6_000, .listener, .socket, netns: 2, netnsName: "pod", packet: packet(translated, .syn),
            process: ProcessIdentity(pid: 8, name: name ?? "nginx"),
            detail: .listener(BoundListener(address: IPAddress(v4: 0), port: 8080, interfaceIndex: 0))),
        makeStep(
            4, at: 7_000, .drop, .socket, function: name, netns: 2, packet: packet(translated, .ack), reason: name),
        makeStep(5, at: 1_234_567_000, .retransmit, .output, netns: 1, netnsName: name, packet: packet(dialled, .syn)),
    ]
    return article
}

@Suite struct TerminalTests {
    @Test func eightyColumns() {
        #expect(
            shown(width: 80) == """
                198.51.100.7:41234 → 203.0.113.10:80 ⇒ 10.0.0.2:8080               23:59:59.500Z
                 netns gateway
                 +0.000 ms  ingress     SYN in by eth0                     net:netif_receive_skb
                 +0.011 ms  prerouting  conntrack: new entry                     nf_conntrack_in
                 +0.017 ms  prerouting  DNAT 203.0.113.10:80 → 10.0.0.2:8080   nf_nat_setup_info
                                        rule ip nat prerouting 4: tcp dport 80 dnat to
                                        10.0.0.2:8080
                 +0.034 ms  input       SYN delivered to TCP on 10.0.0.2:8080         tcp_v4_rcv
                 +0.036 ms  socket      no listener for 10.0.0.2:8080     __inet_lookup_listener
                 +0.041 ms  socket      RST made: NO_SOCKET                    tcp_v4_send_reset
                 +0.052 ms  output      un-NAT 10.0.0.2:8080 → 203.0.113.10:80  nf_nat_manip_pkt
                 +0.060 ms  egress      RST out by eth0                   net:net_dev_start_xmit

                 ✗ listener_loopback_only  after 0.060 ms
                   why       The SYN to 203.0.113.10:80 was translated to 10.0.0.2:8080, but the
                             only listener on port 8080 in namespace gateway is python3 (pid
                             4242) on 127.0.0.1:8080, which is loopback: TCP answered with RST.
                   where     socket, tcp_v4_send_reset, reason NO_SOCKET, netns gateway
                   checked   SYN arrived, answer: rst, conntrack: new, no listener matches
                   evidence  - python3 (pid 4242) listens on 127.0.0.1:8080, 0 of 128 waiting
                               for accept
                             - sysctl net.ipv4.conf.eth0.route_localnet is 0
                             - route local 10.0.0.2 dev eth0 table local
                             - conntrack entry SYN_SENT 198.51.100.7:41234 → 203.0.113.10:80,
                               answers 10.0.0.2:8080 → 198.51.100.7:41234
                             - rule ip nat prerouting 4: tcp dport 80 dnat to 10.0.0.2:8080
                             - device eth0 has 10.0.0.2
                             - counter TcpExtListenDrops is 0
                   change    - Let python3 (pid 4242) listen on 10.0.0.2:8080 or on every
                               address.
                             - See who listens: ip netns exec gateway ss -ltnp 'sport = :8080'

                !! 12 events lost: ring buffer full (30 since the start). What is shown from
                here may have gaps.

                """)
    }

    @Test func twoHundredColumns() {
        let lines = shown(width: 200).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(
            lines[1...4].joined(separator: "\n") == """
                 +0.000 ms  ingress     SYN in by eth0                          SYN 198.51.100.7:41234 → 203.0.113.10:80  \
                gateway  eth0  cpu 1  net:netif_receive_skb   tracepoint
                 +0.011 ms  prerouting  conntrack: new entry                    SYN 198.51.100.7:41234 → 203.0.113.10:80  \
                gateway        cpu 1  nf_conntrack_in         kprobe
                 +0.017 ms  prerouting  DNAT 203.0.113.10:80 → 10.0.0.2:8080    SYN 198.51.100.7:41234 → 203.0.113.10:80  \
                gateway        cpu 1  nf_nat_setup_info       kprobe
                                        rule ip nat prerouting 4: tcp dport 80 dnat to 10.0.0.2:8080
                """)
    }

    @Test func namespacesAndConclusions() {
        let text = shown(twoNamespaces(), width: 80)
        let lines = text.split(separator: "\n").map(String.init)
        #expect(
            lines[..<13].joined(separator: "\n") == """
                198.51.100.7:41234 → 203.0.113.10:80 ⇒ 10.0.0.1:41234 → 10.0.0.2:8080
                 netns 1
                    +0.000 ms  output       SYN to 203.0.113.10:80 sent by curl (pid 7)
                ~   +0.003 ms  postrouting  SNAT 198.51.100.7:41234 → 10.0.0.1:41234,
                                            203.0.113.10:80 → 10.0.0.2:8080
                 netns pod
                    +0.005 ms  ingress      SYN to 10.0.0.2:8080, in by veth0
                    +0.006 ms  socket       listener found on *:8080, nginx (pid 8)
                 netns 2
                    +0.007 ms  socket       ACK to 10.0.0.2:8080 dropped
                 netns 1
                 +1234.567 ms  output       SYN to 203.0.113.10:80 sent again
                 ✗ listener_loopback_only  after 0.060 ms
                """)
    }

    @Test func nothingIsWiderThanTheTerminal() {
        let long = "a-name-that-is-much-longer-than-any-kernel-would-allow-and-without-a-single-space-é漢字漢字"
        for article in [ArticleCase(), ArticleCase(isIPv6: true), twoNamespaces(), twoNamespaces(name: long)] {
            for width in [60, 61, 80, 81, 100, 119, 120, 126, 127, 140, 160, 200, 300] {
                for (unicode, follow) in [(true, false), (false, false), (true, true), (false, true)] {
                    let text = shown(article, width: width, unicode: unicode, follow: follow)
                    // A command is left whole where a tag stands before each line.
                    for line in text.split(separator: "\n") where !(follow && line.contains(" ip netns exec ")) {
                        #expect(columns(String(line)) <= width, "\(width): \(line)")
                    }
                    #expect(!follow || !text.contains(" \\\n"))
                }
            }
        }
    }

    @Test func colourChangesNothingElse() {
        for width in [80, 200] {
            let plain = shown(width: width)
            let coloured = shown(width: width, colour: true)
            #expect(!plain.contains("\u{1b}"))
            #expect(coloured.contains("\u{1b}[1;31m✗ listener_loopback_only\u{1b}[0m"))
            #expect(coloured.replacing(/\u{1b}\[[0-9;]+m/, with: "") == plain)
        }
    }

    @Test func asciiWhereTheLocaleIsNotUTF8() {
        let text = shown(twoNamespaces(name: "büro"), width: 200, unicode: false)
        #expect(text.utf8.allSatisfy { $0 < 0x80 })
        #expect(text.contains("203.0.113.10:80 => 10.0.0.1:41234 -> 10.0.0.2:8080"))
        #expect(text.contains("b?ro"))
    }

    @Test func namesCannotWriteOnTheTerminal() {
        let hostile = "\u{1b}[2Jx\r\u{8}\u{9b}31m\u{7f}\n\u{202e}y\u{200b}\u{2028}"
        let article = twoNamespaces(name: hostile)
        let rule = Rule(id: hostile, ruleset: hostile, text: hostile)
        let process = ProcessIdentity(pid: 1, name: hostile)
        let listener = Listener(
            address: IPAddress(v4: 1), port: 1, isIPv6Only: nil, interface: .init(index: 1, name: hostile),
            acceptQueue: 0, acceptQueueLimit: 0, inode: 0, process: process)
        article.connection.course.ingressInterface = hostile
        let verdict = makeVerdict(
            .dropped, .failure, hostile, advice: [hostile],
            evidence: [
                .listener(listener), .sysctl(name: hostile, value: hostile), .route(hostile), .rule(rule),
                .interface(name: hostile, addresses: []), .counter(name: hostile, value: 0),
            ], function: hostile, reason: hostile, netnsName: hostile, rule: rule, process: process)
        for (width, unicode, follow) in [(80, true, false), (200, false, false), (80, false, true), (200, true, true)] {
            let capture = Capture()
            let sink = TerminalSink(
                output: capture.output, width: width, colour: false, unicode: unicode, follow: follow)
            sink.start(ArticleCase.start)
            for step in article.connection.steps { sink.step(step, of: article.connection) }
            sink.verdict(verdict, of: article.connection)
            sink.loss(Loss(reason: hostile, scope: .observations, events: 1, total: 1, time: 0, since: 0))
            for scalar in capture.text().unicodeScalars {
                #expect(scalar == "\n" || scalar.value >= 0x20 && !(0x7f..<0xa0).contains(scalar.value))
                #expect(![0x202e, 0x200b, 0x2028].contains(scalar.value))
            }
            #expect(capture.text().contains("\\x1b"))
        }
    }

    @Test func followingShowsEachStepAtOnce() {
        let capture = Capture()
        let sink = TerminalSink(output: capture.output, width: 80, colour: false, unicode: true, follow: true)
        let article = ArticleCase()
        sink.start(ArticleCase.start)
        sink.step(article.connection.steps[0], of: article.connection)
        let lines = capture.lines()
        #expect(lines.count == 4)
        #expect(lines.dropLast().allSatisfy { $0.hasPrefix("1a797d ") })
        #expect(lines[2] == "1a797d  +0.000 ms  ingress     SYN in by eth0              net:netif_receive_skb")
    }

    @Test func aNewWidthIsUsedFromTheNextLine() {
        let capture = Capture()
        let sink = TerminalSink(output: capture.output, width: 200, colour: false, unicode: true, follow: false)
        let article = ArticleCase()
        sink.verdict(article.verdict, of: article.connection)
        sink.width = 60
        let before = capture.lines().count
        sink.verdict(article.verdict, of: article.connection)
        for line in capture.lines()[before...] { #expect(columns(line) <= 60) }
    }

    @Test func wrapping() {
        #expect(wrapped("", width: 10) == [""])
        #expect(wrapped("one two three", width: 8) == ["one two", "three"])
        #expect(wrapped("0123456789abcdef x", width: 8) == ["01234567", "89abcdef", "x"])
        #expect(wrapped("aa 漢字漢字漢 b", width: 8) == ["aa", "漢字漢字", "漢 b"])
        #expect(wrapped("1234 →\(gluedSpace)5678", width: 8) == ["1234", "→ 5678"])
    }
}

@Suite struct StatusWriterTests {
    private func said(_ body: (StatusWriter) -> Void) -> String {
        let file = TemporaryFile()
        let descriptor = open(file.path, O_WRONLY | O_APPEND)
        defer { close(descriptor) }
        body(StatusWriter(descriptor: descriptor))
        return String(decoding: file.bytes, as: UTF8.self)
    }

    @Test func tracing() {
        #expect(
            said { $0.tracing(ArticleCase.start) } == """
                nattrace: tracing on kernel 6.12.0: 2 hooks (kprobe: 1, tracepoint: 1), filter --dport 80; Ctrl-C ends
                nattrace: 1 hook cannot be observed on this kernel: steps marked ~ are concluded, not seen

                """)
    }

    @Test func hooksOfModulesFollow() {
        var start = ArticleCase.start
        start.missing = [
            .init(hook: "nf_nat_manip_pkt", loss: "", module: "nf_nat"),
            .init(hook: "nf_nat_setup_info", loss: "", module: "nf_nat"),
        ]
        #expect(said { $0.tracing(start) }.hasSuffix("nattrace: 2 hooks follow when loaded: nf_nat\n"))
    }

    @Test func summary() {
        var lossy = Totals()
        lossy.lost = 3
        lossy.events = 1
        lossy.verdicts = [.dropped: 1]
        #expect(
            said {
                $0.summary(ArticleCase.totals)
                $0.summary(Totals())
                $0.summary(lossy)
            } == """
                nattrace: 3 connections: 2 established, 1 listener_loopback_only; 57 events, none lost
                nattrace: no connection; 0 events, none lost
                nattrace: 1 connection: 1 dropped; 1 event, 3 LOST

                """)
    }

    @Test func errorsAreOneLine() {
        #expect(said { $0.error("a\nb\u{1b}") } == "nattrace: error: a\\x0ab\\x1b\n")
    }
}
