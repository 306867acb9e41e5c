"""The engine: Google Batch through its own client, in the cloud and, over an insecure channel, on this machine.

Two pure conversions (what we ask -> batch_v1.Job, batch_v1.Job and Tasks -> what we saw) and three calls. The client's
own retries are off: whoever calls decides when to come again (a bus, a reconciler).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, GoogleAPICallError, NotFound, RetryError
from google.cloud import batch_v1
from google.cloud.batch_v1.services.batch_service.transports import BatchServiceGrpcTransport

from shared.domain import job as domain
from shared.domain.errors import EngineRefused, Unavailable
from shared.domain.job import JobSeen, JobSpec, JobState, StatusEvent, TaskSeen, TaskState

_GROUP = "group0"  # Batch's name of a job's only task group
_TASKS_A_PAGE = 1000
# These will be answered the same way however often they are asked (https://grpc.io/docs/guides/status-codes/).
_REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
)
_HAS_TASKS = frozenset(
    (JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
)  # before these there is nothing to see in them, and each look is a request of the region's quota


@dataclass(frozen=True)
class Network:
    """Where an installation's VMs stand: in these alone, and with no address outside. Full resource names."""

    network: str
    subnetwork: str


class BatchEngine:
    """The `Engine` port over `batch_v1.BatchServiceClient`. It never calls DeleteJob: that loses a job's history.

    No call waits longer than its deadline, since a function that waits blocks the events behind its own.
    """

    def __init__(
        self, client: batch_v1.BatchServiceClient, *, network: Network | None = None,
        read_deadline_s: float = 10.0, write_deadline_s: float = 20.0,
    ) -> None:
        self._client = client
        self._network = network
        self._read_s, self._write_s = read_deadline_s, write_deadline_s

    def start(self, spec: JobSpec) -> JobSeen:
        """CreateJob, with a request id made from the job's name, so that a repeat is known as one. That the job exists
        already is success. Raises EngineRefused, or Unavailable (the job may exist then: call again)."""
        request = batch_v1.CreateJobRequest(
            parent=spec.parent, job_id=spec.job_id, job=to_batch(spec, self._network),
            request_id=_request_id("create", spec.name),
        )
        try:
            job = self._client.create_job(request, retry=None, timeout=self._write_s)
        except AlreadyExists:
            return self.describe(spec.name)
        except (GoogleAPICallError, RetryError) as error:
            code = getattr(error, "grpc_status_code", None)
            if code in _REFUSALS:
                raise EngineRefused(code.name, str(error.message)) from error
            raise _unavailable("create", spec.name, error) from error
        return to_seen(job, (), name=spec.name)

    def describe(self, name: str) -> JobSeen:
        """GetJob, and ListTasks for a job that runs or has ended. A missing job is an answer. Raises Unavailable."""
        try:
            job = self._client.get_job(name=name, retry=None, timeout=self._read_s)
            tasks = self._tasks(name) if _job_state(batch_v1.Job.pb(job).status.state) in _HAS_TASKS else ()
        except NotFound:
            return JobSeen.missing(name)
        except (GoogleAPICallError, RetryError) as error:
            raise _unavailable("describe", name, error) from error
        return to_seen(job, tasks, name=name)

    def _tasks(self, name: str) -> Iterable[batch_v1.Task]:
        request = batch_v1.ListTasksRequest(parent=f"{name}/taskGroups/{_GROUP}", page_size=_TASKS_A_PAGE)
        return list(self._client.list_tasks(request, retry=None, timeout=self._read_s))

    def cancel(self, name: str) -> None:
        """CancelJob. Batch refuses it for a job that is final or is being cancelled already, and does not know one
        that is gone: neither is an error here, `describe` tells. Raises Unavailable."""
        request = batch_v1.CancelJobRequest(name=name, request_id=_request_id("cancel", name))
        try:
            self._client.cancel_job(request, retry=None, timeout=self._write_s)
        except (NotFound, FailedPrecondition):
            return
        except (GoogleAPICallError, RetryError) as error:
            raise _unavailable("cancel", name, error) from error


def local_client(address: str) -> batch_v1.BatchServiceClient:
    """The real client over an insecure channel to `HOST:PORT`, for the local Batch server."""
    channel = grpc.insecure_channel(address)
    return batch_v1.BatchServiceClient(transport=BatchServiceGrpcTransport(channel=channel))


def _request_id(verb: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"//batch.googleapis.com/{name}#{verb}"))


def _unavailable(verb: str, name: str, error: GoogleAPICallError | RetryError) -> Unavailable:
    return Unavailable(f"Batch could not {verb} {name}: {error}")


# -- what we ask --------------------------------------------------------------------------------------------------


def to_batch(spec: JobSpec, network: Network | None = None) -> batch_v1.Job:
    """The job that CreateJob is sent. Labels stand on the job (they reach its logs) and on its VMs (they reach the
    bill); a JobNotification watches either job or task states, hence two; the logs go to Cloud Logging."""
    return batch_v1.Job(
        task_groups=[
            batch_v1.TaskGroup(task_spec=_task_spec(spec), task_count=spec.task_count, parallelism=spec.parallelism)
        ],
        allocation_policy=_allocation(spec, network),
        labels=dict(spec.labels),
        logs_policy=batch_v1.LogsPolicy(destination=batch_v1.LogsPolicy.Destination.CLOUD_LOGGING),
        notifications=_notifications(spec),
    )


