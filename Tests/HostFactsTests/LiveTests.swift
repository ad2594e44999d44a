// What this machine says about sockets that the tests make themselves, in their own
// namespace, without privilege.

import Glibc
import Handshake
import Testing

@testable import HostFacts

/// A TCP socket that listens on a port of the kernel's choice.
private final class ListeningSocket {
    private var fd: Int32
    let port: UInt16

    struct Failure: Error {
        var call: String
        var code = errno
    }

    /// 127.0.0.1, or `::` with IPV6_V6ONLY as told.
    init(v6Only: Bool? = nil, backlog: Int32 = 17) throws {
        // Tests run beside others that start programs.
        let fd = socket(
            v6Only == nil ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw Failure(call: "socket") }
        self.fd = fd
        func withAddress<T>(_ address: inout T, _ body: (UnsafeMutablePointer<sockaddr>) -> Int32) -> Int32 {
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
            }
        }
        var bound: Int32
        if let v6Only {
            var value: Int32 = v6Only ? 1 : 0
            setsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &value, 4)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            bound = withAddress(&address) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            bound = withAddress(&address) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard bound == 0, listen(fd, backlog) == 0 else { throw Failure(call: "listen") }
        // sin_port and sin6_port lie at the same place.
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        guard withAddress(&address, { getsockname(fd, $0, &length) }) == 0 else {
            throw Failure(call: "getsockname")
        }
        port = UInt16(bigEndian: address.sin6_port)
    }

    var inode: UInt64 {
        var status = stat()
        fstat(fd, &status)
        return UInt64(status.st_ino)
    }

    func stop() {
        close(fd)
        fd = -1
    }

    deinit {
        if fd >= 0 { close(fd) }
    }
}

/// All that starts programs or makes sockets, one after the other: until a child has executed its
/// program it holds a copy of every descriptor, so that a socket may outlive its test.
@Suite(.serialized) enum LiveSuites {}

extension LiveSuites {
    @Suite struct LiveTests {
        private let facts = LiveFacts()
        private let own: UInt32

        init() throws {
            own = try netnsInode(of: "pid:\(getpid())")
        }

        private func listeners(_ port: UInt16) throws -> [Listener] {
            guard case .listeners(let all) = facts.answer(.listeners(port: port, netns: own)) else {
                Issue.record("\(facts.answer(.listeners(port: port, netns: own)))")
                return []
            }
            return all
        }

        @Test func findsAListenerWithItsProcess() throws {
            let socket = try ListeningSocket()
            let found = try listeners(socket.port)
            try #require(found.count == 1)
            #expect(found[0].address.description == "127.0.0.1")
            #expect(found[0].port == socket.port)
            #expect(found[0].isIPv6Only == nil)
            #expect(found[0].interface == nil)
            #expect(found[0].acceptQueue == 0)
            #expect(found[0].acceptQueueLimit == 17)
            #expect(found[0].inode == socket.inode)
            let comm = try Files.bytes("/proc/self/comm", limit: 64).dropLast()
            #expect(found[0].process?.pid == getpid())
            #expect(found[0].process?.name == String(decoding: comm, as: UTF8.self))
        }

        @Test(arguments: [true, false]) func tellsV6Only(v6Only: Bool) throws {
            let socket = try ListeningSocket(v6Only: v6Only)
            let found = try listeners(socket.port)
            #expect(found.map(\.isIPv6Only) == [v6Only])
            #expect(found.map(\.address.description) == ["::"])
            #expect(found.map(\.inode) == [socket.inode])
        }

        @Test func forgetsAListenerThatIsGone() throws {
            let socket = try ListeningSocket()
            #expect(try listeners(socket.port).count == 1)
            socket.stop()
            #expect(try listeners(socket.port) == [])
        }

        @Test func saysWhichNamespaceItDidNotFind() {
            guard case .unavailable(let text) = facts.answer(.listeners(port: 80, netns: 1)) else {
                Issue.record("an answer from a namespace that cannot be")
                return
            }
            #expect(text.contains("network namespace 1"))
        }

        @Test(
            .enabled(
                if: (try? Files.names(in: NamespaceNames.folder, limit: 1))?.isEmpty ?? true,
                "the tests' own namespace may have a name"))
        func doesNotNameItsOwnNamespaceWithoutAName() {
            #expect(facts.answer(.netnsName(inode: own)) == .nothing)
        }

