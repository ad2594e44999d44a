// Causes at a socket that was found: its queues are full, or TCP refuses for another reason.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("The listener has no room")
struct AcceptQueueTests {
    private func queues(accept: UInt32 = 0, syn: UInt32 = 0, of limit: UInt32 = 4) -> ListenerQueues {
        ListenerQueues(accept: accept, syn: syn, limit: limit)
    }

    private func asked(_ queues: ListenerQueues, _ story: Story = Story()) -> Story {
        story.facts.listening(listener("0.0.0.0:80", waiting: queues.accept, of: queues.limit), port: 80)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.delivered(),
            someSyn.lookedUp(finding: "0.0.0.0:80", queues: queues))
        return story
    }

    @Test("For the SYN: its accept queue is full")
    func synDropped() throws {
        let story = asked(queues(accept: 5))
        story.silence(until: Story.settled)
        #expect(story.codes == [.acceptQueueFull])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "nginx (pid 812), which listens on 0.0.0.0:80, does not accept its connections fast enough: its queue is full (5 of 4), so the SYN was dropped."
        )
        #expect(
            verdict.advice == [
                "See why nginx does not accept: it may hang, or be overloaded: ss -ltnp 'sport = :80'",
                "Or let it call listen() with a longer queue (and raise net.core.somaxconn)",
            ])
        #expect(verdict.evidence == [.listener(listener("0.0.0.0:80", waiting: 5, of: 4))])
        #expect(verdict.process == ProcessIdentity(pid: 812, name: "nginx"))
        #expect(verdict.function == "__inet_lookup_listener" && verdict.checklist.listenerMatches == true)
        #expect(verdict.checklist.answer == Checklist.Answer.none)
    }

    @Test("For the SYN: its SYN queue is full, and there are no cookies", arguments: [4, 5])
    func synQueue(_ waiting: UInt32) throws {
        let story = Story()
        story.facts.sysctl("net/ipv4/tcp_syncookies", is: 0)
        _ = asked(queues(accept: 1, syn: waiting), story)
        story.silence(until: Story.settled)
        #expect(story.codes == [.acceptQueueFull])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "nginx (pid 812), which listens on 0.0.0.0:80, has its SYN queue full (\(waiting) of 4 handshakes half done), so the SYN was dropped."
        )
        #expect(verdict.advice[0] == "Turn SYN cookies on: sysctl -w net.ipv4.tcp_syncookies=1")
        #expect(
            verdict.evidence.dropFirst() == [
                .counter(name: "syn_queue", value: UInt64(waiting)),
                .sysctl(name: "net.ipv4.tcp_syncookies", value: "0"),
            ])
    }

    @Test("With cookies, a full SYN queue drops nothing")
    func synQueueWithCookies() {
        let story = Story()
        story.facts.sysctl("net/ipv4/tcp_syncookies", is: 1)
        _ = asked(queues(syn: 5), story)
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
    }

    @Test("Its queues have room, so its silence has another reason")
    func room() {
        for queues in [queues(accept: 4), queues(accept: 1, syn: 3)] {
            let story = asked(queues)
            story.silence(until: Story.settled)
            #expect(story.verdicts.isEmpty)
            story.silence(until: .seconds(5))
            #expect(story.codes == [.unexplained])
        }
    }

    @Test("It found room all the same: a request was queued, or a cookie sent")
    func foundRoom() {
        for answer in [someSyn.queued(), synack(from: published, to: client).transmitted()] {
            let story = asked(queues(syn: 5))
            story.at(.microseconds(10), answer)
            story.silence(until: .seconds(4))
            #expect(story.verdicts.isEmpty)
        }
    }

    @Test("A SYN queue that was full says nothing where the answer may have been lost from sight")
    func synQueueLost() {
        let story = asked(queues(syn: 5))
        story.loses(at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
        let full = asked(queues(accept: 5))
        full.loses(at: .milliseconds(10))
        full.silence(until: Story.settled)
        #expect(full.codes == [.acceptQueueFull])
    }

    @Test("When tracing ends right then, the answer may be about to come from a cookie")
    func synQueueEnds() {
        let story = asked(queues(syn: 5))
        story.ends(at: .milliseconds(1))
        #expect(story.codes == [.unexplained] && story.verdicts[0].outcome == .unknown)
    }

    // MARK: The last ACK

    private let last = ack(from: client, to: published)
    private let answered = [
        someSyn.received(by: "eth0"), someSyn.delivered(), someSyn.lookedUp(finding: "0.0.0.0:80"), someSyn.queued(),
        synack(from: published, to: client).transmitted(), synack(from: published, to: client).sent(by: "eth0"),
        ack(from: client, to: published).received(by: "eth0"), ack(from: client, to: published).delivered(),
    ]

    @Test("For the connection that the last ACK would have made")
    func ackDropped() {
        for drop in [[], [last.dropped(in: "tcp_v4_rcv", for: "NOT_SPECIFIED")]] {
            let story = Story()
            story.facts.listening(listener("0.0.0.0:80"), port: 80)
            story.tell(answered + [last.finishing(at: "0.0.0.0:80", queues: queues(accept: 5))] + drop, at: .zero)
            story.silence(until: Story.settled)
            #expect(story.codes == [.acceptQueueFull])
        }
    }

    @Test("The dropped ACK is said to be one")
    func ackInWords() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80"), port: 80)
        story.tell(
            answered + [
                last.finishing(at: "0.0.0.0:80", queues: queues(accept: 5)),
                last.dropped(in: "tcp_v4_rcv", for: "NOT_SPECIFIED"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(
            story.verdicts.map(\.sentence) == [
                "nginx (pid 812), which listens on 0.0.0.0:80, does not accept its connections fast enough: its queue is full (5 of 4), so the last ACK of the handshake was dropped."
            ])
    }

    @Test("With tcp_abort_on_overflow, it is reset")
    func reset() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80"), port: 80)
        story.facts.sysctl("net/ipv4/tcp_abort_on_overflow", is: 1)
        story.tell(
            answered + [
                last.finishing(at: "0.0.0.0:80", queues: queues(accept: 5)), last.reset(socket: 0x9000),
                rst(from: published, to: client).sent(by: "eth0"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.acceptQueueFull])
        #expect(story.verdicts[0].sentence.hasSuffix("its queue is full (5 of 4), so the connection was reset."))
        #expect(story.verdicts[0].evidence.last == .sysctl(name: "net.ipv4.tcp_abort_on_overflow", value: "1"))
        #expect(story.verdicts[0].function == "tcp_v4_send_reset")
    }

    @Test("The queue had room for the last ACK, which is no step and no cause")
    func ackTaken() {
        let story = Story()
        story.tell(
            answered + [
                last.finishing(at: "0.0.0.0:80", queues: queues(accept: 4)),
                last.socket(from: .synReceived, to: .established),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.established])
        #expect(story.actions.count { $0 == .listener } == 1)
    }

    @Test("An ACK that comes again finds room")
    func ackTakenLater() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80"), port: 80)
        story.tell(answered + [last.finishing(at: "0.0.0.0:80", queues: queues(accept: 5))], at: .zero)
        story.silence(until: .seconds(1))
        story.at(
            .seconds(1), last.received(by: "eth0"), last.finishing(at: "0.0.0.0:80", queues: queues(accept: 2)),
            last.socket(from: .synReceived, to: .established))
        story.ends(at: .seconds(3))
        #expect(story.codes == [.acceptQueueFull, .established])
    }

    // MARK: By tracepoints

    @Test("Without hooks, a SYN that came and was lost where the listener's queue is full now")
    func synByTracepoints() {
        let story = Story()
        story.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
        story.waits(someSyn.received(by: "eth0"))
        #expect(story.codes == [.acceptQueueFull])
        #expect(story.verdicts[0].sentence.contains("its queue is full (129 of 128), so the SYN was dropped."))
        #expect(story.verdicts[0].checklist.listenerMatches == true)
    }

    @Test("Without hooks, no queue is full, or not that of a listener that takes the SYN")
    func roomByTracepoints() {
        for other in [
            listener("203.0.113.10:80", waiting: 128), listener("10.0.0.9:80", waiting: 129),
            listener("[::]:80", isIPv6Only: true, waiting: 129),
        ] {
            let story = Story()
            story.facts.listening(other, port: 80)
            story.waits(someSyn.received(by: "eth0"))
            #expect(story.codes == [.unexplained])
        }
    }

    @Test("With hooks, what they did not see did not happen, however full the queue is now")
    func notSeenByHooks() {
        let attached = Story { $0.hooks = ["__inet_lookup_listener"] }
        attached.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
        attached.waits(someSyn.received(by: "eth0"))
        #expect(attached.codes == [.unexplained])

        let seen = Story()
        seen.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
        seen.waits(
            someSyn.received(by: "eth0"), someSyn.lookedUp(finding: "203.0.113.10:80", queues: queues(accept: 1)))
        #expect(seen.codes == [.unexplained])

        for end in [last.dropped(in: "tcp_v4_rcv", for: "NOT_SPECIFIED"), last.reset(socket: 0x9000)] {
            let story = Story { $0.hooks = ["tcp_check_req"] }
            story.facts.listening(listener("0.0.0.0:80", waiting: 129), port: 80)
            story.tell(answered + [last.finishing(at: "0.0.0.0:80", queues: queues(accept: 1)), end], at: .zero)
            story.silence(until: Story.settled)
            #expect(!story.codes.contains(.acceptQueueFull))
        }
    }

    @Test("Without hooks, a last ACK that was dropped or reset")
    func ackByTracepoints() {
        let before = [
            someSyn.received(by: "eth0"), synack(from: published, to: client).sent(by: "eth0"),
            last.received(by: "eth0"),
        ]
        for end in [
            last.dropped(in: "tcp_v4_rcv"), last.dropped(in: "tcp_v4_rcv", for: "NOT_SPECIFIED"),
            last.dropped(in: "tcp_v4_rcv", for: "TCP_LISTEN_OVERFLOW"), last.byTracepoint().reset(socket: 0x9000),
        ] {
            let story = Story()
            story.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
            story.tell(before + [end], at: .zero)
            story.silence(until: Story.settled)
            #expect(story.codes == [.acceptQueueFull])
        }
    }

    @Test("A last ACK that TCP dropped for a reason of its own was not dropped for want of room")
    func ackForOtherReason() {
        for (reason, code) in [("TCP_CSUM", VerdictCode.dropped), ("TCP_MD5NOTFOUND", .socketRefused)] {
            let story = Story()
            story.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
            story.settles(
                someSyn.received(by: "eth0"), synack(from: published, to: client).sent(by: "eth0"),
                last.received(by: "eth0"), last.dropped(in: "tcp_v4_rcv", for: reason))
            #expect(story.codes == [code])
        }
    }

    @Test("Silence proves nothing where observations were lost, or tracing ends")
    func silence() {
        let story = Story()
        story.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
        story.at(.zero, someSyn.received(by: "eth0"))
        story.loses(at: .seconds(1))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.unexplained])
        let ended = Story()
        ended.facts.listening(listener("203.0.113.10:80", waiting: 129), port: 80)
        ended.at(.zero, someSyn.received(by: "eth0"))
        ended.ends(at: .seconds(1))
        #expect(ended.codes == [.unexplained] && ended.verdicts[0].outcome == .unknown)
    }

    @Test("A SYN that was passed on did not meet the listener here")
    func passedOn() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80", waiting: 129), port: 80)
        story.waits(someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        #expect(story.codes == [.synUnanswered])
    }
}