def _task_spec(spec: JobSpec) -> batch_v1.TaskSpec:
    return batch_v1.TaskSpec(
        runnables=[_runnable(runnable) for runnable in spec.runnables],
        compute_resource=batch_v1.ComputeResource(
            cpu_milli=spec.cpu_milli, memory_mib=spec.memory_mib, boot_disk_mib=spec.boot_disk_mib
        ),
        max_run_duration={"seconds": spec.max_run_seconds},
        max_retry_count=spec.max_retries,
        lifecycle_policies=_policies(spec),
        volumes=[batch_v1.Volume(gcs=batch_v1.GCS(remote_path=spec.bucket), mount_path=spec.mount_path)],
        environment=batch_v1.Environment(variables=dict(spec.environment)),
    )


def _runnable(runnable: domain.Runnable) -> batch_v1.Runnable:
    return batch_v1.Runnable(
        container=batch_v1.Runnable.Container(image_uri=runnable.image, commands=list(runnable.command)),
        environment=batch_v1.Environment(variables=dict(runnable.environment)),
    )


def _policies(spec: JobSpec) -> list[batch_v1.LifecyclePolicy]:
    """One that retries the named exit codes; all others then fail at once. Without one every failure is retried."""
    if not spec.retry_exit_codes:
        return []
    condition = batch_v1.LifecyclePolicy.ActionCondition(exit_codes=list(spec.retry_exit_codes))
    retry = batch_v1.LifecyclePolicy.Action.RETRY_TASK
    return [batch_v1.LifecyclePolicy(action=retry, action_condition=condition)]


def _allocation(spec: JobSpec, network: Network | None) -> batch_v1.AllocationPolicy:
    models = batch_v1.AllocationPolicy.ProvisioningModel
    policy = batch_v1.AllocationPolicy.InstancePolicy(
        machine_type=spec.machine_type, provisioning_model=models.SPOT if spec.spot else models.STANDARD
    )
    return batch_v1.AllocationPolicy(
        instances=[batch_v1.AllocationPolicy.InstancePolicyOrTemplate(policy=policy)],
        labels=dict(spec.labels),
        service_account=batch_v1.ServiceAccount(email=spec.service_account) if spec.service_account else None,
        network=_network(network) if network else None,
    )


def _network(network: Network) -> batch_v1.AllocationPolicy.NetworkPolicy:
    interface = batch_v1.AllocationPolicy.NetworkInterface(
        network=network.network, subnetwork=network.subnetwork, no_external_ip_address=True
    )
    return batch_v1.AllocationPolicy.NetworkPolicy(network_interfaces=[interface])


def _notifications(spec: JobSpec) -> list[batch_v1.JobNotification]:
    project = spec.parent.split("/")[1]
    topic = spec.notify_topic if "/" in spec.notify_topic else f"projects/{project}/topics/{spec.notify_topic}"
    of = batch_v1.JobNotification
    # A single task's other states are its job's. FAILED tells of a cancel: Batch announces no job's CANCELLED.
    of_tasks = {"new_task_state": batch_v1.TaskStatus.State.FAILED} if spec.task_count == 1 else {}
    return [
        of(pubsub_topic=topic, message=of.Message(type_=of.Type.JOB_STATE_CHANGED)),
        of(pubsub_topic=topic, message=of.Message(type_=of.Type.TASK_STATE_CHANGED, **of_tasks)),
    ]


# -- what we see --------------------------------------------------------------------------------------------------


def to_seen(job: batch_v1.Job, tasks: Iterable[batch_v1.Task], *, name: str) -> JobSeen:
    """`name` is what we asked for: Batch may answer with the project's number in the place of its id."""
    pb = batch_v1.Job.pb(job)
    return JobSeen(
        name=name,
        state=_job_state(pb.status.state),
        uid=job.uid,
        created_at=_time(pb.create_time) if pb.HasField("create_time") else None,
        updated_at=_time(pb.update_time) if pb.HasField("update_time") else None,
        events=tuple(_event(event) for event in pb.status.status_events),
        tasks=tuple(_task(task) for task in tasks),
        tasks_total=job.task_groups[0].task_count if job.task_groups else 1,
    )


def _job_state(number: int) -> JobState:
    """By name; a number that this version of the client does not know has none."""
    try:
        return JobState(batch_v1.JobStatus.State(number).name)
    except ValueError:
        return JobState.UNKNOWN


def _task(task: batch_v1.Task) -> TaskSeen:
    pb = batch_v1.Task.pb(task)
    events = tuple(_event(event) for event in pb.status.status_events)
    return TaskSeen(name=task.name, state=_task_state(pb.status.state), events=events)


def _task_state(number: int) -> TaskState:
    try:
        return TaskState(batch_v1.TaskStatus.State(number).name)
    except ValueError:
        return TaskState.UNKNOWN


def _event(event: Any) -> StatusEvent:
    """From the protobuf message, where a field that is not there can be told from one that is 0."""
    return StatusEvent(
        at=_time(event.event_time),
        description=event.description,
        kind=event.type_,
        task_state=_task_state(event.task_state) if event.task_state else None,
        exit_code=event.task_execution.exit_code if event.HasField("task_execution") else None,
    )


def _time(timestamp: Any) -> datetime:
    at: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return at
