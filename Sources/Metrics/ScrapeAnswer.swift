// What a request gets: the page, or why not.

struct ScrapeAnswer {
    let status: Int
    let contentType: String
    let body: String

    /// `target`: as in the request line, with or without a query. `page` is called only if it is asked for.
    init(method: String, target: String, page: () -> String) {
        guard method == "GET" || method == "HEAD" else {
            self = .text(405, "only GET and HEAD are answered\n")
            return
        }
        self =
            switch target.prefix(while: { $0 != "?" }) {
            case "/metrics": ScrapeAnswer(status: 200, contentType: PrometheusText.contentType, body: page())
            case "/": .text(200, "nattrace: metrics for Prometheus are at /metrics\n")
            default: .text(404, "there is /metrics and nothing else\n")
            }
    }

    private init(status: Int, contentType: String, body: String) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    private static func text(_ status: Int, _ text: String) -> ScrapeAnswer {
        ScrapeAnswer(status: status, contentType: "text/plain; charset=utf-8", body: text)
    }
}
