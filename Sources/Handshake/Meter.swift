// What is counted of a run, apart from what is shown of it.

/// Told of every connection that the filters take, whatever `--failed` or `--verdict` leave out, and whether or not its
/// steps are shown. All calls come from the thread of the explainer.
public protocol Meter: AnyObject {
    /// Each step, in order within its connection.
    func step(_ step: borrowing Step)
    /// `isRevised` verdicts follow an earlier one on the same connection.
    func verdict(_ verdict: borrowing Verdict, of connection: Connection)
}
