import Glibc
import Handshake
import Testing

@testable import HostFacts

@Suite struct ProcessTableTests {
    @Test func listsProcessesOnlyAndInOrder() throws {
        try withTemporaryFolder { folder in
            for name in ["10", "9", "1234567", "self", "12a", "sys", "99999999999999999999"] {
                try folder.makeFolder(name)
            }
            #expect(try ProcessTable(folder: folder.path).pids() == [9, 10, 1_234_567])
        }
    }

    @Test func readsNames() throws {
        try withTemporaryFolder { folder in
            try folder.write("9/comm", "nginx: worker\n")
            try folder.write("10/comm", "")
            let table = ProcessTable(folder: folder.path)
            #expect(table.name(of: 9) == "nginx: worker")
            #expect(table.name(of: 10) == nil)
            #expect(table.name(of: 11) == nil)
        }
    }
}

@Suite struct SocketOwnersTests {
    @Test func takesTheLowestPid() throws {
        try withTemporaryFolder { folder in
            try folder.write("200/comm", "worker\n")
            try folder.write("30/comm", "master\n")
            try folder.link("200/fd/3", to: "socket:[111]")
            try folder.link("200/fd/4", to: "socket:[222]")
            try folder.link("30/fd/7", to: "socket:[111]")
            try folder.link("30/fd/8", to: "/dev/null")
            try folder.link("30/fd/9", to: "pipe:[333]")
            try folder.link("30/fd/10", to: "socket:[]")
            try folder.link("30/fd/11", to: "socket:[44x]")
            let owners = SocketOwners(processes: ProcessTable(folder: folder.path))
            #expect(
                owners.owners(of: [111, 222, 333, 44, 0]) == [
                    111: ProcessIdentity(pid: 30, name: "master"), 222: ProcessIdentity(pid: 200, name: "worker"),
                ])
        }
    }

    @Test func provesWhatItKeeps() throws {
        try withTemporaryFolder { folder in
            try folder.write("30/comm", "old\n")
            try folder.link("30/fd/7", to: "socket:[111]")
            try folder.write("40/comm", "new\n")
            let owners = SocketOwners(processes: ProcessTable(folder: folder.path))
            #expect(owners.owners(of: [111])[111]?.pid == 30)
            // The descriptor is another socket now, and the socket is another process's.
            try folder.link("30/fd/7", to: "socket:[112]")
            try folder.link("40/fd/3", to: "socket:[111]")
            #expect(owners.owners(of: [111]) == [111: ProcessIdentity(pid: 40, name: "new")])
            folder.remove("40/fd/3")
            #expect(owners.owners(of: [111]) == [:])
        }
    }

    @Test func isPatientWithWhatItDidNotFind() throws {
        try withTemporaryFolder { folder in
            try folder.write("30/comm", "late\n")
            try folder.makeFolder("30/fd")
            nonisolated(unsafe) var time: UInt64 = 1
            let owners = SocketOwners(processes: ProcessTable(folder: folder.path), clock: { time })
            #expect(owners.owners(of: [111]) == [:])
            try folder.link("30/fd/7", to: "socket:[111]")
            time += SocketOwners.patience - 1
            #expect(owners.owners(of: [111]) == [:])
            time += 1
            #expect(owners.owners(of: [111])[111]?.name == "late")
        }
    }
}

@Suite struct NamespaceNamesTests {
    private static let id = "4b61f0e0f0c5f1b52c6a1f3f0d7c2b9e8a7d6c5b4a39281706f5e4d3c2b1a098"

    /// Plain files stand for namespaces: what counts is device and inode.
    private func inode(_ folder: TemporaryFolder, _ name: String) throws -> UInt32 {
        try #require(UInt32(exactly: try FileIdentity(path: "\(folder.path)/\(name)").inode))
    }

    private func names(_ folder: TemporaryFolder, clock: @escaping () -> UInt64 = { 0 }) throws -> NamespaceNames {
        NamespaceNames(
            own: try FileIdentity(path: "\(folder.path)/own"), processes: ProcessTable(folder: folder.path + "/proc"),
            folder: folder.path + "/netns", clock: clock)
    }

    @Test func prefersTheNameThenTheContainer() throws {
        try withTemporaryFolder { folder in
            try folder.write("own", "")
            try folder.write("netns/blue", "")
            try folder.write("proc/20/ns/net", "")
            try folder.write("proc/20/cgroup", "0::/docker/\(Self.id)\n")
            // A process that somebody started in the container's namespace, from outside.
            try folder.link("proc/10/ns/net", to: folder.path + "/proc/20/ns/net")
            try folder.write("proc/10/cgroup", "0::/user.slice\n")
            let names = try names(folder)
            #expect(names.name(of: try inode(folder, "netns/blue")) == .name("blue"))
            let container = try inode(folder, "proc/20/ns/net")
            #expect(names.name(of: container) == .name("4b61f0e0f0c5"))
            // It became another container's meanwhile.
            try folder.write("proc/20/cgroup", "0::/docker/\(String(Self.id.reversed()))\n")
            #expect(names.name(of: container) == .name("890a1b2c3d4e"))
            try folder.link("netns/named", to: folder.path + "/proc/20/ns/net")
            #expect(names.name(of: container) == .name("named"))
        }
    }

    @Test func doesNotNameTheHostAfterAContainerOnItsNetwork() throws {
        try withTemporaryFolder { folder in
            try folder.write("own", "")
            try folder.link("proc/20/ns/net", to: folder.path + "/own")
            try folder.write("proc/20/cgroup", "0::/docker/\(Self.id)\n")
            try folder.write("proc/1/ns/net", "")
            try folder.link("proc/30/ns/net", to: folder.path + "/proc/1/ns/net")
            try folder.write("proc/30/cgroup", "0::/docker/\(Self.id)\n")
            let names = try names(folder)
            #expect(names.name(of: try inode(folder, "own")) == .nothing)
            #expect(names.name(of: try inode(folder, "proc/1/ns/net")) == .nothing)
        }
    }

    @Test func looksAgainForAContainerAfterAWhile() throws {
        try withTemporaryFolder { folder in
            try folder.write("own", "")
            try folder.write("proc/20/ns/net", "")
            nonisolated(unsafe) var time: UInt64 = 1
            let names = try names(folder, clock: { time })
            let inode = try inode(folder, "proc/20/ns/net")
            #expect(names.name(of: inode) == .nothing)
            try folder.write("proc/20/cgroup", "0::/docker/\(Self.id)\n")
            #expect(names.name(of: inode) == .nothing)
            time += NamespaceNames.patience
            #expect(names.name(of: inode) == .name("4b61f0e0f0c5"))
        }
    }
}
