import Handshake
import Testing

@testable import HostFacts

private let id = "4b61f0e0f0c5f1b52c6a1f3f0d7c2b9e8a7d6c5b4a39281706f5e4d3c2b1a098"
private let other = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

@Suite struct ContainerIDTests {
    @Test(arguments: [
        "0::/docker/\(id)",
        "0::/system.slice/docker-\(id).scope",
        "0::/system.slice/docker-\(id).scope/init.scope",
        "0::/kubepods/burstable/pod3f1a2b3c-1111-2222-3333-444455556666/\(id)",
        "0::/kubepods.slice/kubepods-pod3f1a2b3c_1111_2222_3333_444455556666.slice/cri-containerd-\(id).scope",
        "0::/kubepods.slice/kubepods-besteffort.slice/crio-\(id).scope",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-\(id).scope/container",
        // Seen from a control group namespace.
        "0::/../docker-\(id).scope",
        // A container within a container: the inner one.
        "0::/docker/\(other)/docker/\(id)",
        // cgroup v1, where some hierarchies know nothing of it.
        "12:rdma:/\n11:cpu,cpuacct:/docker/\(id)\n1:name=systemd:/docker/\(id)\n0::/",
    ])
    func findsIt(text: String) {
        #expect(ContainerID.find(inControlGroups: Array(text.utf8)) == "4b61f0e0f0c5")
        #expect(ContainerID.find(inControlGroups: Array((text + "\n").utf8)) == "4b61f0e0f0c5")
    }

    @Test(arguments: [
        "",
        "0::/",
        "0::/init.scope",
        "0::/user.slice/user-1000.slice/session-2.scope",
        "0::/kubepods/burstable/pod3f1a2b3c-1111-2222-3333-444455556666",
        // Too short, too long, no hexadecimal, upper case.
        "0::/docker/\(id.dropLast())",
        "0::/docker/0\(id)",
        "0::/docker/g\(id.dropFirst())",
        "0::/docker/\(id.uppercased())",
        // The monitor is not in its container.
        "0::/machine.slice/libpod-conmon-\(id).scope",
        // Not a line of this file.
        "/docker/\(id)",
        "\(id)",
    ])
    func findsNone(text: String) {
        #expect(ContainerID.find(inControlGroups: Array(text.utf8)) == nil)
    }
}
