// Causes at the socket: nobody listens there, or somebody does elsewhere.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("Nothing listens where the SYN went")
struct ListenerCausesTests {
    private func verdict(where listeners: [Listener]?, _ change: (Story) -> Void = { _ in }) throws -> Verdict {
        let story = Story.refused(where: listeners, change)
        #expect(story.verdicts.count == 1)
        return try #require(story.verdicts.first)
    }

    // MARK: no_listener

    @Test("No socket has the port")
    func nobody() throws {
        let verdict = try verdict(where: [])
        #expect(verdict.code == .noListener && verdict.outcome == .failure)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80), nor on any other address with port 8080."
        )
        #expect(
            verdict.advice
                == ["Start what should listen on port 8080, and check: ss -ltnp 'sport = :8080'"])
        #expect(verdict.stage == .socket && verdict.function == "tcp_v4_send_reset" && verdict.netns == Place.gateway)
        #expect(verdict.evidence.isEmpty && verdict.process == nil)
    }

    @Test("The port and the namespace asked about are those of the translated SYN")
    func question() {
        let story = Story.refused(where: [])
        let questions = story.facts.asked.filter {
            if case .listeners = $0 { true } else { false }
        }
        #expect(Set(questions) == [.listeners(port: 8080, netns: Place.gateway)])
    }

    @Test("Where nobody could be asked, it says so and guesses nothing")
    func unavailable() throws {
        let verdict = try verdict(where: nil)
        #expect(verdict.code == .noListener)
        #expect(
            verdict.sentence
                == "Nothing listened on 10.0.0.2:8080 (dialled as 203.0.113.10:80); who listens elsewhere could not be asked."
        )
        #expect(verdict.evidence.isEmpty)
    }

    @Test(
        "A listener that would take the SYN was started meanwhile",
        arguments: [
            listener("10.0.0.2:8080"), listener("0.0.0.0:8080"), listener("[::]:8080", isIPv6Only: false),
            listener("[::ffff:10.0.0.2]:8080"), listener("[::ffff:0.0.0.0]:8080", isIPv6Only: false),
        ])
    func meanwhile(_ late: Listener) throws {
        let verdict = try verdict(where: [late])
        #expect(verdict.code == .noListener)
        #expect(
            verdict.sentence
                == "Nothing listened on 10.0.0.2:8080 (dialled as 203.0.113.10:80) when the SYN came; nginx (pid 812) does by now."
        )
        #expect(verdict.advice == ["Try again: the service has been started meanwhile"])
        #expect(verdict.evidence == [.listener(late)])
    }

    @Test("The command to run is run in the namespace that has a name")
    func commandInNamespace() throws {
        let named = try verdict(where: []) { $0.facts.netns("blue", is: Place.gateway) }
        #expect(named.advice[0].hasSuffix(": ip netns exec blue ss -ltnp 'sport = :8080'"))
        #expect(named.netnsName == "blue")
        let container = try verdict(where: []) { $0.facts.netns("0123456789ab", is: Place.gateway) }
        let entered =
            ": nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==\(Place.gateway){print $2}') -n ss -ltnp 'sport = :8080'"
        #expect(container.advice[0].hasSuffix(entered))
        let elsewhere = Story.refused(where: [], in: Story { $0.homeNetns = Place.gateway + 1 })
        #expect(elsewhere.verdicts.first?.advice.first?.hasSuffix(entered) == true)
        let away = Story.refused(
            where: [], in: Story { $0.homeNetns = Place.gateway + 1 }
        ) { $0.facts.listeningElsewhere(listener("0.0.0.0:8080", in: blue), port: 8080) }
        #expect(away.verdicts.first?.sentence.contains("in network namespace \(Place.gateway), but") == true)
        let here = Story.refused(where: [], in: Story { $0.homeNetns = Place.gateway })
        #expect(here.verdicts.first?.advice.first?.hasSuffix(": ss -ltnp 'sport = :8080'") == true)
        let almost = try verdict(where: []) { $0.facts.netns("0123456789aX", is: Place.gateway) }
        #expect(almost.advice[0].contains("ip netns exec 0123456789aX"))
    }

    // MARK: listener_other_address

    @Test("A socket listens on another address of this machine")
    func otherAddress() throws {
        let other = listener("10.0.0.3:8080")
        let verdict = try verdict(where: [other])
        #expect(verdict.code == .listenerOtherAddress)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80): nginx (pid 812) listens on 10.0.0.3:8080."
        )
        #expect(
            verdict.advice == [
                "Let nginx listen on 10.0.0.2, or on every address (0.0.0.0)",
                "Or let the DNAT rule translate to 10.0.0.3:8080",
            ])
        #expect(verdict.evidence == [.listener(other)])
        #expect(verdict.process == ProcessIdentity(pid: 812, name: "nginx"))
    }

    @Test("Where nothing was translated, no rule is to be changed")
    func otherAddressUntranslated() {
        let story = Story()
        story.facts.listening(listener("10.0.0.3:80"), port: 80)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.lookedUp(), someSyn.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
        #expect(story.verdicts[0].advice == ["Let nginx listen on 203.0.113.10, or on every address (0.0.0.0)"])
        #expect(
            story.verdicts[0].sentence
                == "Nothing listens on 203.0.113.10:80: nginx (pid 812) listens on 10.0.0.3:80.")
    }

    @Test("Every IPv6 address is not every address where the socket takes IPv6 only")
    func version6Only() throws {
        let verdict = try verdict(where: [listener("[::]:8080", isIPv6Only: true)])
        #expect(verdict.code == .listenerOtherAddress)
        #expect(verdict.sentence.hasSuffix(": nginx (pid 812) listens on [::]:8080 for IPv6 only."))
    }

    @Test("Every IPv4 address is no IPv6 address")
    func version4ForVersion6() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80"), port: 80)
        let packet = syn(from: "[2001:db8::7]:41234", to: "[2001:db8::10]:80")
        story.at(.zero, packet.received(by: "eth0"), packet.lookedUp(), packet.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
        #expect(story.verdicts[0].advice == ["Let nginx listen on 2001:db8::10, or on every address ([::])"])
        #expect(story.verdicts[0].function == "tcp_v6_send_reset")
    }

    @Test("Of many listeners three are named, in the order of their addresses, and the rest counted")
    func several() throws {
        let all = (3...7).map { listener("10.0.0.\($0):8080", by: "app\($0)", pid: $0) }
        let verdict = try verdict(where: all.reversed())
        #expect(
            verdict.sentence.hasSuffix(
                ": app3 (pid 3) listens on 10.0.0.3:8080, app4 (pid 4) listens on 10.0.0.4:8080, "
                    + "app5 (pid 5) listens on 10.0.0.5:8080, and 2 more on that port."))
        #expect(verdict.evidence.count == 5 && verdict.process?.name == "app3")
    }

    @Test("A process that could not be found is said to be that")
    func unknownProcess() throws {
        let verdict = try verdict(where: [listener("10.0.0.3:8080", by: nil)])
        #expect(verdict.sentence.hasSuffix(": a process that could not be found listens on 10.0.0.3:8080."))
        #expect(verdict.advice[0].hasPrefix("Let the service listen"))
        #expect(verdict.process == nil)
    }

    // MARK: listener_loopback_only

    @Test(
        "The only listeners are on loopback",
        arguments: ["127.0.0.1:8080", "127.0.0.53:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"])
    func loopback(_ bound: String) throws {
        let verdict = try verdict(where: [listener(bound)])
        #expect(verdict.code == .listenerLoopbackOnly)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80): nginx (pid 812) listens on \(bound), which is loopback and reached only from inside its own network namespace."
        )
        #expect(
            verdict.advice == [
                "Let nginx listen on 10.0.0.2, or on every address (0.0.0.0), instead of \(endpoint(bound).address)"
            ])
    }

    @Test("One on loopback and one on another address are not loopback only")
    func loopbackAndOther() throws {
        #expect(
            try verdict(where: [listener("127.0.0.1:8080"), listener("10.0.0.3:8080", pid: 9)]).code
                == .listenerOtherAddress)
    }

    @Test("A SYN to loopback itself is not told to leave loopback")
    func loopbackTarget() {
        let story = Story()
        story.facts.listening(listener("[::1]:80"), port: 80)
        let packet = syn(from: "127.0.0.1:4000", to: "127.0.0.1:80")
        story.at(.zero, packet.sent(by: "lo"), packet.received(by: "lo"), packet.lookedUp(), packet.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
    }

    @Test("A container's loopback is its own")
    func namedNamespace() throws {
        let verdict = try verdict(where: [listener("127.0.0.1:8080")]) { $0.facts.netns("blue", is: Place.gateway) }
        #expect(verdict.sentence.hasSuffix("reached only from inside network namespace blue."))
    }

    // MARK: listener_other_device

    @Test("The only listener there is tied to another interface")
    func otherDevice() throws {
        let tied = listener("0.0.0.0:8080", tiedTo: "eth1")
        let verdict = try verdict(where: [tied])
        #expect(verdict.code == .listenerOtherDevice)
        #expect(
            verdict.sentence
                == "Nothing takes a SYN for 10.0.0.2:8080 (dialled as 203.0.113.10:80) from eth0: nginx (pid 812) listens on 0.0.0.0:8080, tied to eth1."
        )
        #expect(verdict.evidence == [.listener(tied)] && verdict.process?.pid == 812)
    }

    @Test("One that is tied to the very interface was started meanwhile")
    func sameDevice() throws {
        let verdict = try verdict(where: [listener("0.0.0.0:8080", tiedTo: "eth0")])
        #expect(verdict.code == .noListener)
        #expect(verdict.sentence.hasSuffix(" when the SYN came; nginx (pid 812) does by now."))
    }

    @Test("One that is tied to nothing was started meanwhile, and the tied one does not matter")
    func tiedAndFree() throws {
        let verdict = try verdict(where: [
            listener("0.0.0.0:8080", by: "tied", pid: 1, tiedTo: "eth1"), listener("0.0.0.0:8080", by: "free", pid: 2),
        ])
        #expect(verdict.code == .noListener)
        #expect(verdict.sentence.hasSuffix(" when the SYN came; free (pid 2) does by now."))
        #expect(verdict.evidence == [.listener(listener("0.0.0.0:8080", by: "free", pid: 2))])
    }

    @Test("A tied listener on another address is on another address")
    func tiedElsewhere() throws {
        #expect(try verdict(where: [listener("10.0.0.3:8080", tiedTo: "eth1")]).code == .listenerOtherAddress)
    }

    // MARK: listener_other_netns

    private let blue = Listener.Namespace(inode: Place.backend, name: "blue")

    @Test("The only listener is in another namespace")
    func otherNamespace() throws {
        let there = listener("0.0.0.0:8080", in: blue)
        let verdict = try verdict(where: []) { $0.facts.listeningElsewhere(there, port: 8080) }
        #expect(verdict.code == .listenerOtherNetns)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80) in this network namespace, but nginx (pid 812) listens on 0.0.0.0:8080 in network namespace blue."
        )
        #expect(
            verdict.advice == [
                "Translate to an address of network namespace blue, or run nginx in this network namespace"
            ])
        #expect(verdict.evidence == [.listener(there)] && verdict.process?.pid == 812)
        #expect(verdict.netns == Place.gateway)
    }

    @Test("A namespace without a name has its number")
    func otherNamespaceWithoutName() throws {
        let there = listener("0.0.0.0:8080", in: .init(inode: Place.backend, name: nil))
        let verdict = try verdict(where: []) { $0.facts.listeningElsewhere(there, port: 8080) }
        #expect(verdict.sentence.hasSuffix(" in network namespace 4026532002."))
    }

    @Test("Of many in other namespaces three are named, and the rest counted")
    func otherNamespaces() throws {
        let there = (1...5).map {
            listener(
                "0.0.0.0:8080", by: "app\($0)", pid: Int32($0),
                in: .init(inode: Place.backend + UInt32($0), name: "ns\($0)"))
        }
        let verdict = try verdict(where: []) {
            $0.facts.answers[.listenersElsewhere(port: 8080, netns: Place.gateway)] = .listeners(there.reversed())
        }
        #expect(verdict.code == .listenerOtherNetns)
        #expect(
            verdict.sentence.hasSuffix(
                ", but app1 (pid 1) listens on 0.0.0.0:8080 in network namespace ns1, app2 (pid 2) listens on 0.0.0.0:8080 in network namespace ns2, app3 (pid 3) listens on 0.0.0.0:8080 in network namespace ns3, and 2 more."
            ))
    }

    @Test("One that listens here, however wrongly, is nearer than one elsewhere")
    func otherNamespaceAndHere() throws {
        let there = listener("0.0.0.0:8080", in: blue)
        let here = try verdict(where: [listener("127.0.0.1:8080")]) { $0.facts.listeningElsewhere(there, port: 8080) }
        #expect(here.code == .listenerLoopbackOnly)
    }

    @Test("Where this namespace could not be asked, another one says nothing")
    func otherNamespaceAndUnknown() throws {
        let there = listener("0.0.0.0:8080", in: blue)
        let unknown = try verdict(where: nil) { $0.facts.listeningElsewhere(there, port: 8080) }
        #expect(unknown.code == .noListener)
        let nobody = try verdict(where: []) { $0.facts.listeningElsewhere(port: 8080) }
        #expect(nobody.code == .noListener)
    }

    // MARK: The same by tracepoints

    @Test("Tracepoints alone lead to the same verdict")
    func byTracepoints() {
        let story = Story()
        story.facts.listening(listener("127.0.0.1:8080"), port: 8080)
        story.facts.answers[.resetReason(1)] = .name("NO_SOCKET")
        story.tell(Scene.refusalByTracepoints, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerLoopbackOnly])
        #expect(story.verdicts[0].reason == "NO_SOCKET")
    }

    @Test("Where no hook shows the reset, the RST that leaves and the SYN without socket tell")
    func byDropAndRst() {
        let story = Story()
        story.facts.listening(port: 8080)
        story.facts.dropReason("NO_SOCKET", is: 3)
        story.facts.symbol("tcp_v4_rcv", at: 0x1000)
        story.at(
            .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).answering(.toInner).sent(by: "eth0"),
            syn(from: client, to: inner).with(.toInner).dropped(in: 0x1000, reason: 3))
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].function == "tcp_v4_rcv" && story.verdicts[0].stage == .socket)
    }

    @Test("Before drops had reasons, the function that freed the SYN tells the same")
    func byFunctionAndRst() {
        let story = Story()
        story.facts.listening(listener("127.0.0.1:8080"), port: 8080)
        story.facts.symbol("tcp_v4_rcv", at: 0x1000)
        story.at(
            .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).answering(.toInner).sent(by: "eth0"),
            syn(from: client, to: inner).with(.toInner).dropped(in: 0x1000))
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerLoopbackOnly])
        #expect(story.verdicts[0].reason == nil)
    }

    @Test("An RST that leaves while the SYN was freed in another function says nothing of listeners")
    func rstAfterOtherFunction() {
        let story = Story()
        story.facts.symbol("tcp_v4_do_rcv", at: 0x1000)
        story.at(
            .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).sent(by: "eth0"),
            someSyn.dropped(in: 0x1000))
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
    }

    @Test("An RST that leaves while the SYN was dropped for another reason says nothing of listeners")
    func rstAfterOtherDrop() {
        for (reason, netns) in [
            ("TCP_CSUM", Place.gateway), ("NO_SOCKET", Place.backend), ("NETFILTER_DROP", Place.backend),
        ] {
            let story = Story()
            story.facts.dropReason(reason, is: 3)
            story.at(
                .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).sent(by: "eth0"),
                someSyn.at(netns).dropped(reason: 3))
            story.silence(until: Story.settled)
            #expect(story.codes == [.unexplained], "\(reason)")
            #expect(
                story.verdicts[0].sentence
                    == "A reset left this machine for 198.51.100.7:41234, and what made it was not seen.")
        }
    }

    @Test("Before resets had reasons, the freed SYN gives one")
    func reasonOfTheDrop() throws {
        let story = Story()
        story.facts.listening(port: 8080)
        story.facts.dropReason("NO_SOCKET", is: 3)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.at(.milliseconds(1), syn(from: client, to: inner).with(.toInner).dropped(reason: 3))
        story.silence(until: Story.settled)
        #expect(story.verdicts.first?.reason == "NO_SOCKET")
    }
}
