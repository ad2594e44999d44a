// Answers scrapes on a thread of its own, so that whoever asks costs the tracer nothing.

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Privileges

/// An HTTP server with one page. Its thread has no capability, and less claim to a processor than the one that traces.
///
/// A connection has one request, and a few seconds for all of it, whatever it does meanwhile; so many may be open at
/// once, and where one more comes, the oldest is closed.
public final class ScrapeServer {
    /// Seconds for a request and its answer.
    static let patience: Int64 = 10
    /// Open at once.
    static let maximumConnections = 32
    /// What nice(1) would be given.
    private static let niceness: Int32 = 10

    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel

    /// Answers from then on. To be made after capabilities were given up: its thread begins with what the caller has.
    public init(_ listener: consuming ScrapeListener, metrics: HandshakeMetrics) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let descriptor = listener.release()
        do {
            let open = try loop.submit {
                try Self.giveUpPrivileges()
                return OpenConnections(loop: loop)
            }.wait()
            channel = try ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        open.add(channel)
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                            withPipeliningAssistance: false, withErrorHandling: false)
                        try channel.pipeline.syncOperations.addHandler(ScrapeHandler(metrics))
                    }
                }
                .childChannelOption(.maxMessagesPerRead, value: 1)
                .withBoundSocket(descriptor)
                .wait()
        } catch {
            try? group.syncShutdownGracefully()
            throw error
        }
        self.group = group
    }

    private static func giveUpPrivileges() throws {
        // Linux: 0 is the calling thread alone. That it stays as eager as the others would be no error.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
        try LeastPrivilege.keep([], forChildren: [])
    }

    /// Closes everything.
    public func close() {
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }
}

/// The connections of a server, oldest first. Belongs to its one thread.
private final class OpenConnections: Sendable {
    private let channels: NIOLoopBound<Box>

    private final class Box { var all: [any Channel] = [] }

    /// To be made on the loop.
    init(loop: any EventLoop) {
        channels = NIOLoopBound(Box(), eventLoop: loop)
    }

    func add(_ channel: any Channel) {
        let box = channels.value
        if box.all.count >= ScrapeServer.maximumConnections { box.all.removeFirst().close(promise: nil) }
        box.all.append(channel)
        let end = channel.eventLoop.scheduleTask(in: .seconds(ScrapeServer.patience)) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { [channels] _ in
            end.cancel()
            channels.value.all.removeAll { $0 === channel }
        }
    }
}

/// One request, one answer. The answer comes with the head of the request: what may follow it is not read.
private final class ScrapeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let metrics: HandshakeMetrics
    private var isAnswered = false

    init(_ metrics: HandshakeMetrics) { self.metrics = metrics }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let answer = ScrapeAnswer(method: head.method.rawValue, target: head.uri) {
            metrics.snapshot.page(process: .now)
        }
        send(answer, isHead: head.method == .HEAD, context)
    }

    /// What is no HTTP gets no answer.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func send(_ answer: ScrapeAnswer, isHead: Bool, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders([
            ("Content-Type", answer.contentType), ("Content-Length", String(answer.body.utf8.count)),
            ("Connection", "close"),
        ])
        if answer.status == 405 { headers.add(name: "Allow", value: "GET, HEAD") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            let body = context.channel.allocator.buffer(string: answer.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
