// What `nattrace doctor --json` writes: one object, as docs/nattrace-doctor.schema.json describes it.

import Examination
import Handshake
import Privileges

/// Names of the Elastic Common Schema where it has one, the rest under `nattrace`. What is unknown is absent.
public struct DoctorJSON {
    private let output: OutputBuffer

    public init(output: OutputBuffer) { self.output = output }

    public func write(_ report: Report) {
        let found = report.findings
        output.open()
        output.key("\"@timestamp\":\"")
        var clock = Clock(realtimeOffset: 0)
        clock.put(found.time, to: output)
        output.put("\",\"ecs\":{\"version\":\"")
        output.put(JSONLinesSink.ecsVersion)
        output.put("\"},\"event\":{\"kind\":\"state\",\"dataset\":\"nattrace.doctor\",\"outcome\":\"")
        output.put(report.outcome == .impossible ? "failure" : "success")
        output.put("\"}")
        string("\"message\":", report.headline)
        object("\"host\":") {
            string("\"name\":", found.hostName)
            string("\"architecture\":", found.architecture)
            object("\"os\":") { string("\"kernel\":", found.kernel) }
        }
        object("\"process\":") {
            object("\"thread\":") {
                object("\"capabilities\":") { strings("\"effective\":", found.capabilities.members.map(\.name)) }
            }
        }
        object("\"user\":") { object("\"effective\":") { string("\"id\":", String(found.userID)) } }
        object("\"nattrace\":") { own(report) }
        output.close()
        output.endLine()
    }

    private func own(_ report: Report) {
        let found = report.findings
        string("\"version\":", found.version)
        string("\"outcome\":", report.outcome.rawValue)
        object("\"exit\":") {
            output.key("\"status\":")
            output.put(UInt64(UInt32(bitPattern: found.refusal?.status ?? 0)))
            string("\"reason\":", found.refusal?.what)
            string("\"advice\":", found.refusal?.whatToDo)
        }
        kernel(found)
        let attached = found.hooks.compactMap { finding -> (String, Backend)? in
            guard case .attached(let backend) = finding.state else { return nil }
            return (finding.hook.name, backend)
        }
        if !attached.isEmpty {
            object("\"backend\":") {
                for (hook, backend) in attached.sorted(by: { $0.0 < $1.0 }) {
                    output.separate()
                    output.jsonString(hook)
                    output.put(":")
                    output.jsonName(backend.name)
                }
            }
        }
        list("\"hooks\":", found.hooks) { hook($0, found) }
        if found.isInUserNamespace { bool("user_namespace", true) }
        list("\"missing_capabilities\":", found.missingCapabilities) { capability in
            string("\"name\":", capability.name)
            string("\"purpose\":", capability.purpose)
            string("\"loss\":", capability.loss)
        }
        namespace(found)
        string("\"rule_tracing\":", found.ruleTracing?.rawValue)
        list("\"tools\":", found.tools) { tool in
            string("\"name\":", tool.name)
            string("\"path\":", tool.path)
            string("\"purpose\":", tool.purpose)
        }
        list("\"lacks\":", report.lacks) { lack in
            string("\"what\":", lack.what)
            string("\"why\":", lack.why)
            strings("\"losses\":", lack.losses)
            strings("\"advice\":", lack.advice)
        }
        list("\"verdicts\":", report.verdicts) { verdict($0) }
    }

    private func kernel(_ found: Findings) {
        object("\"kernel\":") {
            object("\"features\":") {
                for feature in Feature.allCases {
                    switch found.features[feature] {
                    case .present?: bool(feature.rawValue, true)
                    case .absent?: bool(feature.rawValue, false)
                    case .unknown?, nil: break
                    }
                }
            }
            string("\"lockdown\":", found.lockdown)
            for setting in Findings.Setting.allCases {
                guard let value = found.settings[setting] else { continue }
                output.separate()
                output.jsonName(setting.rawValue)
                output.put(":")
                output.put(text: String(value))
            }
        }
    }

