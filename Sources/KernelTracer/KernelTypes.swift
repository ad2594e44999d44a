// The BTF of the running kernel and of its modules, as far as they are loaded.

import CLibBPF
import Glibc

final class KernelTypes {
    let kernel: TypeInformation
    private var modules: [String: TypeInformation] = [:]

    init() throws(TracerError) {
        guard exists("/sys/kernel/btf/vmlinux") else {
            throw .unsupportedKernel(
                what: "it does not describe its types (there is no /sys/kernel/btf/vmlinux)",
                whatToDo: exists("/sys/kernel")
                    ? "use one that is built with CONFIG_DEBUG_INFO_BTF=y, as those of the distributions are"
                    : "mount sysfs at /sys")
        }
        guard let handle = btf__load_vmlinux_btf() else { throw .last("reading /sys/kernel/btf/vmlinux") }
        kernel = TypeInformation(handle)
    }

    /// For tests.
    init(kernel: TypeInformation) { self.kernel = kernel }

    /// nil: the module is not loaded, or the kernel keeps no BTF of modules (before 5.11).
    func module(_ name: String) -> TypeInformation? {
        if let known = modules[name] { return known }
        guard exists("/sys/kernel/btf/\(name)"), let handle = btf__load_module_btf(name, kernel.handle) else {
            return nil
        }
        let types = TypeInformation(handle, base: kernel)
        modules[name] = types
        return types
    }

    /// The function's prototype, from the kernel's own BTF or the module's.
    func prototype(ofFunction name: String, module: String? = nil) -> Prototype? {
        kernel.prototype(ofFunction: name) ?? module.flatMap(self.module)?.prototype(ofFunction: name)
    }

    /// A module was loaded anew: what it had may be different now.
    func forget(module name: String) { modules[name] = nil }
}
