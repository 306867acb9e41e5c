"""Starts, finds again and ends the supervisors that run attempts (supervise.py), by what they leave in a folder."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.local.batch.loop import has_ended
from infra.local.batch.plan import Plan
from shared.adapters.embedded.logs import log_path

_SUPERVISOR = str(Path(__file__).with_name("supervise.py"))
# Not the virtual environment's link: a supervisor imports nothing from it, and starts faster without looking.
_PYTHON = os.path.realpath(sys.executable)

_GONE_S = 1.0


@dataclass(frozen=True)
class Ended:
    """How a supervisor says that its attempt ended: an exit code as a shell or Batch gives it, and when."""

    exit_code: int
    at: datetime


class Runner:
    """`state_dir` holds `attempts/UID.TASK.LAUNCH/` while an attempt runs, and `logs/` for good."""

    def __init__(self, state_dir: Path, grace_s: float) -> None:
        self._state_dir = state_dir
        self._grace_s = grace_s
        self._supervisors = _Supervisors()

    def folder(self, uid: str, index: int, launch: int) -> Path:
        return self._state_dir / "attempts" / f"{uid}.{index}.{launch}"

    def launch(self, folder: Path, uid: str, index: int, plan: Plan) -> int:
        """The supervisor's process id, which is also its group's. Raises OSError if the host has no room for it."""
        (folder / "work").mkdir(parents=True, exist_ok=True)
        for path, text in plan.scripts.items():
            path.write_text(text)
            path.chmod(0o755)
        (folder / "plan").write_bytes(self._marshalled(plan, folder))
        log = log_path(self._state_dir, uid, index)
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._supervisors.begin(folder, log)
        except (EOFError, BrokenPipeError):  # killed, with our request or with its answer
            if (pid := self.find(folder)) is None:
                raise OSError(errno.EAGAIN, "the supervisors' parent has died") from None
            return pid

    def close(self) -> None:
        """Attempts live on."""
        self._supervisors.close()

    def _marshalled(self, plan: Plan, folder: Path) -> bytes:
        return marshal.dumps({
            "header": plan.header,
            "runnables": [(list(s.argv), dict(s.environment), s.ignore_failure, s.always) for s in plan.steps],
            "cwd": str(folder / "work"),
            "end_after": plan.end_after_s,
            "end_code": plan.end_code,
            "grace": self._grace_s,
        })  # fmt: skip

    def find(self, folder: Path) -> int | None:
        """The supervisor of an attempt that another life of this server started, if it still runs.

        One that was started but has not said so yet is kept from running: it finds `started` taken.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (folder / "started").open("x") as file:
                file.write(f"0 {time.time()}\n")
            return None
        except FileExistsError:
            pid = int((folder / "started").read_text().split()[0])
        return pid if pid and _works_in(pid, folder) else None

    def ended(self, folder: Path) -> Ended | None:
        """None if the supervisor was itself killed (or still runs)."""
        try:
            code, at = (folder / "ended").read_text().split()
        except FileNotFoundError:
            return None
        return Ended(int(code), datetime.fromtimestamp(float(at), UTC))

    def end(self, pid: int) -> None:
        """Asks a supervisor to end its attempt: SIGTERM to its whole group, SIGKILL after the grace."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill_group(self, pid: int) -> None:
        """For what a supervisor left behind that was killed itself."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, only a zombie is left
            os.killpg(pid, signal.SIGKILL)

    def kill_leftovers(self, uid: str, index: int) -> None:
        """Kills what still runs of a task whose supervisor was killed alone, so that it does not run twice. They are
        known by their environment, since the number of their group may be somebody else's by now."""
        marks = {f"BATCH_JOB_UID={uid}".encode(), f"BATCH_TASK_INDEX={index}".encode()}
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                if marks <= set(environment.read_bytes().split(b"\0")):
                    os.kill(int(environment.parent.name), signal.SIGKILL)

    def wait(self, pid: int) -> None:
        """For the end of a supervisor that was killed, which is a moment away."""
        give_up = time.monotonic() + _GONE_S
        while not has_ended(pid) and time.monotonic() < give_up:
            time.sleep(0.002)

    def forget(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def forget_job(self, uid: str) -> None:
        for folder in (self._state_dir / "attempts").glob(f"{uid}.*"):
            self.forget(folder)


class _Supervisors:
    """The process that supervisors are forked from; begun with the first one, and again when it was killed."""

    def __init__(self) -> None:
        self._parent: subprocess.Popen[bytes] | None = None

    def begin(self, folder: Path, log: Path) -> int:
        """The new process's id. Raises OSError, BrokenPipeError, EOFError."""
        if self._parent is None:
            self._parent = subprocess.Popen(
                [_PYTHON, "-I", "-S", _SUPERVISOR], env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0,
            )
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        try:
            self._parent.stdin.write(marshal.dumps((str(folder), str(log))))
            if not (answer := self._parent.stdout.readline()):
                raise EOFError
        except (BrokenPipeError, EOFError):
            self.close()
            raise
        if (pid := int(answer)) < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def close(self) -> None:
        if self._parent is not None:
            self._parent.communicate()
            self._parent = None


def _works_in(pid: int, folder: Path) -> bool:
    """A process id may have been given to somebody else meanwhile; an attempt's folder tells."""
    return f"{_working_folder(pid)}/".startswith(f"{folder.resolve()}/")


def _working_folder(pid: int) -> str:
    """Empty if there is no such process."""
    if Path("/proc/self").exists():
        try:
            return str(Path(f"/proc/{pid}/cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: somebody else's
            return ""
    command = ["lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return next((line[1:] for line in found.stdout.splitlines() if line.startswith("n")), "")
