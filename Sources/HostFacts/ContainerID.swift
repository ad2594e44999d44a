// Container ids in control group paths.

import Handshake

/// Every runtime puts the container's id into the path of its control group: `/docker/ID` and
/// `/system.slice/docker-ID.scope` (Docker), `/kubepods/.../podUID/ID` and `cri-containerd-ID.scope`
/// (containerd), `crio-ID.scope` (CRI-O), `libpod-ID.scope` (Podman).
extension ContainerID {
    /// The innermost container in the text of `/proc/PID/cgroup`: the first line that has one
    /// decides, as the hierarchies of cgroup v1 agree.
    static func find(inControlGroups text: [UInt8]) -> String? {
        for group in ControlGroup.groups(in: text) {
            if let id = find(in: group) { return id }
        }
        return nil
    }

    /// The last id in a path: a container within a container is the inner one.
    private static func find(in group: ControlGroup) -> String? {
        for component in group.components {
            // `ID`, `PREFIX-ID`, with `.scope` or without.
            let stem = component.prefix { $0 != UInt8(ascii: ".") }
            let digits = stem.suffix(length)
            guard digits.count == length, digits.allSatisfy(isDigit) else { continue }
            let prefix = stem.dropLast(length)
            guard prefix.isEmpty || prefix.last == UInt8(ascii: "-") else { continue }
            // The monitor of a container is not in it: `libpod-conmon-ID.scope`, `crio-conmon-ID.scope`.
            guard !prefix.dropLast().ends(with: "conmon".utf8) else { continue }
            return String(decoding: digits.prefix(shortLength), as: UTF8.self)
        }
        return nil
    }
}

extension ArraySlice<UInt8> {
    fileprivate func ends(with tail: String.UTF8View) -> Bool {
        suffix(tail.count).elementsEqual(tail)
    }
}
