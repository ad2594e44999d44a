/// Traces live until it is told to stop. Throws a `Failure`.
func runTrace(_ request: TraceRequest) throws {
    throw Failure(.cannotTrace, "tracing is not wired yet")
}

/// Explains a recording. Throws a `Failure`.
func runReplay(_ request: ReplayRequest) throws {
    throw Failure(.cannotTrace, "replaying '\(request.path)' is not wired yet")
}
