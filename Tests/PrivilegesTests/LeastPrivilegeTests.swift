// Giving up capabilities. They belong to threads, so each test gives up those of a thread of its own.

import CNattrace
import Foundation
import Testing

@testable import Privileges

@Suite("Least privilege")
struct LeastPrivilegeTests {
    private static let kept: CapabilitySet = [.bpf, .netAdmin, .dacReadSearch]
    private static let forChildren: CapabilitySet = [.netAdmin, .syslog]

    @Test("What is not kept is gone from every set, and nothing can be gained")
    func keeps() async throws {
        let before = ThreadStatus()
        let after = try await Self.inThread {
            try LeastPrivilege.keep(Self.kept, forChildren: Self.forChildren)
            return ThreadStatus()
        }
        let had = before.sets["CapPrm"] ?? 0
        let kept = Self.kept.rawValue & had
        #expect(after.sets["CapEff"] == kept)
        #expect(after.sets["CapPrm"] == kept)
        // CAP_SYSLOG is not kept, so children cannot have it either.
        #expect(after.sets["CapInh"] == CapabilitySet([.netAdmin]).rawValue & had)
        #expect(after.sets["CapAmb"] == after.sets["CapInh"])
        #expect(after.noNewPrivileges)
        if before.sets["CapEff"].map({ $0 >> UInt64(CAP_SETPCAP) & 1 == 1 }) == true {
            #expect(after.sets["CapBnd"] == kept)
        } else {
            #expect(after.sets["CapBnd"] == before.sets["CapBnd"])
        }
    }

    @Test("It can be done again, with less")
    func again() async throws {
        let after = try await Self.inThread {
            try LeastPrivilege.keep(Self.kept, forChildren: Self.forChildren)
            try LeastPrivilege.keep([], forChildren: Self.forChildren)
            return ThreadStatus()
        }
        for name in ["CapEff", "CapPrm", "CapInh", "CapAmb"] { #expect(after.sets[name] == 0, "\(name)") }
    }

    @Test("A program that is run has what children are given, whoever runs it")
    func children() async throws {
        let had = ThreadStatus().sets["CapPrm"] ?? 0
        let text = try await Self.inThread {
            try LeastPrivilege.keep(Self.kept, forChildren: Self.forChildren)
            return Self.output(of: "cat /proc/self/status")
        }
        let child = ThreadStatus(text: text)
        let given = CapabilitySet([.netAdmin]).rawValue & had
        let mayLetRootKeepAll = had >> UInt64(CAP_SETPCAP) & 1 == 0 && getuid() == 0
        #expect(child.sets["CapEff"] == (mayLetRootKeepAll ? Self.kept.rawValue & had : given))
        #expect(child.noNewPrivileges)
    }

    /// popen(3) makes a child of the calling thread, which has what that thread has.
    private static func output(of command: String) -> String {
        guard let pipe = popen(command, "r") else { return "" }
        defer { pclose(pipe) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = fread(&bytes, 1, bytes.count, pipe)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func inThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
    {
        try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Result(catching: body)) }.start()
        }
    }
}
