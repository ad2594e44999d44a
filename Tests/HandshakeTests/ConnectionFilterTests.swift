// Which connections are asked for: kinds are joined by "and", one kind given again by "or".

import Testing

@testable import Handshake

@Suite("Connection filter")
struct ConnectionFilterTests {
    /// As dialled and as translated.
    private let views = [flow(client, published), flow(client, inner)]

    private func filter(_ change: (inout ConnectionFilter) -> Void) -> ConnectionFilter {
        var filter = ConnectionFilter()
        change(&filter)
        return filter
    }

    private func matches(_ change: (inout ConnectionFilter) -> Void) -> Bool { filter(change).matches(views) }

    @Test("No filter takes everything")
    func empty() {
        #expect(ConnectionFilter().matches(views))
    }

    @Test("A destination port may be the dialled or the translated one")
    func eitherView() {
        #expect(matches { $0.destinationPorts = [80...80] })
        #expect(matches { $0.destinationPorts = [8080...8080] })
        #expect(!matches { $0.destinationPorts = [81...8079] })
        #expect(!matches { $0.destinationPorts = [41234...41234] })
    }

    @Test("A source port is that of the client")
    func sourcePort() {
        #expect(matches { $0.sourcePorts = [41000...42000] })
        #expect(!matches { $0.sourcePorts = [80...80] })
    }

    @Test("A port without direction may be at either end")
    func eitherEnd() {
        #expect(matches { $0.ports = [41234...41234] })
        #expect(matches { $0.ports = [8080...8080] })
        #expect(!matches { $0.ports = [443...443] })
    }

    @Test("The ends of a range belong to it")
    func rangeEnds() {
        #expect(matches { $0.destinationPorts = [80...90] })
        #expect(matches { $0.destinationPorts = [70...80] })
        #expect(!matches { $0.destinationPorts = [70...79] })
        #expect(!matches { $0.destinationPorts = [8081...65535] })
    }

    @Test("Addresses match in either view and in the direction asked for")
    func addresses() throws {
        let publishedNet = try #require(AddressPrefix("203.0.113.0/24"))
        let innerNet = try #require(AddressPrefix("10.0.0.0/8"))
        let clientHost = try #require(AddressPrefix("198.51.100.7"))
        #expect(matches { $0.destinations = [publishedNet] })
        #expect(matches { $0.destinations = [innerNet] })
        #expect(!matches { $0.destinations = [clientHost] })
        #expect(matches { $0.sources = [clientHost] })
        #expect(!matches { $0.sources = [innerNet] })
        #expect(matches { $0.addresses = [clientHost] })
        #expect(matches { $0.addresses = [innerNet] })
        let other = try #require(AddressPrefix("192.0.2.0/24"))
        #expect(!matches { $0.addresses = [other] })
    }

    @Test("One kind given several times is an or")
    func or() {
        #expect(matches { $0.destinationPorts = [443...443, 80...80] })
        #expect(!matches { $0.destinationPorts = [443...443, 81...81] })
    }

    @Test("Different kinds all have to hold, each in either view")
    func and() throws {
        let innerHost = try #require(AddressPrefix("10.0.0.2"))
        #expect(
            matches {
                $0.destinationPorts = [80...80]
                $0.destinations = [innerHost]
            })
        #expect(
            !matches {
                $0.destinationPorts = [443...443]
                $0.destinations = [innerHost]
            })
        #expect(
            !matches {
                $0.destinationPorts = [80...80]
                $0.sourcePorts = [1...1023]
            })
    }

    @Test("The family is that of the connection")
    func family() {
        #expect(matches { $0.family = .v4 })
        #expect(!matches { $0.family = .v6 })
    }

    @Test("An interface matches where one of the steps went through it")
    func interface() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: published).sent(by: "veth1", index: 3))
        let connection = story.sink.connections[0]
        #expect(filter { $0.interfaces = ["veth1"] }.matches(connection))
        #expect(filter { $0.interfaces = ["lo", "eth0"] }.matches(connection))
        #expect(!filter { $0.interfaces = ["eth"] }.matches(connection))
        #expect(
            !filter {
                $0.interfaces = ["eth0"]
                $0.ports = [443...443]
            }.matches(connection))
    }
}
