"""The Batch server as a child of the stack's process: whichever of the two is killed, what is left is in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from google.api_core.exceptions import ServiceUnavailable

from infra.local.batch.child import batch_child
from shared.adapters.google.batch import local_client
from tests.contract.batch_stack import eventually

PARENT = "projects/local/locations/us-central1"
KILLED_PARENT = """
import os, signal, sys
from pathlib import Path
from infra.local.batch.child import batch_child
folder = Path(sys.argv[1])
with batch_child(state_dir=folder / "batch", buckets_dir=folder / "objects", port=0, take=print):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def servers(folder: Path) -> list[int]:
    """Process ids of the servers at work in a folder."""
    mark = str(folder / "batch").encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if b"infra.local.batch" in arguments and mark in arguments:
            found.append(int(file.parent.name))
    return found


def test_a_server_that_is_killed_is_begun_again_at_its_address(tmp_path: Path) -> None:
    with batch_child(
        state_dir=tmp_path / "batch", buckets_dir=tmp_path / "objects", port=0, take=lambda _: None
    ) as address:
        (first,) = servers(tmp_path)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: servers(tmp_path) not in ([], [first]))
        client = local_client(address)

        def answers() -> bool:
            try:
                return list(client.list_jobs(parent=PARENT)) == []
            except ServiceUnavailable:
                return False

        eventually(answers)
    assert servers(tmp_path) == []


def test_a_server_whose_stack_is_killed_dies_with_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_PARENT, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    eventually(lambda: servers(tmp_path) == [])
