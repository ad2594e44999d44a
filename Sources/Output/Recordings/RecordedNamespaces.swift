// Which network namespaces a recording knows by name.

import Glibc
import Handshake

/// Names of namespaces, as the recorded machine had them, and their inode numbers.
public struct RecordedNamespaces {
    /// A name may have been given to several, one after the other.
    public private(set) var inodes: [String: Set<UInt32>] = [:]

    /// Reads all of a file, as names are recorded where they were asked for first. Where it is damaged, what stands
    /// before that counts: whoever explains the recording comes to the same place.
    public init(path: String) throws(RecordingError) {
        let reader = try RecordingReader(path: path)
        while let item = try? reader.next() { _ = item }
        for (inode, name) in reader.facts.namespaceNames { inodes[name, default: []].insert(inode) }
    }

    /// Whether a file can be read again after this, or there is none: a pipe cannot.
    public static func isReadable(twice path: String) -> Bool {
        var status = stat()
        return stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
    }
}