        @Test func namesReasonsOnlyByTheKernelsNames() {
            struct Names: KernelNames {
                func dropReason(_ raw: UInt32) -> String? { raw == 3 ? "NO_SOCKET" : nil }
                func resetReason(_ raw: UInt32) -> String? { raw == 5 ? "NO_SOCKET_TOO" : nil }
                var hasNFTablesBuiltIn: Bool { false }
            }
            let named = LiveFacts(names: Names())
            #expect(named.answer(.dropReason(3)) == .name("NO_SOCKET"))
            #expect(named.answer(.dropReason(4)) == .nothing)
            #expect(named.answer(.resetReason(5)) == .name("NO_SOCKET_TOO"))
            for question in [Question.dropReason(3), .resetReason(5)] {
                guard case .unavailable = facts.answer(question) else {
                    Issue.record("a name out of nowhere: \(facts.answer(question))")
                    continue
                }
            }
        }

        @Test func asksTheKernelForSymbolsAndElseItsFile() throws {
            final class Symbols: KernelSymbols {
                func symbol(at address: UInt64) -> Answer {
                    switch address {
                    case 1: .name("asked")
                    case 2: .nothing
                    default: .unavailable("not here")
                    }
                }
            }
            try withTemporaryFolder { folder in
                let facts = LiveFacts(symbols: Symbols(), symbolsPath: folder.path + "/kallsyms")
                // The file is not looked at: there is none.
                #expect(facts.answer(.symbol(address: 1)) == .name("asked"))
                #expect(facts.answer(.symbol(address: 2)) == .nothing)
                try folder.write("kallsyms", "1 T read\n")
                #expect(facts.answer(.symbol(address: 3)) == .name("read"))
                #expect(facts.answer(.symbol(address: 2)) == .nothing)
            }
        }

        @Test func readsSymbolsLazilyAndAgainWhenTold() throws {
            try withTemporaryFolder { folder in
                let facts = LiveFacts(symbolsPath: folder.path + "/kallsyms")
                try folder.write("kallsyms", "1000 T before\n")
                #expect(facts.answer(.symbol(address: 0x1010)) == .name("before"))
                #expect(facts.answer(.symbol(address: 0x10)) == .nothing)
                try folder.write("kallsyms", "1000 T after\n")
                #expect(facts.answer(.symbol(address: 0x1010)) == .name("before"))
                facts.invalidateSymbols()
                #expect(facts.answer(.symbol(address: 0x1010)) == .name("after"))
                try folder.write("kallsyms", "0000 T after\n")
                facts.invalidateSymbols()
                guard case .unavailable(let text) = facts.answer(.symbol(address: 0x1010)) else {
                    Issue.record("a symbol without addresses")
                    return
                }
                #expect(text.contains("kptr_restrict"))
            }
        }
    }

    /// In namespaces that the tests make, for which they need root.
    @Suite(.enabled(if: PrivateNamespace.isPossible, "namespaces cannot be made here"))
    struct LiveNamespaceTests {
        private let facts = LiveFacts()

        @Test func readsSysctlsOfTheNamespace() throws {
            let on = try PrivateNamespace("echo 1 >/proc/sys/net/ipv4/ip_forward")
            let off = try PrivateNamespace("echo 0 >/proc/sys/net/ipv4/ip_forward")
            #expect(facts.answer(.sysctl(name: "net/ipv4/ip_forward", netns: on.inode)) == .name("1"))
            #expect(facts.answer(.sysctl(name: "net/ipv4/ip_forward", netns: off.inode)) == .name("0"))
            #expect(facts.answer(.sysctl(name: "net/ipv4/conf/eth9/rp_filter", netns: on.inode)) == .nothing)
            guard case .unavailable = facts.answer(.sysctl(name: "net/../kernel/osrelease", netns: on.inode)) else {
                Issue.record("a way out of /proc/sys")
                return
            }
        }

        @Test func findsListenersElsewhere() throws {
            let own = try netnsInode(of: "pid:\(getpid())")
            let socket = try ListeningSocket()
            let other = try PrivateNamespace()
            let third = try PrivateNamespace()
            // Nothing in its own namespace counts, where it is asked about that.
            #expect(facts.answer(.listenersElsewhere(port: socket.port, netns: own)) == .listeners([]))
            for inode in [other.inode, third.inode] {
                guard case .listeners(let found) = facts.answer(.listenersElsewhere(port: socket.port, netns: inode))
                else {
                    Issue.record("no answer")
                    continue
                }
                #expect(found.map(\.inode) == [socket.inode])
                #expect(found.first?.elsewhere?.inode == own)
                #expect(found.first?.process?.pid == getpid())
            }
        }

