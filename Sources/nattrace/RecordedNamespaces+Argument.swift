// What `--netns` means where a recording is explained.

import Output

extension RecordedNamespaces {
    /// How many names an error tells.
    private static let namesShown = 8

    /// Numbers go before names here: to look for a name, the whole recording is read once more.
    static func netns(_ argument: String, in file: String) throws(Failure) -> UInt32 {
        if let inode = UInt32(argument), inode > 0, String(inode) == argument { return inode }
        let asked = "'--netns \(argument)'"
        guard !argument.hasPrefix("pid:") else {
            throw .usage("\(asked): a recording knows network namespaces by name or inode number, not by process")
        }
        guard isReadable(twice: file) else {
            throw .usage("\(asked): a name cannot be looked for in \(file), which can be read only once")
        }
        let inodes: [String: Set<UInt32>]
        do throws(RecordingError) { inodes = try RecordedNamespaces(path: file).inodes } catch { throw Failure(error) }
        let found = (inodes[argument] ?? []).sorted()
        if let inode = found.first, found.count == 1 { return inode }
        if found.isEmpty {
            let known = inodes.keys.sorted()
            let names = known.prefix(namesShown).joined(separator: ", ")
            throw Failure(
                .noInput,
                "\(asked): \(file) names no such network namespace; it names "
                    + (known.isEmpty ? "none: give an inode number" : names)
                    + (known.count > namesShown ? " and \(known.count - namesShown) more" : ""))
        }
        throw .usage(
            "\(asked): \(file) has several of that name, one after the other: give one's inode number, "
                + found.map(String.init).joined(separator: " or "))
    }
}
