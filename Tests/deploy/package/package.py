"""The Debian package: how it is built, and what it does to a machine."""

import filecmp
import os
import re
import subprocess
from pathlib import Path

import roots

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PAGE = ROOT / "docs" / "service.md"
MAKER = ROOT / "deploy" / "debian" / "make-package"
RECORDING = ROOT / "Tests" / "HandshakeTests" / "Recordings" / "article-ipv4-nft-6.18.ntrace"
NEXT = "9.9.9-1"
# Where dpkg, apt and systemd's helper keep their own books and logs; directories for the time of a run.
BOOKS = re.compile(r"/(var/lib/dpkg/|var/lib/apt/|var/cache/|var/log/|proc/|sys/|dev/|tmp/|run/|root/nattrace)")
INSTALLED = {
    "usr/bin/nattrace": 0o755,
    "lib/systemd/system/nattrace.service": 0o644,
    "etc/nattrace/nattrace.conf": 0o644,
    "usr/share/man/man1/nattrace.1.gz": 0o644,
    "usr/share/bash-completion/completions/nattrace": 0o644,
    "usr/share/zsh/vendor-completions/_nattrace": 0o644,
    "usr/share/fish/vendor_completions.d/nattrace.fish": 0o644,
    "usr/share/doc/nattrace/copyright": 0o644,
    "usr/share/doc/nattrace/changelog.Debian.gz": 0o644,
    "usr/share/doc/nattrace/README.md": 0o644,
    "usr/share/doc/nattrace/docs/service.md": 0o644,
    "usr/share/doc/nattrace/docs/nattrace.schema.json": 0o644,
}


def build(program, folder, *more):
    done = subprocess.run([MAKER, "--program", program, *more, folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-2000:])
    return Path(done.stdout.strip())


def test(test, program):
    with roots.layered("minbase") as root:
        work = root / "tmp" / "packages"
        work.mkdir()
        package = build(program, work / "one")
        again = build(program, work / "other")
        test.that("the package: the same bytes when it is built again",
                   filecmp.cmp(package, again, shallow=False), f"{package.name} differs")
        said = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", package],
                              capture_output=True, text=True)
        test.check("the package: lintian finds no error", said.returncode and said.stdout + said.stderr)
        refuses_other_versions(test, program, work)
        newer = next_version(program, work)
        with roots.kernel_visible(root):
            life(test, root, package, newer)


def refuses_other_versions(test, program, work):
    changelog = work / "changelog"
    changelog.write_text(entry(NEXT))
    done = subprocess.run([MAKER, "--program", program, "--changelog", changelog, work / "none"], capture_output=True,
                          text=True)
    test.that("the package: no other version than the program's",
               done.returncode == 1 and "needs a new entry" in done.stderr, f"{done.returncode} {done.stderr}")


def entry(version):
    return (f"nattrace ({version}) unstable; urgency=medium\n\n  * Made for a test.\n\n"
            " -- The nattrace authors <maintainers@nattrace.invalid>  Fri, 27 Nov 2026 00:00:00 +0000\n")


def next_version(program, work):
    """A package of a later program: the same file, which says another version."""
    later = work / "later"
    later.write_text('#!/bin/sh\n[ "$1" != --version ] || { echo 9.9.9; exit; }\n'
                     f'exec "{program}" "$@"\n')
    later.chmod(0o755)
    changelog = work / "changelog"
    changelog.write_text(entry(NEXT))
    return build(later, work / "next", "--changelog", changelog)


class Root:
    def __init__(self, root):
        self.root = root

    def run(self, *words):
        return subprocess.run(["chroot", self.root, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace",
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                                   "LC_ALL": "C.UTF-8"})

    def done(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise RuntimeError(f"`{' '.join(map(str, words))}` ended with {done.returncode}: "
                               + (done.stdout + done.stderr).strip()[-2000:])
        return done.stdout

    def files(self):
        found = set()
        for folder, directories, names in os.walk(self.root):
            for name in directories + names:
                path = "/" + os.path.relpath(os.path.join(folder, name), self.root)
                if not BOOKS.match(path + "/"):
                    found.add(path)
        return found

    def inside(self, path):
        return "/" + str(Path(path).relative_to(self.root))

    def version(self):
        return self.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "nattrace").stdout


