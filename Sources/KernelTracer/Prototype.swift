// Where an argument stands: argument lists change between kernels, BTF tells the running one's.

import CLibBPF

/// The parameters of a kernel function or tracepoint, from BTF.
struct Prototype: Equatable {
    struct Parameter: Equatable {
        enum Shape: Equatable {
            /// `struct NAME *`
            case pointer(to: String)
            /// `enum NAME`
            case enumeration(String)
            case other
        }

        /// Empty where BTF keeps none: tracepoints, whose prototypes are pointer types.
        var name: String
        /// Without const and typedefs.
        var shape: Shape
    }

    var parameters: [Parameter]
    /// `...` behind them.
    var isVariadic = false

    /// Position of the first parameter that passes, counted from 1; 0: there is none.
    private func position(_ test: (Parameter) -> Bool) -> UInt8 {
        UInt8(clamping: (parameters.firstIndex(where: test) ?? -1) + 1)
    }

    /// Where programs at the function's exit find what it returned.
    var positionOfResult: UInt8 { UInt8(clamping: parameters.count + 1) }

    func position(named name: String) -> UInt8 { position { $0.name == name } }
    func position(ofPointerTo type: String) -> UInt8 { position { $0.shape == .pointer(to: type) } }
    func position(ofEnum type: String) -> UInt8 { position { $0.shape == .enumeration(type) } }
}
