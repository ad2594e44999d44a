import Testing

@testable import HostFacts

@Suite struct SysctlTests {
    @Test func readsAndTrims() throws {
        try withTemporaryFolder { folder in
            try folder.write("net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
            try folder.write("net/ipv4/conf/eth0.100/rp_filter", " 1 \n")
            try folder.write("net/empty", "\n")
            #expect(try Sysctl.value("net/ipv4/tcp_rmem", folder: folder.path) == "4096\t131072\t6291456")
            #expect(try Sysctl.value("net/ipv4/conf/eth0.100/rp_filter", folder: folder.path) == "1")
            #expect(try Sysctl.value("net/empty", folder: folder.path) == "")
            #expect(try Sysctl.value("net/ipv4/none", folder: folder.path) == nil)
            #expect(try Sysctl.value("net/empty/none", folder: folder.path) == nil)
            #expect(throws: FactFailure.self) { try Sysctl.value("net/ipv4", folder: folder.path) }
        }
    }

    @Test(arguments: ["", "/", "/etc/passwd", "net/../../etc/passwd", "..", "net//ipv4", "net/", "net\0"])
    func refusesWhatLeadsElsewhere(name: String) {
        #expect(throws: FactFailure("'\(name)' names no sysctl")) { try Sysctl.value(name) }
    }
}
