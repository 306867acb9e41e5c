"""Tasks outlive the local Batch server, however it ends; its next life goes on with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from infra.local.batch import Fault, Quota, write_faults
from infra.local.batch.scheduler import Scheduler
from shared.adapters.google.batch import local_client
from tests.contract.batch_stack import Restart, Stack, State, alive, eventually, running, times

UNTIL_GO = "echo $$ >> $OUT/pid.$BATCH_TASK_INDEX; until [ -e $OUT/go ]; do sleep 0.01; done; echo done"


@contextmanager
def killed_server(tmp: Path) -> Iterator[Stack]:
    """A server in a process of its own, which is killed at the end."""
    command = [sys.executable, "-m", "infra.local.batch", "--state-dir", str(tmp / "batch")]
    command += ["--buckets-dir", str(tmp / "buckets")]
    environment = {k: v for k, v in os.environ.items() if k != "PUBSUB_EMULATOR_HOST"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        client = local_client(address)
        try:
            yield Stack(client, address, tmp / "batch", tmp / "buckets" / "lab")
        finally:
            client.transport.close()  # type: ignore[no-untyped-call]
            process.send_signal(signal.SIGKILL)


def pids(stack: Stack, task: int) -> list[int]:
    return [int(line) for line in stack.file(f"pid.{task}").split()]


def take_down(pid: int, *, alone: bool = False) -> None:
    """Kills the supervisor of the task `pid`, and all of its group if not `alone`; returns when it is gone."""
    supervisor = os.getpgid(pid)
    if alone:
        os.kill(supervisor, signal.SIGKILL)
    else:
        os.killpg(supervisor, signal.SIGKILL)
    eventually(lambda: not alive(supervisor))


def test_a_stopped_server_finds_its_running_task_again(tmp_path: Path) -> None:
    with suppress(Restart), running(tmp_path) as stack:
        stack.shell("a-1", UNTIL_GO)
        (pid,) = pids(stack, 0)
        raise Restart
    assert alive(pid)
    with running(tmp_path) as stack:
        assert stack.get("a-1").status.state == State.RUNNING
        (stack.bucket / "go").touch()
        stack.until("a-1", State.SUCCEEDED)
        assert stack.notes_until("SUCCEEDED")
        assert pids(stack, 0) == [pid]
        assert stack.log("a-1").splitlines()[1:] == ["done"]


def test_a_killed_server_takes_the_ends_that_it_missed_at_their_times(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", f"{UNTIL_GO}; exit $BATCH_TASK_INDEX", task_count=2)
        both = pids(stack, 0) + pids(stack, 1)
    (stack.bucket / "go").touch()
    eventually(lambda: not any(map(alive, both)))
    attempts = tmp_path / "batch" / "attempts"
    eventually(lambda: len([*attempts.glob("*.0/ended")]) == 2)
    records = [next(attempts.glob(f"*.{i}.0/ended")) for i in (0, 1)]
    recorded = [float(record.read_text().split()[1]) for record in records]
    with running(tmp_path) as stack:
        job = stack.until("a-1", State.FAILED)
        seen = [times(task)[-1].timestamp() for task in stack.tasks("a-1")]
        assert seen == pytest.approx(recorded, abs=0.001)
        assert "with index 1 failed" in job.status.status_events[-1].description


def test_a_killed_server_finds_its_running_task_again(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", UNTIL_GO)
        (pid,) = pids(stack, 0)
    assert alive(pid)
    with running(tmp_path) as stack:
        (stack.bucket / "go").touch()
        stack.until("a-1", State.SUCCEEDED)
        assert pids(stack, 0) == [pid]


def test_a_task_that_went_down_with_the_machine_begins_anew_and_it_is_no_retry(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", f"echo attempt $BATCH_TASK_RETRY_ATTEMPT; {UNTIL_GO}")
        (first,) = pids(stack, 0)
    take_down(first)
    (stack.bucket / "go").touch()
    with running(tmp_path) as stack:
        stack.until("a-1", State.SUCCEEDED)
        (task,) = stack.tasks("a-1")
        assert len(task.status.status_events) == 3
        assert len(pids(stack, 0)) == 2
        assert [line for line in stack.log("a-1").splitlines() if line.startswith("attempt")] == ["attempt 0"] * 2


def test_what_a_lone_killed_supervisor_left_does_not_run_beside_the_new_attempt(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", UNTIL_GO)
        (first,) = pids(stack, 0)
    take_down(first, alone=True)
    assert alive(first)
    with running(tmp_path) as stack:
        second = eventually(lambda: len(found := pids(stack, 0)) == 2 and found[1])
        assert not alive(first) and alive(second)
        (stack.bucket / "go").touch()
        stack.until("a-1", State.SUCCEEDED)


def test_a_task_gets_signals_whatever_its_server_blocks_or_ignores(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell(
            "terminated", "trap 'echo asked > $OUT/asked; exit' TERM; touch $OUT/up; while :; do sleep 0.1; done"
        )
        stack.file_is_there("up")
        stack.cancel("terminated")
        assert stack.file("asked") == "asked\n"
        stack.until("terminated", State.CANCELLED)
        stack.shell("piped", "kill -PIPE $$; sleep 1")
        stack.until("piped", State.FAILED)
        assert stack.tasks("piped")[0].status.status_events[-1].task_execution.exit_code == 128 + signal.SIGPIPE


def test_a_supervisor_killed_under_a_living_server_is_a_lost_vm(tmp_path: Path) -> None:
    with running(tmp_path) as stack:
        stack.shell("a-1", UNTIL_GO)
        (pid,) = pids(stack, 0)
        take_down(pid, alone=True)
        stack.until("a-1", State.FAILED)
        assert stack.tasks("a-1")[0].status.status_events[-1].task_execution.exit_code == 50003
        eventually(lambda: not alive(pid))


def test_a_cancel_that_a_kill_interrupted_is_finished(tmp_path: Path) -> None:
    """C24"""
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", f"trap '' TERM; {UNTIL_GO}")
        (pid,) = pids(stack, 0)
        stack.cancel("a-1")
    with running(tmp_path) as stack:
        stack.until("a-1", State.CANCELLED)
        eventually(lambda: not alive(pid))


def test_a_cancel_of_a_task_that_went_down_with_the_machine_is_finished(tmp_path: Path) -> None:
    with killed_server(tmp_path) as stack:
        stack.shell("a-1", f"trap '' TERM; {UNTIL_GO}")
        (pid,) = pids(stack, 0)
        stack.cancel("a-1")
    take_down(pid)
    with running(tmp_path) as stack:
        assert stack.until("a-1", State.CANCELLED).uid
        assert pids(stack, 0) == [pid]


def test_jobs_that_wait_are_not_forgotten(tmp_path: Path) -> None:
    write_faults(tmp_path / "batch", Fault(jobs="queued", quota=Quota()))
    with suppress(Restart), running(tmp_path, slots=1) as stack:
        stack.shell("runs", UNTIL_GO)
        stack.until("runs", State.RUNNING)
        stack.submit("scheduled", "/bin/true")
        stack.submit("queued", "/bin/true")
        stack.until("scheduled", State.SCHEDULED)
        raise Restart
    write_faults(tmp_path / "batch")
    (stack.bucket / "go").touch()
    with running(tmp_path, slots=1) as stack:
        for job_id in ("runs", "scheduled", "queued"):
            stack.until(job_id, State.SUCCEEDED)


def test_a_stop_can_take_its_tasks_along(tmp_path: Path) -> None:
    with running(tmp_path) as stack:
        stack.shell("a-1", UNTIL_GO)
        (pid,) = pids(stack, 0)
    eventually(lambda: not alive(pid))


def test_ends_are_seen_without_pidfd_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with running(tmp_path) as stack:
        stack.submit("a-1", "/bin/true")
        stack.until("a-1", State.SUCCEEDED)


def test_an_end_that_was_seen_but_not_stored_is_seen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken, suppress(Restart), running(tmp_path) as stack:
        broken.setattr(Scheduler, "_task_ended", lambda *_: 1 / 0)
        stack.shell("a-1", "echo ran >> $OUT/ran")
        eventually(lambda: "ZeroDivisionError" in caplog.text)
        raise Restart
    with running(tmp_path) as stack:
        stack.until("a-1", State.SUCCEEDED)
        assert stack.file("ran") == "ran\n"


def test_no_command_runs_twice_wherever_the_server_is_killed(tmp_path: Path) -> None:
    jobs = [f"j-{i}" for i in range(30)]
    for part in range(3):
        with killed_server(tmp_path) as stack:
            for job_id in jobs[part * 10 : part * 10 + 10]:
                stack.shell(job_id, f"echo ran >> $OUT/{job_id}; sleep 0.0{part}")
    with running(tmp_path) as stack:
        for job_id in jobs:
            stack.until(job_id, State.SUCCEEDED)
        assert {stack.file(job_id) for job_id in jobs} == {"ran\n"}