        @Test func boundsTheSearchElsewhere() throws {
            let namespaces = NetworkNamespaces()
            let own = try netnsInode(of: "pid:\(getpid())")
            let others = try [PrivateNamespace(), PrivateNamespace()]
            let all = try namespaces.others(than: own, limit: 1000, until: .max)
            #expect(all.isComplete)
            #expect(Set(others.map(\.inode)).isSubset(of: all.inodes))
            #expect(!all.inodes.contains(own))
            #expect(Set(all.inodes).count == all.inodes.count)
            let one = try namespaces.others(than: own, limit: 1, until: .max)
            #expect(one.inodes.count == 1 && !one.isComplete)
            #expect(try !namespaces.others(than: own, limit: 1000, until: 0).isComplete)
        }
    }

}

extension LiveSuites {
    @Suite(.enabled(if: PrivateNamespace.isPossible, "namespaces cannot be made here"))
    struct LiveEntryTests {
        private let facts = LiveFacts()

        @Test func findsNeighbours() throws {
            let namespace = try PrivateNamespace(
                """
                ip link add v0 type veth peer name v1
                ip link set v0 up
                ip link set v1 up
                ip addr add 10.1.0.1/24 dev v0
                ip -6 addr add 2001:db8:1::1/64 dev v0 nodad
                ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v0
                ip -6 neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:09 dev v0 nud stale
                ip neigh add 10.1.0.8 dev v0 nud failed
                """)
            func ask(_ address: String, _ interface: String = "v0") throws -> Answer {
                facts.answer(
                    .neighbour(address: try #require(IPAddress(address)), interface: interface, netns: namespace.inode))
            }
            let link = "02:00:00:00:00:09"
            #expect(try ask("10.1.0.9") == .neighbour(Neighbour(state: "PERMANENT", linkAddress: link)))
            #expect(try ask("2001:db8:1::9") == .neighbour(Neighbour(state: "STALE", linkAddress: link)))
            #expect(try ask("10.1.0.8") == .neighbour(Neighbour(state: "FAILED", linkAddress: nil)))
            #expect(try ask("10.1.0.7") == .nothing)
            #expect(try ask("10.1.0.9", "v1") == .nothing)
            guard case .unavailable(let text) = try ask("10.1.0.9", "v9") else {
                Issue.record("a neighbour at no interface")
                return
            }
            #expect(text.contains("v9"))
        }

        @Test(.enabled(if: (try? Sysctl.value(ConntrackLookup.sysctl)) != nil, "no conntrack here"))
        func findsConntrackEntries() throws {
            let namespace = try PrivateNamespace(
                """
                conntrack -I -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 40000 --dport 80 --state SYN_SENT -t 100 \
                    -r 10.0.0.3 -q 10.0.0.1 --reply-port-src 8080 --reply-port-dst 40000 --zone 7 >/dev/null 2>&1
                conntrack -I -p tcp -s 2001:db8::1 -d 2001:db8::2 --sport 40000 --dport 80 --state ESTABLISHED -t 100 \
                    >/dev/null 2>&1
                """)
            func ask(_ a: String, _ p: UInt16, _ b: String, _ q: UInt16, zone: UInt16) throws -> Answer {
                let tuple = Tuple(
                    source: Endpoint(address: try #require(IPAddress(a)), port: p),
                    destination: Endpoint(address: try #require(IPAddress(b)), port: q))
                return facts.answer(.conntrackEntry(ConntrackQuery(tuple: tuple, zone: zone, netns: namespace.inode)))
            }
            let first = try ask("10.0.0.1", 40000, "10.0.0.2", 80, zone: 7)
            guard case .conntrackEntry(let flow) = first else {
                Issue.record("\(first)")
                return
            }
            #expect(flow.original.description == "10.0.0.1:40000 → 10.0.0.2:80")
            #expect(flow.reply.description == "10.0.0.3:8080 → 10.0.0.1:40000")
            #expect(flow.state == 1 && flow.zone == 7 && flow.status & 8 != 0)
            #expect(try ask("10.0.0.3", 8080, "10.0.0.1", 40000, zone: 7) == first)
            #expect(try ask("10.0.0.1", 40000, "10.0.0.2", 80, zone: 0) == .nothing)
            #expect(try ask("10.0.0.2", 80, "10.0.0.1", 40000, zone: 7) == .nothing)
            let second = try ask("2001:db8::2", 80, "2001:db8::1", 40000, zone: 0)
            guard case .conntrackEntry(let flow) = second else {
                Issue.record("\(second)")
                return
            }
            #expect(flow.original.description == "[2001:db8::1]:40000 → [2001:db8::2]:80")
            #expect(flow.state == 3)
            guard case .unavailable = try ask("2001:db8::2", 80, "10.0.0.1", 40000, zone: 0) else {
                Issue.record("an entry of two families")
                return
            }
        }
    }
}

/// Look-ups in tables that hold every kind of route.
extension LiveSuites {
    @Suite(.enabled(if: PrivateNamespace.isPossible, "namespaces cannot be made here"))
    struct LiveRouteTests {
        private let facts = LiveFacts()
        private let namespace: PrivateNamespace

        init() throws {
            namespace = try PrivateNamespace(
                """
                ip link add v0 type veth peer name v1
                ip link set v0 up
                ip link set v1 up
                ip addr add 10.1.0.1/24 dev v0
                ip addr add 10.2.0.1/24 dev v1
                ip route add blackhole 10.9.0.0/16
                ip route add 10.9.1.0/24 via 10.1.0.9
                ip route add unreachable 10.10.0.0/16
                ip route add prohibit 10.11.0.0/16
                ip route add throw 10.12.0.0/16
                ip route add 10.20.0.0/16 via 10.1.0.9
                ip route add 10.21.0.0/16 dev v1
                ip route add 10.30.0.0/16 nexthop via 10.1.0.9 nexthop via 10.2.0.9
                ip rule add to 10.40.0.0/16 blackhole
                ip rule add to 10.41.0.0/16 prohibit
                ip rule add to 10.50.0.0/16 lookup 100
                ip route add 10.50.0.0/16 via 10.1.0.9 table 100
                ip route add blackhole 10.50.7.0/24 table 100
                ip rule add iif v0 to 10.51.0.0/16 lookup 101
                ip route add blackhole 10.51.0.0/16 table 101
                ip route add 10.51.0.0/16 via 10.2.0.9
                ip -6 addr add 2001:db8:1::1/64 dev v0 nodad
                ip -6 route add blackhole 2001:db8:9::/48
                ip -6 route add unreachable 2001:db8:a::/48
                ip -6 route add prohibit 2001:db8:b::/48
                ip -6 route add 2001:db8:c::/48 via 2001:db8:1::9
                cd /proc/sys/net/ipv4
                for i in all v0 v1; do echo 0 >conf/$i/rp_filter; done
                echo 1 >ip_forward
                """)
        }

        private func route(_ destination: String, from source: String? = nil, input: String? = nil) -> Route? {
            guard let address = IPAddress(destination) else { return nil }
            let answer = facts.answer(
                .route(
                    RouteQuery(
                        destination: address, source: source.flatMap { IPAddress($0) }, inputInterface: input,
                        netns: namespace.inode)))
            guard case .route(let route) = answer else {
                Issue.record("\(destination): \(answer)")
                return nil
            }
            return route
        }

        private func text(_ destination: String, from source: String? = nil, input: String? = nil) -> String {
            guard let route = route(destination, from: source, input: input) else { return "?" }
            return [
                route.kind.rawValue, route.gateway?.description ?? "-", route.interface ?? "-", route.refusal ?? "-",
                route.text,
            ].joined(separator: "|")
        }

        @Test func tellsWhereThisMachineSends() throws {
            #expect(text("10.1.0.77") == "unicast|-|v0|-|10.1.0.0/24 dev v0")
            #expect(text("10.20.0.1") == "unicast|10.1.0.9|v0|-|10.20.0.0/16 via 10.1.0.9 dev v0")
            #expect(text("10.9.1.1") == "unicast|10.1.0.9|v0|-|10.9.1.0/24 via 10.1.0.9 dev v0")
            #expect(text("10.50.0.1") == "unicast|10.1.0.9|v0|-|10.50.0.0/16 via 10.1.0.9 dev v0 table 100")
            #expect(text("10.1.0.1") == "local|-|lo|-|local 10.1.0.1 dev v0")
            #expect(text("10.1.0.255") == "broadcast|-|v0|-|broadcast 10.1.0.255 dev v0")
            let several = try #require(route("10.30.0.1"))
            let gateway = try #require(several.gateway)
            #expect(several.text == "10.30.0.0/16 via \(gateway) dev \(several.interface ?? "?")")
            try namespace.run("ip route add default via 10.2.0.9")
            #expect(text("99.9.9.9") == "unicast|10.2.0.9|v1|-|default via 10.2.0.9 dev v1")
        }

        @Test func namesRoutesThatForbid() throws {
            #expect(text("10.9.0.1") == "blackhole|-|-|-|blackhole 10.9.0.0/16")
            #expect(text("10.10.0.1") == "unreachable|-|-|-|unreachable 10.10.0.0/16")
            #expect(text("10.11.0.1") == "prohibit|-|-|-|prohibit 10.11.0.0/16")
            #expect(text("10.12.0.1") == "none|-|-|-|no route to 10.12.0.1")
            #expect(text("99.9.9.9") == "none|-|-|-|no route to 99.9.9.9")
            #expect(text("10.40.0.1") == "blackhole|-|-|-|blackhole 10.40.0.1 by a rule")
            #expect(text("10.41.0.1") == "prohibit|-|-|-|prohibit 10.41.0.1 by a rule")
            #expect(text("10.50.7.1") == "blackhole|-|-|-|blackhole 10.50.7.0/24 table 100")
            // A source that is not this machine's own.
            let foreign = try #require(route("10.20.0.1", from: "5.5.5.5"))
            #expect(foreign.kind == .refused && ["EINVAL", "ENETUNREACH"].contains(foreign.refusal))
            #expect(text("10.20.0.1", from: "10.1.0.1") == "unicast|10.1.0.9|v0|-|10.20.0.0/16 via 10.1.0.9 dev v0")
        }

        @Test func followsWhatCameIn() throws {
            #expect(text("10.2.0.77", from: "10.1.0.5", input: "v0") == "unicast|-|v1|-|10.2.0.0/24 dev v1")
            #expect(text("10.1.0.1", from: "10.1.0.5", input: "v0") == "local|-|-|-|local 10.1.0.1 dev v0")
            #expect(text("10.9.0.1", from: "10.1.0.5", input: "v0") == "blackhole|-|-|-|blackhole 10.9.0.0/16")
            #expect(text("10.10.0.1", from: "10.1.0.5", input: "v0") == "unreachable|-|-|-|unreachable 10.10.0.0/16")
            #expect(text("10.11.0.1", from: "10.1.0.5", input: "v0") == "prohibit|-|-|-|prohibit 10.11.0.0/16")
            #expect(text("99.9.9.9", from: "10.1.0.5", input: "v0") == "none|-|-|-|no route to 99.9.9.9")
            // A rule for that device only.
            #expect(
                text("10.51.0.1", from: "10.1.0.5", input: "v0") == "blackhole|-|-|-|blackhole 10.51.0.0/16 table 101")
            #expect(
                text("10.51.0.1", from: "10.2.0.5", input: "v1")
                    == "unicast|10.2.0.9|v1|-|10.51.0.0/16 via 10.2.0.9 dev v1")
        }

        @Test func tellsWhyItRefusesWhatCameIn() throws {
            // Martians.
            #expect(text("10.2.0.77", from: "127.0.0.1", input: "v0") == "refused|-|-|EINVAL|10.2.0.0/24 dev v1")
            #expect(text("10.2.0.77", from: "10.2.0.1", input: "v0") == "refused|-|-|EINVAL|10.2.0.0/24 dev v1")
            #expect(text("127.0.0.1", from: "10.1.0.5", input: "v0") == "refused|-|-|EINVAL|local 127.0.0.1 dev lo")
            try namespace.run("echo 1 >/proc/sys/net/ipv4/conf/v0/rp_filter")
            #expect(text("10.2.0.77", from: "10.1.0.5", input: "v0") == "unicast|-|v1|-|10.2.0.0/24 dev v1")
            #expect(text("10.2.0.77", from: "10.21.0.5", input: "v0") == "refused|-|-|EXDEV|10.2.0.0/24 dev v1")
            #expect(text("10.1.0.1", from: "10.21.0.5", input: "v0") == "refused|-|-|EXDEV|local 10.1.0.1 dev v0")
            #expect(text("10.2.0.77", from: "99.1.1.1", input: "v0") == "refused|-|-|EXDEV|10.2.0.0/24 dev v1")
            #expect(text("10.2.0.77", from: "10.30.0.1", input: "v0") == "unicast|-|v1|-|10.2.0.0/24 dev v1")
            // Loose: any route back will do.
            try namespace.run("echo 2 >/proc/sys/net/ipv4/conf/v0/rp_filter")
            #expect(text("10.2.0.77", from: "10.21.0.5", input: "v0") == "unicast|-|v1|-|10.2.0.0/24 dev v1")
            #expect(text("10.2.0.77", from: "99.1.1.1", input: "v0") == "refused|-|-|EXDEV|10.2.0.0/24 dev v1")
            try namespace.run("echo 0 >/proc/sys/net/ipv4/ip_forward")
            #expect(text("10.2.0.77", from: "10.1.0.5", input: "v0") == "refused|-|-|EHOSTUNREACH|10.2.0.0/24 dev v1")
            #expect(text("10.9.0.1", from: "10.1.0.5", input: "v0") == "blackhole|-|-|-|blackhole 10.9.0.0/16")
            #expect(text("99.9.9.9", from: "10.1.0.5", input: "v0") == "none|-|-|-|no route to 99.9.9.9")
            #expect(text("10.1.0.1", from: "10.1.0.5", input: "v0") == "local|-|-|-|local 10.1.0.1 dev v0")
        }

        @Test func speaksIPv6() throws {
            for (source, input) in [(nil, nil), ("2001:db8:1::5", "v0")] as [(String?, String?)] {
                #expect(
                    text("2001:db8:9::1", from: source, input: input) == "blackhole|-|-|-|blackhole 2001:db8:9::/48")
                #expect(
                    text("2001:db8:a::1", from: source, input: input) == "unreachable|-|-|-|unreachable 2001:db8:a::/48"
                )
                #expect(text("2001:db8:b::1", from: source, input: input) == "prohibit|-|-|-|prohibit 2001:db8:b::/48")
                #expect(text("2001:db8:f::1", from: source, input: input) == "none|-|-|-|no route to 2001:db8:f::1")
                #expect(
                    text("2001:db8:c::1", from: source, input: input)
                        == "unicast|2001:db8:1::9|v0|-|2001:db8:c::/48 via 2001:db8:1::9 dev v0")
            }
            #expect(text("2001:db8:1::1") == "local|-|lo|-|local 2001:db8:1::1 dev v0")
            #expect(
                text("2001:db8:1::1", from: "2001:db8:1::5", input: "v0") == "local|-|-|-|local 2001:db8:1::1 dev v0")
        }

