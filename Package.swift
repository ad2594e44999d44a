// swift-tools-version: 6.1
// The rooms are explained in docs/design.md; `make` is the entry point, because it
// compiles the BPF object that CNattrace embeds before SwiftPM runs.
import PackageDescription

let package = Package(
    name: "nattrace",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibBPF", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev", "libelf-dev", "zlib1g-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CNattrace"),
        .target(name: "SystemSupport"),
        .target(name: "Privileges", dependencies: ["CNattrace", "SystemSupport"]),
        .target(name: "Handshake", dependencies: ["CNattrace"]),
        .target(name: "Rulesets", dependencies: ["Handshake"]),
        .target(
            name: "HostFacts", dependencies: ["Handshake", "Rulesets", "Privileges", "CNattrace", "SystemSupport"]),
        .target(
            name: "KernelTracer", dependencies: ["Handshake", "Privileges", "CNattrace", "CLibBPF", "SystemSupport"]),
        .target(
            name: "Metrics",
            dependencies: [
                "Handshake", "Privileges", "SystemSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        .target(name: "Examination", dependencies: ["Handshake", "Privileges"]),
        .target(
            name: "Output",
            dependencies: ["Handshake", "Examination", "Privileges", "CNattrace", "CZlib", "SystemSupport"]
        ),
        .target(name: "CReportPage"),
        .target(
            name: "Report", dependencies: ["Handshake", "Output", "CReportPage", "CZlib", "SystemSupport"],
            exclude: ["Page"]),
        .executableTarget(
            name: "nattrace",
            dependencies: [
                "Handshake", "Examination", "HostFacts", "KernelTracer", "Metrics", "Output", "Privileges", "Report",
                "Rulesets", "SystemSupport", "CNattrace",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(
            name: "ExaminationTests", dependencies: ["Examination", "Output", "Handshake", "Privileges"]),
        .testTarget(
            name: "HandshakeTests", dependencies: ["Handshake", "Output", "CNattrace"],
            exclude: ["Recordings"]),
        .testTarget(
            name: "HostFactsTests", dependencies: ["HostFacts", "Handshake", "Rulesets", "SystemSupport", "CNattrace"]),
        .testTarget(
            name: "KernelTracerTests",
            dependencies: ["KernelTracer", "Handshake", "Privileges", "SystemSupport", "CNattrace"]),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics", "Handshake"]),
        .testTarget(name: "nattraceTests", dependencies: ["nattrace", "Handshake"]),
        .testTarget(name: "OutputTests", dependencies: ["Output", "Handshake", "CNattrace"]),
        .testTarget(name: "PrivilegesTests", dependencies: ["Privileges", "CNattrace"]),
        .testTarget(
            name: "ReportTests", dependencies: ["Report", "Output", "Handshake", "CNattrace", "CZlib"]),
        .testTarget(name: "RulesetsTests", dependencies: ["Rulesets", "Handshake"], exclude: ["Fixtures"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu2x
)
