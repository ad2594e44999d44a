"""The image: built by buildah, without any engine, and without any other user's storage."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import package
import roots

ROOT = Path(__file__).resolve().parent.parent.parent.parent
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"
# The name that the Dockerfile begins with: a root of debootstrap has it here, so that no registry is asked.
BASE = "docker.io/library/debian:bookworm-slim"
IMAGE = "localhost/nattrace:test"


def test(test, program):
    # Copies of whole layers: not in memory.
    folder = Path(tempfile.mkdtemp(prefix="nattrace-image-", dir=roots.cached("minbase").parent))
    try:
        Image(test, program, folder).all()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Image:
    def __init__(self, test, program, folder):
        self.test, self.program, self.folder = test, program, folder

    def buildah(self, *words):
        done = subprocess.run(["buildah", "--root", self.folder / "storage", "--runroot", self.folder / "run",
                               "--storage-driver", "vfs", *map(str, words)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            raise RuntimeError(f"buildah {words[0]}: {(done.stderr or done.stdout).strip()[-1500:]}")
        return done.stdout

    def all(self):
        base = self.buildah("from", "scratch").strip()
        self.buildah("add", base, roots.cached("minbase"), "/")
        self.buildah("commit", "--rm", base, BASE)
        # As after `make dist`: the program and what lies beside it.
        context = self.folder / "context"
        context.mkdir()
        shutil.copy(self.program, context / "nattrace")
        self.buildah("build", "--pull-never", "--isolation", "chroot", "--network", "host", "-t", IMAGE,
                     "-f", DOCKERFILE, context)
        container = self.buildah("from", "--pull-never", IMAGE).strip()
        try:
            self.look(container)
        finally:
            self.buildah("rm", container)

    def look(self, container):
        entry = self.buildah("inspect", "--type", "image", "--format",
                             "{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.User}}", IMAGE).strip()
        self.test.equal("the image: what it runs", entry, "[/usr/bin/nattrace] [--json --failed]")
        told = self.run(container, "nattrace", "--version")
        here = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout
        self.test.equal("the image: the program runs in it", told, here)
        self.test.that("the image: nft is in it", "nftables" in self.run(container, "nft", "--version"), "it is not")
        self.buildah("copy", container, package.RECORDING, "/tmp/x.ntrace")
        told = self.run(container, "nattrace", "replay", "/tmp/x.ntrace")
        self.test.that("the image: the program explains a recording", "listener_other_address" in told, told)

    def run(self, container, *words):
        return self.buildah("run", "--isolation", "chroot", container, "--", *words)
