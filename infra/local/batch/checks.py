"""What Batch refuses when a job is created. Limits: https://cloud.google.com/batch/quotas and the messages' docs."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePosixPath

from google.cloud import batch_v1

from infra.local.batch.refusal import invalid

JOB_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_TOPIC = re.compile(r"projects/[^/]+/topics/[A-Za-z][\w.~+%-]{2,254}")
_RESERVED = ("goog-", "google-")
_MAX_LABELS, _MAX_BYTES, _MAX_TASKS, _MAX_PARALLEL, _MAX_RETRIES = 63, 1_000_000, 100_000, 5_000, 10
_MAX_RUN_S = 14 * 24 * 3600


def check_request_id(request_id: str) -> None:
    if not request_id:
        return
    try:
        value = uuid.UUID(request_id)
    except ValueError:
        raise invalid(f"request_id {request_id!r} is not a UUID") from None
    if value.int == 0:
        raise invalid("request_id must not be the zero UUID")


def check_job_id(job_id: str) -> None:
    if not JOB_ID.fullmatch(job_id):
        raise invalid(f"job_id {job_id!r} does not match the pattern ^{JOB_ID.pattern}$")


def check_job(job: batch_v1.Job) -> None:
    """Raises Refused with the first thing that is wrong, named by its field's path."""
    if len(batch_v1.Job.serialize(job)) > _MAX_BYTES:
        raise invalid(f"the job is larger than {_MAX_BYTES} bytes")
    if len(job.task_groups) != 1:
        raise invalid(f"job.task_groups must have exactly one entry, it has {len(job.task_groups)}")
    _between("job.priority", job.priority, 0, 99)
    _check_group(job.task_groups[0])
    _check_spec(job.task_groups[0].task_spec)
    _check_labels("job.labels", dict(job.labels))
    _check_labels("job.allocation_policy.labels", dict(job.allocation_policy.labels))
    for entry in job.notifications:
        _check_notification(entry)


def _between(field: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise invalid(f"{field} must be between {low} and {high}, it is {value}")


def _check_group(group: batch_v1.TaskGroup) -> None:
    path = "job.task_groups[0]"
    _between(f"{path}.task_count", group.task_count, 0, _MAX_TASKS)
    _between(f"{path}.parallelism", group.parallelism, 0, _MAX_PARALLEL)
    in_order = batch_v1.TaskGroup.SchedulingPolicy.IN_ORDER
    if group.scheduling_policy == in_order and group.parallelism > 1:
        raise invalid(f"{path}.parallelism must be 1 if scheduling_policy is IN_ORDER")


def _check_spec(spec: batch_v1.TaskSpec) -> None:
    path = "job.task_groups[0].task_spec"
    if not spec.runnables:
        raise invalid(f"{path}.runnables must have at least one entry")
    for number, runnable in enumerate(spec.runnables):
        _check_runnable(f"{path}.runnables[{number}]", runnable)
    _between(f"{path}.max_retry_count", spec.max_retry_count, 0, _MAX_RETRIES)
    seconds = batch_v1.TaskSpec.pb(spec).max_run_duration.ToNanoseconds() / 1e9
    _between(f"{path}.max_run_duration (in seconds)", seconds, 0, _MAX_RUN_S)
    for policy in spec.lifecycle_policies:
        if policy.action == batch_v1.LifecyclePolicy.Action.ACTION_UNSPECIFIED:
            raise invalid(f"{path}.lifecycle_policies: action is not specified")
    for number, volume in enumerate(spec.volumes):
        _check_volume(f"{path}.volumes[{number}]", volume)


def _check_runnable(path: str, runnable: batch_v1.Runnable) -> None:
    if runnable.barrier or runnable.background or runnable.timeout:
        raise invalid(f"{path}: the local Batch server has no barrier, background or timeout of a runnable")
    if runnable.container:
        if not runnable.container.image_uri:
            raise invalid(f"{path}.container.image_uri is required")
        if not (runnable.container.commands or runnable.container.entrypoint):
            raise invalid(f"{path}.container: without an image the local Batch server needs its commands")
    elif not (runnable.script.path or runnable.script.text):
        raise invalid(f"{path} must have a container or a script")


def _check_volume(path: str, volume: batch_v1.Volume) -> None:
    if not volume.gcs:
        raise invalid(f"{path}: the local Batch server mounts Cloud Storage buckets only")
    bucket, *rest = volume.gcs.remote_path.strip("/").split("/")
    if not _BUCKET.fullmatch(bucket) or ".." in rest:
        raise invalid(f"{path}.gcs.remote_path {volume.gcs.remote_path!r} is not a bucket or a folder in one")
    mount = PurePosixPath(volume.mount_path)
    if not mount.is_absolute() or ".." in mount.parts or len(mount.parts) < 2:
        raise invalid(f"{path}.mount_path {volume.mount_path!r} is not an absolute path")


def _check_labels(path: str, labels: dict[str, str]) -> None:
    if len(labels) > _MAX_LABELS:
        raise invalid(f"{path} has {len(labels)} entries, at most {_MAX_LABELS} are allowed")
    for key, value in labels.items():
        if key.startswith(_RESERVED):
            raise invalid(f"{path}: the prefix of {key!r} is reserved")
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"{path}: {key!r}={value!r} is not a label: lower-case letters, digits, _ and -, 63 at most")


def _check_notification(entry: batch_v1.JobNotification) -> None:
    if entry.pubsub_topic and not _TOPIC.fullmatch(entry.pubsub_topic):
        raise invalid(f"job.notifications: {entry.pubsub_topic!r} is not projects/PROJECT/topics/TOPIC")
    if entry.message.new_job_state and entry.message.new_task_state:
        raise invalid("job.notifications: a message watches either job states or task states, not both")
