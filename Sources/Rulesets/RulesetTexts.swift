// What the machine's own tools say of the rulesets of one namespace. Whoever asks them fills this in;
// this module only reads.

/// Outputs of the tools, as bytes. nil: the tool is not there, failed, or has nothing to say.
public struct RulesetTexts: Sendable, Equatable {
    /// `nft -j -a list ruleset`. Neither `-t` nor `-s`, which hide elements of sets, nor `-n`, which says
    /// types of Ethernet frames in the machine's byte order, nor `-N` or `-S`, which put names for
    /// addresses and ports.
    public var nftJSON: [UInt8]?
    /// `nft -a list ruleset`: only for the rules' texts.
    public var nftText: [UInt8]?
    /// `iptables-legacy-save`.
    public var iptablesSave: [UInt8]?
    /// `ip6tables-legacy-save`.
    public var ip6tablesSave: [UInt8]?
    /// `iptables-nft-save`: for rules that nft cannot say in its own words.
    public var iptablesNftSave: [UInt8]?
    /// `ip6tables-nft-save`.
    public var ip6tablesNftSave: [UInt8]?
    /// Whether every ruleset that the namespace has could be asked for.
    public var isComplete: Bool
    /// Why not.
    public var problem: String?

    public init(
        nftJSON: [UInt8]? = nil, nftText: [UInt8]? = nil, iptablesSave: [UInt8]? = nil,
        ip6tablesSave: [UInt8]? = nil, iptablesNftSave: [UInt8]? = nil, ip6tablesNftSave: [UInt8]? = nil,
        isComplete: Bool, problem: String? = nil
    ) {
        self.nftJSON = nftJSON
        self.nftText = nftText
        self.iptablesSave = iptablesSave
        self.ip6tablesSave = ip6tablesSave
        self.iptablesNftSave = iptablesNftSave
        self.ip6tablesNftSave = ip6tablesNftSave
        self.isComplete = isComplete
        self.problem = problem
    }
}

/// What bounds a ruleset and a search in it. Beyond them the answer says that it is not complete.
enum Bounds {
    static let rules = 100_000
    /// Elements of all named sets and maps together.
    static let elements = 1_000_000
    /// Rules and elements that one search looks at.
    static let work = 4_000_000
    /// NFT_JUMP_STACK_SIZE: the kernel takes no ruleset that jumps deeper.
    static let jumps = 16
}