        @Test func saysWhatCannotBeAsked() throws {
            let v4 = try #require(IPAddress("10.1.0.5"))
            let v6 = try #require(IPAddress("2001:db8::1"))
            for (source, input, word) in [
                (v4, "v9", "v9"), (v6, "v0", "cannot be"), (nil, "v0", "source"),
                (v4, "averyverylongname", "interface"),
            ] as [(IPAddress?, String, String)] {
                let query = RouteQuery(destination: v4, source: source, inputInterface: input, netns: namespace.inode)
                guard case .unavailable(let text) = facts.answer(.route(query)) else {
                    Issue.record("an answer to \(query)")
                    continue
                }
                #expect(text.contains(word))
            }
        }
    }
}

@Suite struct NetnsArgumentTests {
    private func code(_ text: String) -> NetnsError.Code? {
        do throws(NetnsError) {
            _ = try netnsInode(of: text)
            return nil
        } catch {
            #expect(error.description.utf8.allSatisfy { $0 >= 32 })
            return error.code
        }
    }

    @Test func takesProcessesAndNumbers() throws {
        let own = try netnsInode(of: "pid:\(getpid())")
        #expect(UInt64(own) == (try FileIdentity(path: "/proc/self/ns/net")).inode)
        #expect(try netnsInode(of: "\(own)") == own)
    }

    @Test func refusesTheRestByKind() {
        for text in ["", ".", "..", "a/b", "/run/netns/x", "pid:", "pid:x", "pid:-1", "pid:+1", "pid:99999999999"] {
            #expect(code(text) == .malformed, "\(text)")
        }
        for text in ["no-such-namespace", "pid:0", "pid:\(Int32.max)", "0", "99999999999"] {
            #expect(code(text) == .notFound, "\(text)")
        }
    }

    @Test func doesNotTakeAFileForANamespace() throws {
        try withTemporaryFolder { folder in
            // What `ip netns` leaves where the mount is gone.
            try folder.write("stale", "")
            try folder.link("own", to: "/proc/self/ns/net")
            let own = try netnsInode(of: "pid:\(getpid())")
            #expect(try NetnsArgument(text: "own", folder: folder.path).inode() == own)
            #expect(throws: NetnsError.self) { try NetnsArgument(text: "stale", folder: folder.path).inode() }
        }
    }
}
