// One BTF: the kernel's or a module's.

import CLibBPF

/// Owns a `struct btf`. A module's refers to types of the kernel's, which it keeps alive.
final class TypeInformation {
    let handle: OpaquePointer
    private let base: TypeInformation?

    /// Takes over `handle`.
    init(_ handle: OpaquePointer, base: TypeInformation? = nil) {
        self.handle = handle
        self.base = base
    }

    deinit { btf__free(handle) }

    func hasFunction(_ name: String) -> Bool { functionIdentifier(name) != nil }

    /// The number of a function's type; nil: this BTF does not have it.
    func functionIdentifier(_ name: String) -> UInt32? { identifier(of: name, kind: BTF_KIND_FUNC) }

    /// Whether a program can be attached to a tracepoint by its BTF.
    func hasTracepoint(_ event: String) -> Bool { identifier(of: "btf_trace_\(event)", kind: BTF_KIND_TYPEDEF) != nil }

    /// nil: this BTF does not have the function, or it was inlined or changed by the compiler.
    func prototype(ofFunction name: String) -> Prototype? {
        guard let id = identifier(of: name, kind: BTF_KIND_FUNC), let function = type(id) else { return nil }
        return prototype(function.pointee.type)
    }

    /// What a BTF program at tracepoint `event` gets, in this order. The kernel declares
    /// `typedef void (*btf_trace_EVENT)(void *__data, ...)`; a program does not see `__data`,
    /// so position 1 is the first argument after it. Parameters have no names here.
    func prototype(ofTracepoint event: String) -> Prototype? {
        guard let id = identifier(of: "btf_trace_\(event)", kind: BTF_KIND_TYPEDEF),
            let pointer = stripped(id), btf_is_ptr(pointer),
            var prototype = prototype(pointer.pointee.type), !prototype.parameters.isEmpty
        else { return nil }
        prototype.parameters.removeFirst()
        return prototype
    }

    /// The values of an enum of at most 32 bits, nil if there is none of that name.
    func values(ofEnum name: String) -> [(name: String, value: UInt32)]? {
        guard let id = identifier(of: name, kind: BTF_KIND_ENUM), let type = type(id) else { return nil }
        return values(type)
    }

    /// The values of all enums whose name ends so that are this BTF's own, not its base's.
    func values(ofEnumsNamed suffix: String) -> [(name: String, value: UInt32)] {
        let first = base.map { btf__type_cnt($0.handle) } ?? 1
        return (first..<max(first, btf__type_cnt(handle))).flatMap { id -> [(name: String, value: UInt32)] in
            guard let type = type(id), btf_is_enum(type), text(type.pointee.name_off).hasSuffix(suffix) else {
                return []
            }
            return values(type)
        }
    }

    private func values(_ type: UnsafePointer<btf_type>) -> [(name: String, value: UInt32)] {
        guard let entries = btf_enum(type) else { return [] }
        return (0..<Int(btf_vlen(type))).map {
            (text(entries[$0].name_off), UInt32(bitPattern: entries[$0].val))
        }
    }

    private func prototype(_ id: UInt32) -> Prototype? {
        guard let type = type(id), btf_is_func_proto(type) else { return nil }
        guard btf_vlen(type) > 0, let parameters = btf_params(type) else { return Prototype(parameters: []) }
        // Variable arguments are a last parameter without a type.
        let isVariadic = parameters[Int(btf_vlen(type)) - 1].type == 0
        return Prototype(
            parameters: (0..<Int(btf_vlen(type)) - (isVariadic ? 1 : 0)).map {
                Prototype.Parameter(name: text(parameters[$0].name_off), shape: shape(parameters[$0].type))
            },
            isVariadic: isVariadic)
    }

    private func shape(_ id: UInt32) -> Prototype.Parameter.Shape {
        guard let type = stripped(id) else { return .other }
        if btf_is_any_enum(type) { return .enumeration(text(type.pointee.name_off)) }
        // A forward declaration is as good: only the name counts.
        if btf_is_ptr(type), let target = stripped(type.pointee.type), btf_is_struct(target) || btf_is_fwd(target) {
            return .pointer(to: text(target.pointee.name_off))
        }
        return .other
    }

    /// The type behind const, volatile, restrict, type tags and typedefs.
    private func stripped(_ id: UInt32) -> UnsafePointer<btf_type>? {
        var current = type(id)
        while let type = current, btf_is_mod(type) || btf_is_typedef(type) { current = self.type(type.pointee.type) }
        return current
    }

    private func type(_ id: UInt32) -> UnsafePointer<btf_type>? { btf__type_by_id(handle, id) }

    private func identifier(of name: String, kind: Int) -> UInt32? {
        let id = btf__find_by_name_kind(handle, name, UInt32(kind))
        return id > 0 ? UInt32(id) : nil
    }

    private func text(_ offset: UInt32) -> String {
        btf__name_by_offset(handle, offset).map { String(cString: $0) } ?? ""
    }
}
