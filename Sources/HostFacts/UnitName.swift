/// systemd units in control group paths.
///
/// systemd gives each service and each scope a control group of the unit's name, below those of
/// its slices: `/system.slice/nginx.service`. Services may divide theirs further.
enum UnitName {
    /// The innermost unit in the text of `/proc/PID/cgroup`, its escapes undone; nil: none.
    /// `init.scope` is systemd itself, and none.
    static func find(inControlGroups text: [UInt8]) -> String? {
        // Units are groups of cgroup v2, and of systemd's own hierarchy of v1.
        for group in ControlGroup.groups(in: text)
        where group.controllers.isEmpty || group.controllers.elementsEqual("name=systemd".utf8) {
            if let name = find(in: group) { return name }
        }
        return nil
    }

    private static func find(in group: ControlGroup) -> String? {
        for component in group.components {
            guard isUnit(component), !component.elementsEqual("init.scope".utf8) else { continue }
            return String(decoding: unescaped(component), as: UTF8.self)
        }
        return nil
    }

    private static func isUnit(_ component: ArraySlice<UInt8>) -> Bool {
        [".service", ".scope"].contains { suffix in
            component.count > suffix.utf8.count && component.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
        }
    }

    /// systemd writes bytes that its names cannot hold as `\xHH` (systemd-escape(1)).
    private static func unescaped(_ name: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = name
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"),
                let value = hexByte(rest.dropFirst().prefix(2))
            {
                result.append(value)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    private static func hexByte(_ digits: ArraySlice<UInt8>) -> UInt8? {
        guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        return UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
