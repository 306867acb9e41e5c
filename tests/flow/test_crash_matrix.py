"""The process is killed at every call that a function, an ingest or an order's build makes to a port, one at a time.

After a restart everything ends as if nothing had happened: one job, one document, no event lost, nothing half done.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.adapters.embedded.documents import SqliteDocuments
from shared.ports import Query
from shared.topology import topology
from tests.examples import whole_or
from tests.flow import crash_life

CHUNKS = 4
EACH = whole_or(1, 2)
"""Of the calls each one, or each second."""
AT_ONCE = 2
TRIES = 4
"""Functions run side by side, so that not every life takes every turn: the second read of a conflict, say."""

KILLED = -9
LOST = 255
"""The fork server could not say how its child ended (multiprocessing's own word); that life is lived again."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.flow.crash_life"])


def life(state_dir: Path, *, first: bool, silent: bool, kill_at: str | None = None, record: Path | None = None) -> int:
    """The exit code of one life of the stack."""
    process = FORKS.Process(
        target=crash_life.live, args=(state_dir,),
        kwargs={"first": first, "kill_at": kill_at, "record": record, "silent": silent},
    )
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def points_of(tmp_path: Path, *, silent: bool) -> list[str]:
    """Every call of an undisturbed life, in order."""
    record = tmp_path / "points.txt"
    assert life(tmp_path / "undisturbed", first=True, silent=silent, record=record) == 0
    return list(dict.fromkeys(record.read_text().splitlines()))


def kill_and_restart(folder: Path, point: str, *, silent: bool) -> str | None:
    """What is wrong afterwards, or None. A point that was not reached in several lives is said as such."""
    lives = (folder / f"try-{n}" for n in range(TRIES))
    killed = (there for there in lives if life(there, first=True, silent=silent, kill_at=point) == KILLED)
    if (state_dir := next(killed, None)) is None:
        return f"not reached: {point}"
    restarts = (life(state_dir, first=False, silent=silent) for _ in range(TRIES))
    if code := next((code for code in restarts if code != LOST), LOST):
        return f"{point}: not at rest after the restart (exit code {code})"
    faults = faults_of(state_dir)
    return f"{point}: {'; '.join(faults)}" if faults else None


def faults_of(state_dir: Path) -> list[str]:
    documents = SqliteDocuments(state_dir / "documents.db", topology().indexes, topology().lists)
    stored = documents.get(crash_life.DOCUMENT)
    assert stored is not None
    data = stored.data
    faults = []
    if [change["to"] for change in data["history"]] != ["queued", "running", "succeeded"]:
        faults.append(f"history {data['history']}")
    if (data["ingest"]["status"], data["ingest"]["rows"], data["unsent"]) != ("ready", 1, []):
        faults.append(f"ingest {data['ingest']}, unsent {data['unsent']}")
    for collection in ("*/rejections", "*/dead_letters"):
        if items := documents.query(Query(collection)).items:
            faults.append(f"{collection}: {[item.data for item in items]}")
    if len(documents.query(Query("*/analyses")).items) != 1:
        faults.append("more than one analysis")
    if (jobs := jobs_in(state_dir)) != 1:
        faults.append(f"{jobs} jobs")
    faults += faults_of_order(documents)
    consumed = list(dict.fromkeys((state_dir / "consumed.txt").read_text().splitlines()))
    for subject, kinds in ((crash_life.ANALYSIS, ("analysis.queued", "analysis.running", "analysis.succeeded",
                                                  "analysis.ingested")),
                           (crash_life.ORDER, ("order.created", "order.cached"))):
        received = [line for line in consumed if line.startswith(subject)]
        if received != [f"{subject}.{n} {kind}" for n, kind in enumerate(kinds, 1)]:
            faults.append(f"consumed {received}")
    return faults


def faults_of_order(documents: SqliteDocuments) -> list[str]:
    """One order, whose cache is built of the one analysis."""
    (order,) = documents.query(Query("*/orders")).items
    cache = order.data["cache"]
    if (cache["status"], cache["wanted_at"], cache["lease"], order.data["unsent"]) != ("ready", None, None, []):
        return [f"order {cache}, unsent {order.data['unsent']}"]
    built = cache["built"]
    return [] if (built["rows"], built["samples"]) == (1, ["S1"]) else [f"order {built}"]


def jobs_in(state_dir: Path) -> int:
    database = sqlite3.connect(state_dir / "batch" / "batch.db")
    found: int = database.execute("SELECT COUNT(*) FROM jobs").fetchone()[0]
    database.close()
    return found


def killed_everywhere(tmp_path: Path, points: list[str], *, silent: bool) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(
            lambda numbered: kill_and_restart(tmp_path / str(numbered[0]), numbered[1], silent=silent),
            enumerate(points),
        )
        return [fault for fault in results if fault]


def test_the_points_cover_every_function_and_what_each_does(tmp_path: Path) -> None:
    """Derived, not typed: whoever adds a port call adds a kill point."""
    points = points_of(tmp_path, silent=False)
    assert {point.split()[0] for point in points} >= {"submit", "track", "ingest", "work", "cache", "build"}
    for call in ("documents.commit", "bus.publish", "engine.start", "engine.describe", "objects.upload", "acknowledge"):
        assert any(point.split()[1] == call for point in points), call


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_killed_at_any_call_all_ends_as_if_nothing_had_happened(tmp_path: Path, chunk: int) -> None:
    points = points_of(tmp_path, silent=False)[chunk::CHUNKS][::EACH]
    faults = killed_everywhere(tmp_path, points, silent=False)
    unreached = [fault for fault in faults if fault.startswith("not reached")]
    assert [fault for fault in faults if fault not in unreached] == []
    assert len(unreached) <= len(points) // 5, unreached


def test_killed_at_any_call_of_the_reconciler_while_batch_sends_nothing(tmp_path: Path) -> None:
    """C12 under fire: without a single notification the reconciler does the tracking, and dies at each of its calls."""
    points = [point for point in points_of(tmp_path, silent=True) if point.startswith("reconcile ")][::EACH]
    faults = killed_everywhere(tmp_path, points, silent=True)
    assert [fault for fault in faults if not fault.startswith("not reached")] == []