def life(test, folder, package, newer):
    root = Root(folder)
    before = root.files()
    # With apt, as who downloads a file does; it asks nothing, and fetches nothing.
    root.done("apt-get", "install", "-y", "--no-install-recommends", root.inside(package))
    test.equal("the package: installed", root.version().split(" ")[0], "installed")
    modes = {path: (folder / path).stat().st_mode & 0o7777 for path in INSTALLED if (folder / path).exists()}
    test.equal("the package: files, where they belong", modes, INSTALLED)
    test.check("the package: the service is not enabled", *(folder / "etc/systemd").rglob("*nattrace*"))
    runs(test, root, folder)

    configuration = folder / "etc/nattrace/nattrace.conf"
    edited = configuration.read_text() + "\ndport = 4711\n"
    configuration.write_text(edited)
    state = folder / "var/lib/private/nattrace"
    state.mkdir(parents=True)
    (state / "last.ntrace").write_text("kept")
    root.done("apt-get", "install", "-y", "--no-install-recommends", root.inside(newer))
    test.equal("the package: upgraded", root.version(), f"installed {NEXT}")
    test.equal("the package: an upgrade keeps an edited configuration", configuration.read_text(), edited)

    root.done("apt-get", "remove", "-y", "nattrace")
    test.equal("the package: removed", root.version(), f"config-files {NEXT}")
    test.check("the package: removal takes the program", (folder / "usr/bin/nattrace").exists() and "still there")
    test.equal("the package: removal leaves the configuration",
               configuration.exists() and configuration.read_text(), edited)
    test.that("the package: removal leaves recordings", (state / "last.ntrace").exists(), "gone")
    root.done("apt-get", "purge", "-y", "nattrace")
    # The folder that systemd keeps for all services with such a user was made above.
    after = root.files() - {"/var/lib/private"}
    test.equal("the package: purged, nothing is left, and nothing is missing", sorted(after ^ before), [])


def runs(test, root, folder):
    recording = folder / "tmp" / RECORDING.name
    recording.write_bytes(RECORDING.read_bytes())
    said = root.run("nattrace", "--version")
    test.that("the package: the program says its version",
               re.match(r"(nattrace )?\d+\.\d+\.\d+$", said.stdout.split("\n")[0]), said.stdout + said.stderr)
    said = root.run("nattrace", "replay", root.inside(recording))
    test.that("the package: the program explains a recording",
               said.returncode == 0 and "listener_other_address" in said.stdout, said.stderr or said.stdout)
    said = root.run("nattrace", "doctor")
    test.that("the package: the program examines this kernel",
               said.returncode == 0 and "tracepoint" in said.stdout, said.stderr or said.stdout)
    said = root.run("nattrace", "--config", "/etc/nattrace/nattrace.conf", "--duration", "100ms", "--dport", "1")
    test.that("the package: the configuration is right", said.returncode == 0, said.stderr)
    examples(test, root, folder)


def block(beginning):
    """The block of the page that has a line which begins so."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    found, = [text for text in blocks if any(line.startswith(beginning) for line in text.splitlines())]
    return found


def examples(test, root, folder):
    (folder / "tmp/example.conf").write_text(block("# Filters may"))
    said = root.run("nattrace", "--config", "/tmp/example.conf", "--duration", "100ms")
    test.check("the page: its configuration is right",
               None if said.returncode == 0 and '"filter":"--dport 443 --dport 8000-8080 --failed"' in said.stdout
               else said.stdout[-300:] + said.stderr)
    configuration = folder / "etc/nattrace/nattrace.conf"
    right = configuration.read_text()
    configuration.write_text("#\n" * 8 + "dprt = 80\n")
    command, answer = block("$ nattrace --config").splitlines()
    said = root.run(*command.removeprefix("$ ").split())
    configuration.write_text(right)
    test.equal("the page: what is said of a mistake", [said.returncode, said.stderr], [64, answer + "\n"])
