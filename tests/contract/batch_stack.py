"""A local Batch server with the real client on it, and ways to wait for what it does."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.cloud import batch_v1

from infra.local.batch import BatchServer
from shared.adapters.embedded.logs import FileLogs
from shared.adapters.google.batch import local_client

PARENT = "projects/lab/locations/us-central1"
TOPIC = "projects/lab/topics/batch-events"
MOUNT = "/mnt/disks/lab"
WAIT_S = 60.0
State = batch_v1.JobStatus.State


@dataclass(frozen=True)
class Note:
    topic: str
    data: str
    attributes: dict[str, str]

    @property
    def state(self) -> str:
        return self.attributes.get("NewJobState") or self.attributes["NewTaskState"]

    @property
    def of_job(self) -> bool:
        return "NewJobState" in self.attributes


@dataclass
class Stack:
    """`bucket` is the local folder that stands for the jobs' bucket."""

    client: batch_v1.BatchServiceClient
    address: str
    state_dir: Path
    bucket: Path
    notes: queue.SimpleQueue[Note] = field(default_factory=queue.SimpleQueue)

    def submit(self, job_id: str, *command: str, **changes: Any) -> batch_v1.Job:
        return self.client.create_job(parent=PARENT, job_id=job_id, job=make_job(*command, **changes))

    def shell(self, job_id: str, script: str, **changes: Any) -> batch_v1.Job:
        return self.submit(job_id, "/bin/sh", "-c", script, **changes)

    def get(self, job_id: str) -> batch_v1.Job:
        return self.client.get_job(name=f"{PARENT}/jobs/{job_id}")

    def tasks(self, job_id: str) -> list[batch_v1.Task]:
        return list(self.client.list_tasks(parent=f"{PARENT}/jobs/{job_id}/taskGroups/group0"))

    def cancel(self, job_id: str) -> None:
        self.client.cancel_job(name=f"{PARENT}/jobs/{job_id}")

    def until(self, job_id: str, state: int) -> batch_v1.Job:
        job: batch_v1.Job = eventually(lambda: (job := self.get(job_id)).status.state == state and job)
        return job

    def note(self) -> Note:
        """The next notification."""
        return self.notes.get(timeout=WAIT_S)

    def notes_until(self, state: str) -> list[Note]:
        """Up to and with the job's notification of `state`."""
        found = [self.note()]
        while not (found[-1].of_job and found[-1].state == state):
            found.append(self.note())
        return found

    def log(self, job_id: str, task: int = 0) -> str:
        return FileLogs(self.state_dir).tail(self.get(job_id).uid, task, max_bytes=10**6)[0].decode()

    def file_is_there(self, name: str) -> None:
        eventually((self.bucket / name).exists)

    def file(self, name: str) -> str:
        """What a task has written into the bucket, as soon as there is something."""
        path = self.bucket / name
        text: str = eventually(lambda: path.exists() and path.read_text())
        return text


@contextmanager
def running(tmp: Path, **options: Any) -> Iterator[Stack]:
    """May be entered again on the same folder: the next life of the server."""
    notes: queue.SimpleQueue[Note] = queue.SimpleQueue()
    server = BatchServer(
        state_dir=tmp / "batch",
        buckets_dir=tmp / "buckets",
        publish=lambda topic, data, attributes: notes.put(Note(topic, data.decode(), attributes)),
        **{"grace_s": 0.3, **options},
    )
    address = server.start()
    client = local_client(address)
    end_tasks = True
    try:
        yield Stack(client, address, tmp / "batch", tmp / "buckets" / "lab", notes)
    except Restart:
        end_tasks = False
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]
        server.stop(end_tasks=end_tasks)


class Restart(Exception):
    """Raised inside `running` to stop the server and leave its tasks running."""


def make_job(*command: str, **changes: Any) -> batch_v1.Job:
    """A job of one container runnable. `changes` are fields of the task specification, the group or the job."""
    runnables = changes.pop("runnables", None) or [
        {"container": {"image_uri": "example.org/tool:1", "commands": list(command)}}
    ]
    spec_fields = ("max_retry_count", "max_run_duration", "lifecycle_policies", "environment", "volumes")
    spec = {key: changes.pop(key) for key in spec_fields if key in changes}
    group_fields = ("task_count", "parallelism", "scheduling_policy", "task_environments")
    group = {key: changes.pop(key) for key in group_fields if key in changes}
    volumes = [{"gcs": {"remote_path": "lab"}, "mount_path": MOUNT}]
    environment = {"variables": {"OUT": MOUNT}}
    kinds = batch_v1.JobNotification.Type
    return batch_v1.Job(
        {
            "task_groups": [
                {"task_spec": {"runnables": runnables, "volumes": volumes, "environment": environment} | spec} | group
            ],
            "notifications": [
                {"pubsub_topic": TOPIC, "message": {"type_": kind}}
                for kind in (kinds.JOB_STATE_CHANGED, kinds.TASK_STATE_CHANGED)
            ],
        }
        | changes
    )


def eventually(look: Callable[[], Any]) -> Any:
    """The first true answer, within WAIT_S."""
    give_up = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.005)
    return found


def alive(pid: int) -> bool:
    """A zombie, which waits for a parent to ask about it, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def describe(events: Any) -> list[str]:
    return [event.description for event in events]


def times(owner: batch_v1.Job | batch_v1.Task) -> list[datetime]:
    """Of its status events."""
    return [event.event_time.ToDatetime(tzinfo=UTC) for event in type(owner).pb(owner).status.status_events]


def run_seconds(job: batch_v1.Job) -> float:
    seconds: float = batch_v1.Job.pb(job).status.run_duration.ToTimedelta().total_seconds()
    return seconds
