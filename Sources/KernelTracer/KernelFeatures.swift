// What the running kernel offers, asked once at the start and never told from its version.

import CLibBPF

struct KernelFeatures {
    /// Functions can be probed. The program type alone does not say so: it comes with uprobes
    /// too. The event source does; without it (before 4.17) libbpf would write events into
    /// tracefs, which outlive a killed process.
    let kprobes: Bool
    let fentry: FentrySupport
    /// Programs can be run by bpf(2) itself (5.14); their helpers name functions.
    let syscallPrograms: Bool

    static func probe(_ types: KernelTypes) throws(TracerError) -> KernelFeatures {
        if kernelFile("/sys/kernel/security/lockdown")?.contains("[confidentiality]") == true {
            throw .unsupportedKernel(
                what: "its lockdown mode is confidentiality, which forbids tracing",
                whatToDo: "boot it with lockdown=integrity")
        }
        return KernelFeatures(
            kprobes: exists("/sys/bus/event_source/devices/kprobe/type")
                && libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_KPROBE, nil) == 1,
            fentry: FentrySupport.probe(types.kernel),
            syscallPrograms: libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, nil) == 1)
    }
}
