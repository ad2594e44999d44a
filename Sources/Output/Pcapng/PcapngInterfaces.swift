// The interfaces of a pcapng file: one for each device of each network namespace, and one for what a namespace has
// between its devices.

/// Numbers interfaces as they come, writes the block of each before its first packet, and counts packets.
final class PcapngInterfaces {
    /// Interfaces that are told apart; all others are one.
    static let maximum = 4096

    /// Packets by interface.
    private(set) var received: [UInt64] = []
    private var numbers: [Interface: UInt32] = [:]
    private let writer: PcapngWriter

    fileprivate struct Interface: Hashable {
        var netns: UInt32
        var name: String?
        var place: PacketTrain.Place
    }

    init(_ writer: PcapngWriter) { self.writer = writer }

    /// The number of the interface that a packet passed, which is counted.
    func count(_ record: PacketTrain.Record) -> UInt32 {
        let number = number(of: Interface(netns: record.netns, name: record.netnsName, place: record.place))
        received[Int(number)] += 1
        return number
    }

    private func number(of interface: Interface) -> UInt32 {
        if let known = numbers[interface] { return known }
        let number = UInt32(received.count)
        guard received.count < Self.maximum else {
            if received.count == Self.maximum { add(name: "(others)", description: "more than \(number) interfaces") }
            return UInt32(Self.maximum)
        }
        add(name: interface.shown, description: interface.description)
        numbers[interface] = number
        return number
    }

    private func add(name: String, description: String) {
        writer.interface(name: name, description: description)
        writer.output.endUnit()
        received.append(0)
    }
}

extension PcapngInterfaces.Interface {
    private var style: TerminalStyle { PcapngComments.style }
    private var space: String? { name.flatMap { $0.isEmpty ? nil : style.outside($0) } }

    /// `blue/eth0`
    fileprivate var shown: String {
        let device =
            switch place {
            case .device(let name): style.outside(name)
            case .unknownDevice: "(device)"
            case .stack: "(stack)"
            }
        return (space ?? (netns == 0 ? "(unknown)" : String(netns))) + "/" + device
    }

    fileprivate var description: String {
        let what =
            switch place {
            case .device(let name): "device \(style.outside(name))"
            case .unknownDevice: "a device whose name is not known"
            case .stack: "between the devices: IP, netfilter, TCP"
            }
        let home = netns == 0 ? "an unknown network namespace" : "network namespace"
        return what + ", " + home + (space.map { " " + $0 } ?? "") + (netns == 0 ? "" : ", inode \(netns)")
    }
}
