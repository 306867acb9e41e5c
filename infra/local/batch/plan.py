"""From a job's task specification to what a supervisor runs on this host: argument vectors, environment, folders."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.cloud import batch_v1

from infra.local.batch.states import OVER_TIME, PREEMPTED
from infra.local.batch.store import JobRow, TaskRow

_REPOSITORY = Path(__file__).resolve().parents[3]
_INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR")  # the rest of the server's environment is none of a task's business
Translate = Callable[[str], str]


@dataclass(frozen=True)
class Step:
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    ignore_failure: bool
    always: bool


@dataclass(frozen=True)
class Plan:
    """`end_after_s` (None: never) is when the attempt is ended with exit code `end_code`; `scripts` are files that
    have to be there, by path."""

    header: str
    steps: tuple[Step, ...]
    scripts: Mapping[Path, str]
    end_after_s: float | None
    end_code: int


def mounts(spec: batch_v1.TaskSpec, buckets_dir: Path) -> dict[str, Path]:
    """Mount path of each bucket volume -> the local folder that stands for it."""
    return {v.mount_path.rstrip("/"): buckets_dir / v.gcs.remote_path.strip("/") for v in spec.volumes if v.gcs}


def translator(folders: Mapping[str, Path]) -> Translate:
    """Replaces mount paths by folders, where they stand as whole leading parts of a path: `/mnt/a` in `--x=/mnt/a/b`
    and in `/mnt/a:/mnt/a/c`, but not in `/mnt/ab` or `/x/mnt/a`."""
    if not folders:
        return lambda text: text
    longest_first = sorted(folders, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")
    return lambda text: pattern.sub(lambda match: str(folders[match[0]]), text)


def make_plan(row: JobRow, task: TaskRow, folder: Path, buckets_dir: Path, preempt_after_s: float | None) -> Plan:
    """What this attempt of this task runs; its scripts are to lie in `folder`."""
    spec = row.group.task_spec
    local = translator(mounts(spec, buckets_dir))
    shared = _base() | _variables(row, task, local)
    steps, scripts = [], {}
    for number, runnable in enumerate(spec.runnables):
        argv, script = _command(runnable, folder / f"script-{number}", local)
        if script is not None:
            scripts[folder / f"script-{number}"] = script
        environment = shared | _translated(runnable.environment, local)
        steps.append(Step(argv, environment, runnable.ignore_exit_status, runnable.always_run))
    end_after_s, end_code = _time_limit(spec, preempt_after_s)
    return Plan(_header(spec, task), tuple(steps), scripts, end_after_s, end_code)


def _header(spec: batch_v1.TaskSpec, task: TaskRow) -> str:
    images = sorted({r.container.image_uri for r in spec.runnables if r.container})
    note = f"; no container engine is at hand, the commands of {', '.join(images)} run on this host"
    return f"---- local Batch server: task {task.index}, attempt {task.attempt}{note if images else ''}"


def _time_limit(spec: batch_v1.TaskSpec, preempt_after_s: float | None) -> tuple[float | None, int]:
    limit_s = batch_v1.TaskSpec.pb(spec).max_run_duration.ToNanoseconds() / 1e9 or None
    if preempt_after_s is not None and (limit_s is None or preempt_after_s < limit_s):
        return preempt_after_s, PREEMPTED
    return limit_s, OVER_TIME


def _command(runnable: batch_v1.Runnable, script: Path, local: Translate) -> tuple[tuple[str, ...], str | None]:
    """The argument vector, and the text of the script if there is one to write."""
    if runnable.container:
        container = runnable.container
        entry = [container.entrypoint] if container.entrypoint else []
        return tuple(local(part) for part in [*entry, *container.commands]), None
    if runnable.script.path:
        return (local(runnable.script.path),), None
    text = local(runnable.script.text)
    return ((str(script),) if text.startswith("#!") else ("/bin/sh", str(script))), text


def _base() -> dict[str, str]:
    """This interpreter's programs first, so that `python` has the project's packages, and the project's own modules."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return kept | {"PATH": programs, "PYTHONPATH": str(_REPOSITORY)}


def _variables(row: JobRow, task: TaskRow, local: Translate) -> dict[str, str]:
    """Those of the task group's entry for this task win over those of the task specification."""
    group = row.group
    own = group.task_environments[task.index] if group.task_environments else None
    return (
        _translated(group.task_spec.environment, local)
        | (_translated(own, local) if own else {})
        | {
            "BATCH_JOB_ID": row.name.job_id,
            "BATCH_JOB_UID": row.job.uid,
            "BATCH_TASK_COUNT": str(group.task_count),
            "BATCH_TASK_INDEX": str(task.index),
            "BATCH_TASK_RETRY_ATTEMPT": str(task.attempt),
        }
    )


def _translated(environment: batch_v1.Environment, local: Translate) -> dict[str, str]:
    return {name: local(value) for name, value in environment.variables.items()}
