"""The manifest: what can be known of it without a cluster."""

import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
MANIFEST = ROOT / "deploy" / "kubernetes" / "nattrace.yaml"
UNIT = ROOT / "deploy" / "systemd" / "nattrace.service"
TOOLS = ROOT / ".build" / "python"
# The schemas of the API's objects, of PyPI, with the first version that has all of the manifest's fields.
VALIDATOR, VERSION = "kubernetes-validate==1.37.0", "1.30"


def test(test, program):
    import yaml
    objects = [document for document in yaml.safe_load_all(MANIFEST.read_text()) if document]
    test.equal("the manifest: its objects", [item["kind"] for item in objects],
               ["Namespace", "ServiceAccount", "ConfigMap", "DaemonSet"])
    said = subprocess.run([validator(), "--strict", "--kubernetes-version", VERSION, MANIFEST], capture_output=True,
                          text=True)
    test.check(f"the manifest: as Kubernetes {VERSION} has it", said.returncode and said.stdout + said.stderr)
    refuses_other_fields(test)
    namespace, account, configuration, daemons = objects
    pod = daemons["spec"]["template"]["spec"]
    container, = pod["containers"]
    rights = container["securityContext"]
    test.equal("the manifest: the capabilities are those of the unit",
               {f"CAP_{name}" for name in rights["capabilities"]["add"]}, capabilities())
    test.equal("the manifest: nothing else is asked for",
               [rights["privileged"], rights["readOnlyRootFilesystem"], rights["capabilities"]["drop"]],
               [False, True, ["ALL"]])
    test.equal("the manifest: all is in one namespace, under one account",
               {item["metadata"].get("namespace", namespace["metadata"]["name"]) for item in objects},
               {pod["serviceAccountName"], account["metadata"]["name"]})
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    test.equal("the manifest: what is mounted is there", mounted, {volume["name"] for volume in pod["volumes"]})
    test.check("the manifest: nothing is mounted to be written",
               *[mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")])
    probe = container["livenessProbe"]["httpGet"]
    test.equal("the manifest: one thing is asked by both probes", container["startupProbe"]["httpGet"], probe)
    runs_as_asked(test, program, container["args"], configuration["data"], probe)


def runs_as_asked(test, program, arguments, files, probe):
    """The program itself judges arguments and configuration, and answers the probe; in a network of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        words = [word.replace("/etc/nattrace/", f"{folder}/") for word in arguments]
        running = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", program,
                                    *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            first = running.stdout.readline()
            answer = subprocess.run(
                ["nsenter", f"--target={running.pid}", "--net", "/usr/bin/python3", "-c",
                 "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).status)",
                 f"http://{probe['host']}:{probe['port']}{probe['path']}"], capture_output=True, text=True)
        finally:
            running.terminate()
            rest, errors = running.communicate(timeout=30)
    test.that("the manifest: the program takes its arguments and configuration",
               running.returncode == 0 and '"nattrace.start"' in first, errors)
    test.that("the manifest: the program answers the probe", answer.stdout.strip() == "200", answer.stderr[-500:])


def refuses_other_fields(test):
    """The check of the schema would notice a mistake."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as wrong:
        wrong.write(MANIFEST.read_text().replace("hostPID: true", "hostPid: true"))
        wrong.flush()
        said = subprocess.run([validator(), "--strict", "--kubernetes-version", VERSION, wrong.name],
                              capture_output=True)
    test.check("the manifest: a misspelt field would be noticed", said.returncode == 0 and "it was taken")


def capabilities():
    for line in UNIT.read_text().splitlines():
        if line.startswith("CapabilityBoundingSet="):
            return set(line.partition("=")[2].split())
    raise ValueError(f"{UNIT} bounds no capabilities")


def validator():
    """In a folder of this build: nothing is installed for others."""
    path = TOOLS / "bin" / "kubernetes-validate"
    if not path.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", TOOLS], check=True)
        done = subprocess.run([TOOLS / "bin" / "pip", "install", "--quiet", VALIDATOR], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pip cannot install {VALIDATOR}: {done.stderr.strip()[-500:]}")
    return path

