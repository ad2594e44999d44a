// Small sets and dictionaries do what Swift's do.

import Testing

@testable import Handshake

@Suite("Sets of a few")
struct FewTests {
    @Test("It holds what a set holds, whatever is inserted and removed")
    func set() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var few = Few<Int>()
            var set: Set<Int> = []
            for _ in 0..<30 {
                let number = Int.random(in: 0..<6, using: &generator)
                if Bool.random(using: &generator) {
                    #expect(few.insert(number) == set.insert(number).inserted)
                } else {
                    few.remove(number)
                    set.remove(number)
                }
                #expect(few.isEmpty == set.isEmpty)
                for other in 0..<6 { #expect(few.contains(other) == set.contains(other)) }
                #expect(few.contains { $0 > 3 } == set.contains { $0 > 3 })
            }
        }
    }

    @Test("It holds what a dictionary holds, whatever is set and removed")
    func dictionary() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var few = FewByKey<Int, Int>()
            var dictionary: [Int: Int] = [:]
            for value in 0..<30 {
                let key = Int.random(in: 0..<6, using: &generator)
                let wanted = Int.random(in: 0..<3, using: &generator) > 0 ? value : nil
                few[key] = wanted
                dictionary[key] = wanted
                for other in 0..<6 { #expect(few[other] == dictionary[other]) }
            }
        }
    }
}