    private func hook(_ finding: HookFinding, _ found: Findings) {
        string("\"name\":", finding.hook.name)
        switch finding.state {
        case .attached(let backend):
            string("\"state\":", "attached")
            string("\"backend\":", backend.name)
        case .waiting(let module):
            string("\"state\":", "waiting")
            string("\"module\":", module)
            string("\"reason\":", found.obstacle(to: finding.hook))
        case .replaced(let other, let isComplete):
            string("\"state\":", "replaced")
            string("\"by\":", other.name)
            bool("complete", isComplete)
        case .unneeded: string("\"state\":", "unneeded")
        case .unavailable(let reason):
            string("\"state\":", "unavailable")
            string("\"reason\":", reason)
        case .untried: string("\"state\":", "untried")
        }
        list("\"declined\":", finding.declined) { declined in
            string("\"backend\":", declined.backend.name)
            string("\"reason\":", declined.reason)
        }
        switch finding.state {
        case .attached, .unneeded, .untried, .replaced(_, isComplete: true): break
        case .waiting, .unavailable, .replaced(_, isComplete: false): string("\"loss\":", finding.loss)
        }
    }

    private func namespace(_ found: Findings) {
        let namespace = found.namespace
        object("\"netns\":") {
            if let inode = namespace.inode {
                output.key("\"inode\":")
                output.put(inode)
            }
            if let count = namespace.conntrackCount, let maximum = namespace.conntrackMaximum {
                object("\"conntrack\":") {
                    output.key("\"count\":")
                    output.put(count)
                    output.key("\"max\":")
                    output.put(maximum)
                    string("\"problem\":", namespace.conntrackProblem)
                }
            }
            object("\"rules\":") {
                output.key("\"count\":")
                output.put(UInt64(namespace.rules))
                if let uses = namespace.usesNftables { bool("nftables", uses) }
                if let uses = namespace.usesIptablesLegacy { bool("iptables_legacy", uses) }
                if let translates = namespace.translates { bool("nat", translates) }
                string("\"problem\":", namespace.rulesetProblem)
            }
            bool("others", namespace.entersOthers)
        }
    }

    private func verdict(_ verdict: Report.VerdictLoss) {
        strings("\"codes\":", verdict.codes.map(\.rawValue))
        string("\"kind\":", verdict.kind)
        list("\"effects\":", verdict.effects) { lack in
            let (effect, text): (String, String?) =
                switch lack.effect {
                case .concluded(let evidence): ("concluded", evidence)
                case .poorer(let how): ("poorer", how)
                case .partly(let cases, _): ("partly", cases)
                case .never: ("never", nil)
                }
            string("\"effect\":", effect)
            string("\"text\":", text.map { $0.filter { $0 != "`" } })
            string("\"family\":", lack.family.map { $0 == .v4 ? "ipv4" : "ipv6" })
            strings("\"instead\":", lack.effect.instead?.codes.map(\.rawValue) ?? [])
        }
    }

    // MARK: Members

    private func object(_ name: StaticString, _ body: () -> Void) {
        output.key(name)
        output.open()
        body()
        output.close()
    }

    private func list<Element>(_ name: StaticString, _ elements: [Element], _ body: (Element) -> Void) {
        guard !elements.isEmpty else { return }
        output.key(name)
        output.put("[")
        for element in elements {
            output.separate()
            output.open()
            body(element)
            output.close()
        }
        output.put("]")
    }

    private func strings(_ name: StaticString, _ texts: [String]) {
        guard !texts.isEmpty else { return }
        output.key(name)
        output.put("[")
        for text in texts {
            output.separate()
            output.jsonString(text)
        }
        output.put("]")
    }

    private func string(_ name: StaticString, _ text: String?) {
        guard let text, !text.isEmpty else { return }
        output.key(name)
        output.jsonString(text)
    }

    private func bool(_ name: String, _ value: Bool) {
        output.separate()
        output.jsonName(name)
        output.put(":")
        output.put(value ? "true" : "false")
    }
}
