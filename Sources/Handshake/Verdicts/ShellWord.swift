// Names from outside in commands that a person may paste into a root shell.

extension StringProtocol {
    /// As one word that a POSIX shell takes as it is: quoted where it holds anything but what names usually have.
    ///
    /// Whoever may make a network namespace, a device or a chain chooses its name, which may be `$(reboot)`.
    var shellWord: String {
        if !isEmpty, utf8.allSatisfy(isPlain) { return String(self) }
        return "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

private func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
    default: "-_./:@%+=,".utf8.contains(byte)
    }
}
