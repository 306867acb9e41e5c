"""The emulators as child processes: they end with their owner, and what is missing is said."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from infra.local.emulators import EmulatorFailed, EmulatorMissing, free_port, pubsub_emulator, storage_server

OWNER = """
import pathlib, sys, time
from infra.local.emulators import storage_server
with storage_server(int(sys.argv[1]), pathlib.Path(sys.argv[2])) as address:
    print(address, flush=True)
    time.sleep(60)
"""


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_internal/healthcheck", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def test_a_server_ends_with_its_context(tmp_path: Path) -> None:
    with storage_server(free_port(), tmp_path) as address:
        assert answers(address)
    assert not answers(address)


def test_a_server_ends_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(free_port()), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    address = owner.stdout.readline().strip()
    assert answers(address)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    give_up = time.monotonic() + 60
    while answers(address):
        assert time.monotonic() < give_up, "it is an orphan"
        time.sleep(0.05)


def test_a_port_that_is_taken_is_not_taken_for_the_emulators_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmulatorFailed, match=f"port {port}"), storage_server(port, tmp_path):
            pass


def test_without_java_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmulatorMissing, match="apt-get install"), pubsub_emulator(free_port()):
        pass
