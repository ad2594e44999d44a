import Testing

@testable import HostFacts

@Suite struct UnitNameTests {
    @Test(arguments: [
        ("0::/system.slice/nginx.service", "nginx.service"),
        // A service that divides its group.
        ("0::/system.slice/nginx.service/workers/3", "nginx.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope", "session-2.scope"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal\\x2d7.scope",
            "app-org.gnome.Terminal-7.scope"
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service"),
        ("0::/system.slice/a\\x3ab:c.service", "a:b:c.service"),
        // No escape after all.
        ("0::/system.slice/a\\x2.service", "a\\x2.service"),
        ("0::/system.slice/a\\xg0.service", "a\\xg0.service"),
        // cgroup v1: systemd's hierarchy counts.
        ("12:cpu:/other.service\n1:name=systemd:/system.slice/sshd.service\n0::/", "sshd.service"),
        // Seen from a control group namespace.
        ("0::/../cron.service", "cron.service"),
    ])
    func findsIt(text: String, unit: String) {
        #expect(UnitName.find(inControlGroups: Array(text.utf8)) == unit)
        #expect(UnitName.find(inControlGroups: Array((text + "\n").utf8)) == unit)
    }

    @Test(arguments: [
        "", "0::/", "0::/init.scope", "0::/user.slice", "0::/.service", "0::/system.slice/x.servicex",
        "4:memory:/system.slice/nginx.service", "/system.slice/nginx.service",
    ])
    func findsNone(text: String) {
        #expect(UnitName.find(inControlGroups: Array(text.utf8)) == nil)
    }
}
