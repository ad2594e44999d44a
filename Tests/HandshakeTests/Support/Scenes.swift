// Scenes that many tests begin with.

import CNattrace

@testable import Handshake

extension Entry {
    /// Not translated.
    static let plain = Entry(flow(client, published))
    /// Translated to the inner address.
    static let toInner = Entry(flow(client, published), to: flow(client, inner))
}

enum Scene {
    /// The SYN comes in, is translated to the inner address and reaches TCP, seen by every hook.
    static let synReachesTCP: [nattrace_observation] = [
        syn(from: client, to: published).received(by: "eth0"),
        syn(from: client, to: published).with(.plain).conntrack(.asked),
        syn(from: client, to: published).with(.plain).conntrack(.new),
        natRule(.destination, from: inner, flags: 3, binds: .plain),
        syn(from: client, to: published).with(.toInner).rewritten(.destination, .prerouting),
        syn(from: client, to: inner).with(.toInner).delivered(),
    ]

    /// TCP finds no socket for it, and the RST leaves as it should.
    static let nobodyListens: [nattrace_observation] = [
        syn(from: client, to: inner).with(.toInner).lookedUp(),
        syn(from: client, to: inner).with(.toInner).reset(),
        rst(from: inner, to: client).answering(.toInner).rewritten(.source, .output),
        rst(from: published, to: client).answering(.toInner).sent(by: "eth0"),
    ]

    /// TCP finds a listener, answers, and is answered.
    static let handshake: [nattrace_observation] = [
        syn(from: client, to: inner).with(.toInner).lookedUp(finding: inner),
        syn(from: client, to: inner).queued(),
        synack(from: inner, to: client).transmitted(),
        synack(from: inner, to: client).answering(.toInner).rewritten(.source, .output),
        synack(from: published, to: client).answering(.toInner).sent(by: "eth0"),
        ack(from: client, to: published).received(by: "eth0"),
        ack(from: client, to: inner).with(.toInner).delivered(),
        ack(from: client, to: inner).socket(from: .synReceived, to: .established),
    ]

    /// The same refusal as tracepoints alone show it.
    static let refusalByTracepoints: [nattrace_observation] = [
        syn(from: client, to: published).received(by: "eth0"),
        syn(from: client, to: inner).with(.toInner).byTracepoint().reset(reason: 1),
        rst(from: published, to: client).answering(.toInner).sent(by: "eth0"),
        syn(from: client, to: inner).with(.toInner).dropped(in: 0x1000, reason: 3),
    ]
}

extension Segment {
    /// Kprobes are not to be had.
    func byTracepoint() -> Segment {
        var copy = self
        copy.hooks = .tracepoint
        return copy
    }
}

extension Story {
    /// The settle time is over, and a bit more.
    static let settled = Duration.milliseconds(300)

    /// A SYN that is translated and refused, where these listen.
    static func refused(
        where listeners: [Listener]?, in story: Story = Story(), _ change: (Story) -> Void = { _ in }
    ) -> Story {
        story.facts.answers[.listeners(port: 8080, netns: Place.gateway)] =
            listeners.map(Answer.listeners) ?? .unavailable("not permitted")
        change(story)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: settled)
        return story
    }
}