@Suite("TCP refuses at a socket")
struct SocketRefusedTests {
    @Test("A socket was found and TCP reset all the same")
    func refusedBySocket() {
        let story = Story()
        story.facts.answers[.resetReason(5)] = .name("TCP_TIMEWAIT_SOCKET")
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(socket: 0x9000, reason: 5))
        story.silence(until: Story.settled)
        #expect(story.codes == [.socketRefused])
        #expect(
            story.verdicts[0].sentence
                == "TCP found a socket for 203.0.113.10:80 and reset the connection (TCP_TIMEWAIT_SOCKET).")
        #expect(story.verdicts[0].reason == "TCP_TIMEWAIT_SOCKET")
    }

    @Test("A reset without reason has none in its sentence")
    func refusedWithoutReason() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(socket: 0x9000))
        story.silence(until: Story.settled)
        #expect(
            story.verdicts.map(\.sentence) == ["TCP found a socket for 203.0.113.10:80 and reset the connection."])
    }

    @Test("TCP dropped the SYN for a reason that a socket has")
    func dropped() {
        for reason in ["TCP_MINTTL", "TCP_MD5NOTFOUND", "SOCKET_FILTER"] {
            let story = Story()
            story.facts.listening(listener("0.0.0.0:80"), port: 80)
            story.settles(someSyn.received(by: "eth0"), someSyn.dropped(in: "tcp_v4_rcv", for: reason))
            #expect(story.codes == [.socketRefused])
            #expect(
                story.verdicts[0].sentence
                    == "TCP found a socket for 203.0.113.10:80 and dropped the SYN (\(reason)).")
            #expect(story.verdicts[0].reason == reason && story.verdicts[0].stage == .socket)
            #expect(story.verdicts[0].checklist.listenerMatches == true)
        }
    }

    @Test("TCP dropped the SYN without a reason, after it had found a socket")
    func droppedAfterLookup() {
        for (found, code) in [("0.0.0.0:80", VerdictCode.socketRefused), (nil, .dropped)] {
            let story = Story()
            story.settles(
                someSyn.received(by: "eth0"), someSyn.delivered(), someSyn.lookedUp(finding: found),
                someSyn.dropped(in: "tcp_rcv_state_process", for: "NOT_SPECIFIED"))
            #expect(story.codes == [code])
        }
    }

    @Test(
        "Reasons that TCP has before or without a socket",
        arguments: ["NO_SOCKET", "TCP_CSUM", "NOMEM", "NOT_SPECIFIED", "XFRM_POLICY"])
    func withoutSocket(_ reason: String) {
        let story = Story()
        story.settles(someSyn.received(by: "eth0"), someSyn.dropped(in: "tcp_v4_rcv", for: reason))
        #expect(story.codes == [.dropped])
    }

    @Test("A wrong checksum is found before any socket is asked")
    func checksum() {
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), someSyn.lookedUp(finding: "0.0.0.0:80"),
            someSyn.dropped(in: "tcp_v4_rcv", for: "TCP_CSUM"))
        #expect(story.codes == [.dropped])
    }

    @Test("The same reason elsewhere than in TCP says nothing of sockets")
    func elsewhere() {
        let story = Story()
        story.settles(someSyn.received(by: "eth0"), someSyn.dropped(in: "__dev_queue_xmit", for: "SOCKET_FILTER"))
        #expect(story.codes == [.dropped])
    }

    @Test("The ACK was refused")
    func ackDropped() {
        let last = ack(from: client, to: published)
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), synack(from: published, to: client).sent(by: "eth0"),
            last.received(by: "eth0"), last.dropped(in: "tcp_v4_rcv", for: "SOCKET_FILTER"))
        #expect(story.codes == [.socketRefused])
        #expect(
            story.verdicts[0].sentence
                == "TCP found a socket for 203.0.113.10:80 and dropped the ACK (SOCKET_FILTER).")
    }

    @Test("What a socket filter drops was translated, also where the packet no longer has its entry")
    func translated() {
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), syn(from: client, to: inner).dropped(in: "tcp_v4_rcv", for: "SOCKET_FILTER"))
        #expect(story.codes == [.socketRefused])
        #expect(story.verdicts[0].sentence.contains("for 10.0.0.2:8080 (dialled as 203.0.113.10:80)"))
        #expect(story.sink.connections[0].translated == flow(client, inner))
    }
}
