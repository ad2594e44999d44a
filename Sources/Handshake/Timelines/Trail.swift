// Under which addresses a connection's packets were seen, and who translated them: by that, later
// observations are known to be its own.

/// What is known of the way that packets take: the tuples under which they were seen. One for each connection, and a
/// class, since each question to a structure of so many lists would be asked of a copy of it.
final class Trail {
    /// In the client's direction.
    private(set) var tuples: [Tuple] = []
    /// Entries whose decision or translation has its step already.
    var trackedEntries = Few<UInt64>()
    var translations = Few<Translation>()
    var ingressNetns: UInt32?
    /// Entries that a SYN of this connection matched and that were older than it.
    var olderEntries = Few<UInt64>()
    /// Who of this machine sent ICMP errors about it: seen going out before any came in.
    var ownErrorSources = Few<IPAddress>()
    /// Initial sequence numbers of servers whose SYN-ACK was first seen being made or going out.
    var localNumbers = Few<UInt32>()
    /// Where the flow was translated, in the order of its way, with the rule where it is known.
    var translators: [Translator] = []

    struct Translation: Hashable {
        var entry: UInt64
        var action: Action
    }

    /// One side's translation in one namespace.
    struct Translator {
        var netns: UInt32
        var action: Action
        var stage: Stage?
        var before: Tuple
        var after: Tuple
        var rule: Rule?
    }

    /// A packet that is rewritten more often than this is in a loop.
    private static let maximumTuples = 16

    /// Once for each namespace and side; a rule that comes to be known later is added.
    func note(_ translator: Translator) {
        guard
            let index = translators.firstIndex(where: {
                $0.netns == translator.netns && $0.action == translator.action
            })
        else {
            if translators.count < Self.maximumTuples { translators.append(translator) }
            return
        }
        if translators[index].rule == nil { translators[index].rule = translator.rule }
        // Seen when it was asked for, a choice was still to be made.
        translators[index].after = translator.after
    }

    func note(_ tuple: Tuple) {
        guard !tuples.contains(tuple), tuples.count < Self.maximumTuples else { return }
        tuples.append(tuple)
    }

    func contains(_ tuple: Tuple) -> Bool { tuples.contains(tuple) }

    /// Whether a tuple may be this connection's after a rewrite that was not seen: one end is the same.
    func sharesEnd(with tuple: Tuple) -> Bool {
        tuples.contains {
            $0.source == tuple.source || $0.destination == tuple.destination
                || $0.source.address == tuple.source.address || $0.source.port == tuple.source.port
                || $0.destination.address == tuple.destination.address
        }
    }
}
