// BTF made by hand, to show the readers every shape without a kernel.

import CLibBPF
import Testing

@testable import KernelTracer

/// Builds a BTF type by type, as a compiler would.
struct HandmadeTypes {
    let handle: OpaquePointer
    private let base: TypeInformation?

    init(base: TypeInformation? = nil) throws {
        self.base = base
        handle = try #require(base.map { btf__new_empty_split($0.handle) } ?? btf__new_empty())
    }

    /// Takes the types over; nothing can be added any more.
    func finished() -> TypeInformation { TypeInformation(handle, base: base) }

    func structure(_ name: String) -> Int32 { btf__add_struct(handle, name, 8) }
    func pointer(to type: Int32) -> Int32 { btf__add_ptr(handle, type) }
    func constant(_ type: Int32) -> Int32 { btf__add_const(handle, type) }

    func enumeration(_ name: String, _ values: [(String, Int64)] = []) -> Int32 {
        let id = btf__add_enum(handle, name, 4)
        for (name, value) in values { btf__add_enum_value(handle, name, value) }
        return id
    }

    func prototype(_ parameters: [(String, Int32)]) -> Int32 {
        let id = btf__add_func_proto(handle, 0)
        for (name, type) in parameters { btf__add_func_param(handle, name, type) }
        return id
    }

    func function(_ name: String, _ parameters: [(String, Int32)]) {
        btf__add_func(handle, name, BTF_FUNC_STATIC, prototype(parameters))
    }

    /// As the kernel declares it: a pointer to a function, whose first argument is the
    /// tracepoint's own and whose parameters have no names.
    func tracepoint(_ event: String, _ parameters: [Int32]) {
        let data = pointer(to: 0)
        let type = pointer(to: prototype(([data] + parameters).map { ("", $0) }))
        btf__add_typedef(handle, "btf_trace_\(event)", type)
    }
}
