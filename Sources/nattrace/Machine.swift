// What the command line needs of the machine: clocks, names, the service manager.

import CNattrace
import Glibc

func hostName() -> String { systemNames().host }
func kernelRelease() -> String { systemNames().release }
func architecture() -> String { systemNames().machine }

/// uname(2). All are at most 64 bytes and end in NUL.
private func systemNames() -> (host: String, release: String, machine: String) {
    var names = utsname()
    uname(&names)
    func text<T>(_ field: T) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return (text(names.nodename), text(names.release), text(names.machine))
}

/// Tells the service manager (sd_notify(3)), if there is one. That it does not listen is no error.
func notifySystemd(_ state: String) {
    guard let path = getenv("NOTIFY_SOCKET").map({ Array(String(cString: $0).utf8) }), path.count > 1 else { return }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard path.count < room else { return }
    withUnsafeMutableBytes(of: &address.sun_path) { raw in
        raw.copyBytes(from: path)
        // `@` stands for the NUL that abstract addresses begin with.
        if raw[0] == UInt8(ascii: "@") { raw[0] = 0 }
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + path.count)
    withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            _ = state.withCString { sendto(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL), generic, length) }
        }
    }
}
