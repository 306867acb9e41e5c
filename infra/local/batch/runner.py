"""Starts, finds again and ends the supervisors that run attempts (supervise.py), by what they leave in a folder."""

from __future__ import annotations

import contextlib
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

from infra.local.batch.plan import Plan
from shared.adapters.embedded.logs import log_path

_SUPERVISOR = str(Path(__file__).with_name("supervise.py"))
# Not the virtual environment's link: a supervisor imports nothing from it, and starts faster without looking.
_PYTHON = os.path.realpath(sys.executable)


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
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            _PYTHON,
            [_PYTHON, "-I", "-S", _SUPERVISOR, str(folder)],
            {"PATH": os.environ.get("PATH", os.defpath)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),  # a server may block what is to end its tasks
        )

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
        return pid if pid and _command_line(pid).endswith(str(folder)) else None

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

    def reap(self, pid: int, *, wait: bool = False) -> None:
        """Takes the exit status of a supervisor that has ended, if it was this process's child."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0 if wait else os.WNOHANG)

    def forget(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def forget_job(self, uid: str) -> None:
        for folder in (self._state_dir / "attempts").glob(f"{uid}.*"):
            self.forget(folder)


def _command_line(pid: int) -> str:
    """Empty if there is no such process. A process id may have been given to somebody else meanwhile; the last
    argument, an attempt's folder, tells."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.rstrip()
