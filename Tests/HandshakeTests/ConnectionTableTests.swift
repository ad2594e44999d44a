// The ways to find a connection, against lists that are searched.

import Testing

@testable import Handshake

@Suite("Connection table")
struct ConnectionTableTests {
    /// What the table should know, in the plainest way.
    private struct Model {
        struct Known {
            var index: ConnectionTable.Index
            var isn: UInt32
            var tuple: Tuple
            var concluded: Int?
        }
        /// In the order of their beginning.
        var all: [Known] = []

        func newest(_ isn: UInt32) -> ConnectionTable.Index? { all.last { $0.isn == isn }?.index }
        var mostDispensable: ConnectionTable.Index? {
            all.filter { $0.concluded != nil }.min { $0.concluded! < $1.concluded! }?.index ?? all.first?.index
        }
    }

    private static let verdict = GivenVerdict(
        Verdict(
            code: .dropped, outcome: .failure, sentence: "", advice: [], evidence: [], checklist: Checklist(),
            netns: 0, time: 0, duration: 0, isRevised: false),
        ending: EndingKey(kind: 0, function: nil, netns: 0))

    @Test("It agrees with lists that are searched, whatever comes and goes", arguments: [1, 3, 50])
    func asModel(numbers: UInt32) {
        var random = SeededRandom(seed: UInt64(numbers))
        let table = ConnectionTable(capacity: 40)
        var model = Model()
        var turn = 0
        while turn < 4000 {
            turn += 1
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                guard !table.isFull else { continue }
                let isn = UInt32.random(in: 0..<numbers, using: &random)
                let tuple = flow("10.0.0.1:\(Int.random(in: 1...30, using: &random))", published)
                let connection = Connection(isn: isn, dialled: tuple, startTime: UInt64(turn))
                let others = model.all.filter { $0.isn == isn }
                table.insert(connection)
                // As the explainer does it: the first of a number is entered when a second one comes.
                table.noteTuples(of: connection)
                for other in others { table[other.index].pointee.work.map(table.noteTuples) }
                model.all.append(.init(index: connection.index, isn: isn, tuple: tuple))
            case 4, 5:
                guard let gone = model.all.randomElement(using: &random) else { continue }
                table.remove(gone.index)
                model.all.removeAll { $0.index == gone.index }
            case 6:
                guard let place = model.all.indices.randomElement(using: &random) else { continue }
                if model.all[place].concluded == nil { model.all[place].concluded = turn }
                table.give(Self.verdict, to: model.all[place].index)
            default:
                #expect(table.mostDispensable == model.mostDispensable)
                #expect(table.count == model.all.count)
                let inOrder =
                    model.all.filter { $0.concluded == nil }
                    + model.all.filter { $0.concluded != nil }.sorted { $0.concluded! < $1.concluded! }
                #expect(table.all == inOrder.map(\.index))
                for isn in 0..<numbers {
                    let ofNumber = model.all.filter { $0.isn == isn }
                    var found: [ConnectionTable.Index] = []
                    var next = table.newest(isn)
                    while let index = next {
                        found.append(index)
                        next = table.older(than: index)
                    }
                    #expect(found == ofNumber.reversed().map(\.index))
                    guard ofNumber.count > 1 else { continue }
                    for one in ofNumber {
                        var seen: Set<ConnectionTable.Index> = []
                        table.forEach(isn, one.tuple) { seen.insert($0) }
                        #expect(seen == Set(ofNumber.filter { $0.tuple == one.tuple }.map(\.index)))
                    }
                }
            }
        }
    }
}
