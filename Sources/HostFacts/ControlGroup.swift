/// One line of `/proc/PID/cgroup` (cgroups(7)): `hierarchy-ID:controller-list:cgroup-path`.
struct ControlGroup {
    /// Empty: of cgroup v2.
    var controllers: ArraySlice<UInt8>
    /// It may hold colons.
    var path: ArraySlice<UInt8>

    static func groups(in text: [UInt8]) -> [ControlGroup] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? ControlGroup(controllers: fields[1], path: fields[2]) : nil
        }
    }

    /// The parts of its path, innermost first.
    var components: ReversedCollection<[ArraySlice<UInt8>]> { path.split(separator: UInt8(ascii: "/")).reversed() }
}
