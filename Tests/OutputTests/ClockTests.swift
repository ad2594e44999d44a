// How far clocks are apart, from made-up handshakes.

import Testing

@testable import Output

@Suite struct ClockTests {
    @Test func takesTheMiddleOfWhatAllHandshakesAllow() throws {
        let estimate = try #require(
            ClockEstimate([
                ClockBounds(lower: -50, upper: 150), ClockBounds(lower: 80, upper: 400),
                ClockBounds(lower: 0, upper: 120),
            ]))
        #expect(estimate.bounds == ClockBounds(lower: 80, upper: 120))
        #expect(estimate.ahead == 100 && estimate.within == 20)
        #expect(estimate.handshakes == 3 && estimate.contradicting == 0)
    }

    @Test func followsMostHandshakesAndSaysHowFarTheOthersAre() throws {
        let estimate = try #require(
            ClockEstimate([
                ClockBounds(lower: 0, upper: 20), ClockBounds(lower: 1000, upper: 1010),
                ClockBounds(lower: 5, upper: 30),
            ]))
        #expect(estimate.bounds == ClockBounds(lower: 5, upper: 20))
        #expect(estimate.ahead == 12 && estimate.within == 1000 - 12)
        #expect(estimate.handshakes == 3 && estimate.contradicting == 1)
    }

    @Test func knowsOneEndOnly() throws {
        let estimate = try #require(ClockEstimate([ClockBounds(upper: 70), ClockBounds(upper: 40)]))
        #expect(estimate.bounds == ClockBounds(upper: 40))
        #expect(estimate.ahead == nil && estimate.within == nil)
        // A SYN each way is as good as an answer.
        #expect(ClockEstimate([ClockBounds(upper: 70), ClockBounds(lower: 30)])?.ahead == 50)
        #expect(ClockEstimate([]) == nil)
    }

    @Test func comparesOverOthersAndAddsUpTheErrors() {
        let clocks = RecordingClocks(
            count: 3,
            samples: [
                .init(a: 0, b: 1): [ClockBounds(lower: 90, upper: 110)],
                .init(a: 1, b: 2): [ClockBounds(lower: -305, upper: -295)],
            ]
        ).clocks
        #expect(clocks.map(\.ahead) == [0, 100, -200])
        #expect(clocks.map(\.within) == [0, 10, 15])
        #expect(clocks.allSatisfy { $0.reference == 0 })
    }

    @Test func prefersTheSurestWay() {
        let clocks = RecordingClocks(
            count: 3,
            samples: [
                .init(a: 0, b: 1): [ClockBounds(lower: -10, upper: 10)],
                .init(a: 0, b: 2): [ClockBounds(lower: -1000, upper: 1400)],
                .init(a: 1, b: 2): [ClockBounds(lower: 40, upper: 60)],
            ]
        ).clocks
        #expect(clocks[2].ahead == 50 && clocks[2].within == 20)
    }

    /// Between two groups nothing is known, and nothing is said.
    @Test func doesNotCompareWhatIsNotTied() {
        let clocks = RecordingClocks(
            count: 4,
            samples: [
                .init(a: 0, b: 3): [ClockBounds(upper: 500)],
                .init(a: 1, b: 2): [ClockBounds(lower: 0, upper: 20)],
            ]
        ).clocks
        #expect(clocks.map(\.reference) == [0, 1, 1, 3])
        #expect(clocks[2].ahead == 10 && clocks[2].aheadOfFirst == nil)
        #expect(clocks[3].bounds == ClockBounds(upper: 500))
        #expect(clocks[1].bounds == ClockBounds())
    }

    /// The error of what lies between is part of a bound.
    @Test func widensBoundsByTheErrorOfTheWay() {
        let clocks = RecordingClocks(
            count: 3,
            samples: [
                .init(a: 0, b: 1): [ClockBounds(lower: 90, upper: 110)],
                .init(a: 1, b: 2): [ClockBounds(upper: 500)],
            ]
        ).clocks
        #expect(clocks[2].bounds == ClockBounds(upper: 500 + 100 + 10))
    }
}
