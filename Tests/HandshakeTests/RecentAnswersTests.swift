import Testing

@testable import Handshake

@Suite("Answers that were just given")
struct RecentAnswersTests {
    /// Says how often it was asked.
    private final class CountingFacts: Facts {
        var asked = 0
        func answer(_ question: Question) -> Answer {
            asked += 1
            return .name(String(asked))
        }
    }

    private let facts = CountingFacts()
    private let question = Question.sysctl(name: "net/ipv4/ip_forward", netns: 1)

    @Test("One that was given after the connection's end is not asked for again")
    func reused() {
        let recent = RecentAnswers(facts, maximumAge: 50)
        recent.judging(at: 1000, end: 950)
        #expect(recent.answer(question) == .name("1"))
        recent.judging(at: 1040, end: 1000)
        #expect(recent.answer(question) == .name("1"))
        #expect(recent.answer(.sysctl(name: "other", netns: 1)) == .name("2"))
    }

    @Test("One that was given before the connection's end is asked for again")
    func beforeTheEnd() {
        let recent = RecentAnswers(facts, maximumAge: 50)
        recent.judging(at: 1000, end: 950)
        _ = recent.answer(question)
        recent.judging(at: 1040, end: 1001)
        #expect(recent.answer(question) == .name("2"))
    }

    @Test("One that is too old is asked for again, although the connection ended long ago")
    func old() {
        let recent = RecentAnswers(facts, maximumAge: 50)
        recent.judging(at: 1000, end: 0)
        _ = recent.answer(question)
        recent.judging(at: 1050, end: 0)
        #expect(recent.answer(question) == .name("1"))
        recent.judging(at: 1051, end: 0)
        #expect(recent.answer(question) == .name("2"))
    }

    @Test("No more are kept than there is room for")
    func bounded() {
        let recent = RecentAnswers(facts, maximumAge: 50)
        recent.judging(at: 1000, end: 1000)
        for netns in 0...UInt32(RecentAnswers.maximumKept) { _ = recent.answer(.addresses(netns: netns)) }
        let asked = facts.asked
        _ = recent.answer(.addresses(netns: UInt32(RecentAnswers.maximumKept)))
        #expect(facts.asked == asked)
        _ = recent.answer(.addresses(netns: 0))
        #expect(facts.asked == asked + 1)
    }
}
