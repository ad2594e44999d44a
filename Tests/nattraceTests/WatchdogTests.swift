import Testing

@testable import nattrace

@Suite struct WatchdogTests {
    private func watchdog(_ environment: [String: String]) -> Watchdog {
        Watchdog(process: 42) { environment[$0] }
    }

    @Test func reportsTwiceInTheTimeThatIsWaited() {
        var watchdog = watchdog(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"])
        #expect(watchdog.interval == 15_000_000_000)
        // At once, and then by the time of the last report.
        #expect(watchdog.nextDeadline == 0)
        let reports = [1_000, 15_000_000_999, 16_000_000_000].map { watchdog.isDue(at: $0) }
        #expect(reports == [true, false, true])
        #expect(watchdog.nextDeadline == 31_000_000_000)
    }

    @Test func isMeantForEveryProcessWhereNoneIsNamed() {
        #expect(watchdog(["WATCHDOG_USEC": "2"]).interval == 1_000)
    }

    @Test(arguments: [
        [:], ["WATCHDOG_PID": "42"], ["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"], ["WATCHDOG_USEC": "0"],
        ["WATCHDOG_USEC": ""], ["WATCHDOG_USEC": "-1"], ["WATCHDOG_USEC": "soon"],
        ["WATCHDOG_USEC": "18446744073709551615"],
    ])
    func staysSilentWhereNobodyWaits(environment: [String: String]) {
        var watchdog = watchdog(environment)
        #expect(watchdog.interval == nil && watchdog.nextDeadline == nil)
        let isDue = watchdog.isDue(at: .max)
        #expect(!isDue)
    }
}
