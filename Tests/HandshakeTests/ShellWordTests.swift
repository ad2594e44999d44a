import Glibc
import Testing

@testable import Handshake

@Suite struct ShellWordTests {
    @Test(arguments: ["eth0", "eth0.100", "br-1a2b", "net.ipv4.conf.eth0.rp_filter", "2001:db8::1", "a@b"])
    func usualNamesStayAsTheyAre(_ name: String) { #expect(name.shellWord == name) }

    /// Asked of a real shell, which shall give back just the name.
    @Test(arguments: [
        "", "a b", "$(reboot)", "`id`", "a;b", "a|b", "a&b", "'", "it's", "a'b'c", "\\", "\"", "*", "~", "#", "!x",
        "a\nb",
        "é", "-n", "a>b", "$HOME", "{a,b}",
    ])
    func aShellReadsItAsOneWord(_ name: String) throws {
        let command = "printf '<%s>' \(name.shellWord) x"
        let pipe = try #require(popen(command, "r"))
        defer { pclose(pipe) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = fread(&bytes, 1, bytes.count, pipe)
        #expect(String(decoding: bytes[..<count], as: UTF8.self) == "<\(name)><x>")
    }
}
