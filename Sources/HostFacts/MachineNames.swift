// Names of this machine, for who has to write one on a command line.

/// The names that `ip netns list` shows, in order; none where they cannot be read.
public func networkNamespaceNames() -> [String] { names(in: NamespaceNames.folder) }

/// The interfaces of this thread's network namespace, in order.
public func interfaceNames() -> [String] { names(in: "/sys/class/net") }

private func names(in folder: String) -> [String] {
    ((try? Files.names(in: folder, limit: NetworkNamespaces.maximumNames)) ?? []).sorted()
}
