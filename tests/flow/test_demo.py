"""`make demo` and `make serve` as a newcomer starts them: a process of its own, on a folder and a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.adapters.embedded.documents import SqliteDocuments
from shared.ports import Query
from shared.topology import topology

LONGEST_S = 60


@contextmanager
def local_stack(command: str, state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m infra.local COMMAND` in a process group of its own, which is killed at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IFLOW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local", command], text=True, start_new_session=True,
        env={**environment, "IFLOW_STATE_DIR": str(state_dir), "IFLOW_PORT": "0"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    with process:
        try:
            yield process
        finally:
            kill_group(process)


def kill_group(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(probe: Callable[[], Any]) -> Any:
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not so within {LONGEST_S} s: {probe()!r}")


def the_analysis(state_dir: Path) -> Mapping[str, Any] | None:
    """As any process may read it: the one document in the folder's database."""
    if not (state_dir / "documents.db").is_file():
        return None
    documents = SqliteDocuments(state_dir / "documents.db", topology().indexes, topology().lists)
    found = documents.query(Query("projects/demo/analyses")).items
    return found[0].data if found else None


def test_the_demo_shows_a_run_from_the_event_to_ten_variants(tmp_path: Path) -> None:
    """Issue 3: exit code 0; status, ready, counts, and the ten variants that matter most."""
    with local_stack("demo", tmp_path / "state") as demo:
        printed, _ = demo.communicate(timeout=LONGEST_S)
    assert demo.returncode == 0, printed
    lines = printed.splitlines()
    assert re.search(r"^published analysis\.submit demo-\S+ to analysis-commands$", printed, re.M)
    told = [found.group(1) for line in lines if (found := re.match(r"  \d\d:\d\d:\d\d\.\d{3}  (\w+) ", line))]
    assert told == sorted(told), "queued, running, succeeded; one that lasted a moment may not have been seen"
    assert told[-1] == "succeeded"
    history = lines[lines.index("History") + 2 : lines.index("", lines.index("History"))]
    assert [line.split()[3] for line in history] == ["queued", "running", "succeeded"]
    assert re.search(r"^Status +succeeded$", printed, re.M)
    assert re.search(r"^Status +ready$", printed, re.M)
    assert re.search(r"^Cost +.* USD \(estimate\)$", printed, re.M)
    assert "60 of 60 variants" in lines
    heading = next(n for n, line in enumerate(lines) if line.startswith("CONTIG"))
    variants = lines[heading + 1 : heading + 11]
    assert all(re.match(r"demo\d +\d+ +[ACGT]+ +[ACGT]+ ", line) for line in variants)
    assert "The run found 60 of the 60 variants that were put into the reads," in lines
    assert "Traceback" not in printed


def test_killed_in_the_middle_of_the_demo_the_next_stack_brings_it_to_its_end(tmp_path: Path) -> None:
    """Issue 3: SIGKILL to the whole of it while the analysis runs, then `serve` on the same folder."""
    state = tmp_path / "state"
    with local_stack("demo", state) as demo:
        running = until(lambda: (found := the_analysis(state)) and found["status"] == "running" and found)
        kill_group(demo)
    assert demo.returncode == -signal.SIGKILL
    with local_stack("serve", state) as serve:
        ended = until(
            lambda: (found := the_analysis(state)) and found["ingest"]["status"] in ("ready", "failed") and found
        )
        until(lambda: the_analysis(state)["unsent"] == [])
        serve.send_signal(signal.SIGTERM)
        printed, _ = serve.communicate(timeout=LONGEST_S)
    assert serve.returncode == 0, printed
    assert (ended["id"], ended["status"], ended["ingest"]["status"]) == (running["id"], "succeeded", "ready")
    assert [change["to"] for change in ended["history"]] == ["queued", "running", "succeeded"]
    assert ended["ingest"]["rows"] == 60
    assert ended["job"]["uid"] == running["job"]["uid"]
    assert "Traceback" not in printed
