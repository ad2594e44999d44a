/// Ids of containers, which all runtimes write alike: 64 lower-case hex digits. People see the first 12, and so
/// does the name of a container's network namespace here.
public enum ContainerID {
    public static let length = 64
    /// As many digits as `docker ps` and `podman ps` show.
    public static let shortLength = 12

    public static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    /// Whether a name is an id as people see it.
    static func isShort(_ name: String) -> Bool {
        name.utf8.count == shortLength && name.utf8.allSatisfy(isDigit)
    }
}
