// One handshake attempt as the client dialled it, with everything that happened to it.

import CNattrace

/// A TCP handshake attempt, followed through every rewrite, namespace and direction.
public final class Connection {
    /// The same on all lines of a connection; unlikely to be met again, also in another run.
    public let id: UInt64
    /// The client's initial sequence number.
    public let isn: UInt32
    /// As the client dialled it.
    public let dialled: Tuple
    /// CLOCK_MONOTONIC of the first step, nanoseconds.
    public let startTime: UInt64
    /// What is known of its way by now.
    public internal(set) var course = Course()
    /// In the order of time, at most `maximumSteps`.
    public internal(set) var steps: [Step] = []
    /// Steps that happened but were not kept, because `maximumSteps` were there already.
    public internal(set) var omittedSteps = 0
    /// The verdict that stands.
    var verdict: GivenVerdict?
    /// Whether none of its steps are told, but its verdict is: it began under load, and succeeded.
    public internal(set) var isBrief = false
    /// Community ID v1 of the flow as dialled; computed when a sink first asks for it.
    public private(set) lazy var communityID: String = CommunityID.v1(dialled)

    /// A handshake takes some thirty steps through two namespaces; a SYN that is sent again
    /// and again for two minutes stays below this.
    public static let maximumSteps = 512

    /// As the packets really run after all translations seen so far; nil: not translated.
    public var translated: Tuple? { course.translated }

    let trail = Trail()
    /// What the latest SYN, first or sent again, led to. A later one may end otherwise.
    var attempt = Attempt()
    /// Whether a SYN came by a place for the second time: nothing that it was answered with ended the client's wait.
    var isSentAgain = false
    var establishment = Establishment()
    /// The server's initial sequence numbers: one, but for SYN cookies and servers that forget.
    private(set) var serverNumbers: [UInt32] = []
    /// The number that acknowledges the data in a SYN as well, less one (TCP Fast Open).
    var dataNumber: UInt32?
    /// Numbers under which the kernel side follows the connection.
    var followedNumbers: [UInt32] { [isn] + serverNumbers + (dataNumber.map { [$0] } ?? []) }
    var lastTime: UInt64
    /// The ending that the verdict was drawn from.
    var concluded: EndingKey? { verdict?.ending }
    /// A decision of conntrack or NAT of which the next observation may tell more: the rule, the words.
    var pending: Observation?

    /// All that came to it, from which it can be made again.
    var history = History()
    /// The last observation in its history.
    var lastRaw = nattrace_observation()
    /// What names were when it was last added to.
    var names: Names?
    /// Where the table has it.
    var index = ConnectionTable.none
    /// What it is counted with in the memory of those at work.
    var countedBytes = 0

    init(isn: UInt32, dialled: Tuple, startTime: UInt64) {
        self.isn = isn
        self.dialled = dialled
        self.startTime = startTime
        lastTime = startTime
        trail.note(dialled)
        id = Self.identity(isn: isn, dialled: dialled, startTime: startTime)
    }

    /// More than these would be no server that is worth following.
    private static let maximumServerNumbers = 8

    func noteServerNumber(_ number: UInt32) {
        guard !serverNumbers.contains(number), serverNumbers.count < Self.maximumServerNumbers else { return }
        serverNumbers.append(number)
    }

    /// FNV-1a over what makes the attempt unique: a replay must come to the same.
    private static func identity(isn: UInt32, dialled: Tuple, startTime: UInt64) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ word: UInt64) {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                hash = (hash ^ (word >> shift & 0xff)) &* 0x100_0000_01b3
            }
        }
        mix(startTime)
        mix(UInt64(isn))
        for end in [dialled.source, dialled.destination] {
            mix(end.address.high)
            mix(end.address.low)
            mix(UInt64(end.port))
        }
        return hash
    }
}

/// What is known of a connection's way at one moment. A step keeps what was known then, so that
/// it reads the same whenever it is told.
public struct Course: Hashable, Sendable {
    /// As the packets really run after all translations seen so far; nil: not translated.
    public internal(set) var translated: Tuple?
    /// Devices by which the SYN first came in, and by which that namespace passed it on.
    public internal(set) var ingressInterface: String? {
        get { ingressDevice.text }
        set { ingressDevice = FixedName(newValue) }
    }
    public internal(set) var egressInterface: String? {
        get { egressDevice.text }
        set { egressDevice = FixedName(newValue) }
    }
    /// The same without strings; empty: not known.
    var ingressDevice = FixedName()
    var egressDevice = FixedName()
}
