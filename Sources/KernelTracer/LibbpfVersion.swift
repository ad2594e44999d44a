import CLibBPF

/// Of the library that is in use, as `1.1`: the one linked in, or the machine's.
public var libbpfVersion: String {
    let text = String(cString: libbpf_version_string())
    return text.hasPrefix("v") ? String(text.dropFirst()) : text
}
