"""The seven calls of BatchService, each with the answers and refusals that Batch gives."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime

import grpc
from google.cloud import batch_v1
from google.longrunning import operations_pb2  # type: ignore[import-untyped]
from google.protobuf import any_pb2

from infra.local.batch import names
from infra.local.batch.checks import check_job, check_job_id, check_request_id
from infra.local.batch.faults import Faults
from infra.local.batch.refusal import Refused, exists, invalid, missing, precondition
from infra.local.batch.scheduler import Scheduler
from infra.local.batch.states import CANCELLABLE, Change, JobChange, JobState, TaskState, move_job, stamp
from infra.local.batch.store import ORDERS, JobRow, Store, TaskRow

_PAGE = 100  # of items, where a request names none
_MAX_PAGE = 1000


class Service:
    """Called from gRPC's threads. Raises Refused."""

    def __init__(self, store: Store, scheduler: Scheduler, faults: Faults, clock: Callable[[], datetime]) -> None:
        self._store, self._scheduler, self._faults, self._clock = store, scheduler, faults, clock

    # -- CreateJob ------------------------------------------------------------------------------------------------

    def create_job(self, request: batch_v1.CreateJobRequest) -> batch_v1.Job:
        project, region = names.parse_parent(request.parent)
        name = names.JobName(project, region, request.job_id or f"j-{uuid.uuid4()}")
        self._spoil_create(name)
        check_job_id(name.job_id)
        check_request_id(request.request_id)
        check_job(request.job)
        job = self._store_new(name, request)
        if self._faults.spend(name.job_id, "create_then_unavailable"):
            raise Refused(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        return job

    def _spoil_create(self, name: names.JobName) -> None:
        self._be_slow(name)
        refusal = self._faults.of(name.job_id).refuse_create
        if refusal:
            raise Refused(grpc.StatusCode[refusal.code], refusal.text)

    def _be_slow(self, name: names.JobName) -> None:
        time.sleep(self._faults.of(name.job_id).answer_after_s)

    def _store_new(self, name: names.JobName, request: batch_v1.CreateJobRequest) -> batch_v1.Job:
        with self._scheduler.lock:
            there = self._store.job(str(name))
            if there is not None:
                if self._store.seen_request(request.request_id, "CreateJob", str(name)):
                    return there.job
                raise exists(str(name))
            now = self._clock()
            job = _completed(request.job, name, now)
            with self._store.transaction():
                self._store.add_job(job, now)
                self._store.note_request(request.request_id, "CreateJob", str(name))
        queued = JobChange(name, job.uid, JobState.STATE_UNSPECIFIED, JobState.QUEUED, now)
        self._scheduler.announce(job, queued)
        self._scheduler.admit(job.uid)
        return job

    # -- reading --------------------------------------------------------------------------------------------------

    def get_job(self, request: batch_v1.GetJobRequest) -> batch_v1.Job:
        name = names.parse_job(request.name)
        self._be_slow(name)
        with self._scheduler.lock:
            return self._shown(self._find(name))

    def list_jobs(self, request: batch_v1.ListJobsRequest) -> batch_v1.ListJobsResponse:
        names.parse_parent(request.parent)
        if request.filter:
            raise invalid("the local Batch server has no filter for jobs")
        if request.order_by not in ORDERS:
            raise invalid(f"order_by must be one of {', '.join(filter(None, ORDERS))}")
        size, offset = _page(request.page_size, request.page_token)
        with self._scheduler.lock:
            rows = self._store.list_jobs(request.parent, request.order_by, size + 1, offset)
        visible = [self._shown(row) for row in rows[:size] if not self._faults.of(row.name.job_id).lose]
        return batch_v1.ListJobsResponse(jobs=visible, next_page_token=_next(rows, size, offset))

    def get_task(self, request: batch_v1.GetTaskRequest) -> batch_v1.Task:
        name, index = names.parse_task(request.name)
        self._be_slow(name)
        with self._scheduler.lock:
            task = self._store.task(self._find(name).job.uid, index)
        if task is None:
            raise missing(request.name)
        return task.task

    def list_tasks(self, request: batch_v1.ListTasksRequest) -> batch_v1.ListTasksResponse:
        name = names.parse_group(request.parent)
        self._be_slow(name)
        state = _state_filter(request.filter)
        size, offset = _page(request.page_size, request.page_token)
        with self._scheduler.lock:
            rows = self._store.list_tasks(self._find(name).job.uid, state, size + 1, offset)
        return batch_v1.ListTasksResponse(
            tasks=[row.task for row in rows[:size]], next_page_token=_next(rows, size, offset)
        )

    def _find(self, name: names.JobName) -> JobRow:
        row = self._store.job(str(name))
        if row is None or self._faults.of(name.job_id).lose:
            raise missing(str(name))
        return row

    def _shown(self, row: JobRow) -> batch_v1.Job:
        row.count_run_time(self._clock())
        return row.job

    # -- ending ---------------------------------------------------------------------------------------------------

    def cancel_job(self, request: batch_v1.CancelJobRequest) -> operations_pb2.Operation:
        name = names.parse_job(request.name)
        check_request_id(request.request_id)
        self._be_slow(name)
        if self._faults.spend(name.job_id, "cancel_unavailable"):
            raise Refused(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        with self._scheduler.lock:
            row = self._find(name)
            repeated = self._store.seen_request(request.request_id, "CancelJob", row.job.name)
            if not repeated and row.state is not JobState.CANCELLED:
                if row.state not in CANCELLABLE:
                    raise precondition(f"job {name} cannot be cancelled, it is {row.state.name}")
                self._begin_end(row, JobState.CANCELLATION_IN_PROGRESS, request.request_id, "CancelJob")
        return self._operation("cancel", name)

    def delete_job(self, request: batch_v1.DeleteJobRequest) -> operations_pb2.Operation:
        name = names.parse_job(request.name)
        check_request_id(request.request_id)
        self._be_slow(name)
        with self._scheduler.lock:
            if not self._store.seen_request(request.request_id, "DeleteJob", str(name)):
                row = self._find(name)
                if row.state is JobState.DELETION_IN_PROGRESS:
                    raise precondition(f"job {name} is being deleted")
                self._begin_end(row, JobState.DELETION_IN_PROGRESS, request.request_id, "DeleteJob")
        return self._operation("delete", name)

    def _begin_end(self, row: JobRow, state: JobState, request_id: str, method: str) -> None:
        change: Change = move_job(row.job, state, self._clock())
        with self._store.transaction():
            self._store.save_job(row)
            self._store.note_request(request_id, method, row.job.name)
        self._scheduler.announce(row.job, change)
        self._scheduler.wind_down(row.job.uid)

    def get_operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        """Done when the job is in no state that the operation would still change."""
        parent, _, operation = request.name.partition("/operations/")
        verb, _, job_id = operation.removeprefix("operation-").partition("-")
        project, region = names.parse_parent(parent)
        return self._operation(verb, names.JobName(project, region, job_id))

    def _operation(self, verb: str, name: names.JobName) -> operations_pb2.Operation:
        with self._scheduler.lock:
            row = self._store.job(str(name))
        done = row is None or (verb == "cancel" and row.state is JobState.CANCELLED)
        metadata = batch_v1.OperationMetadata(target=str(name), verb=verb, api_version="v1")
        operation = operations_pb2.Operation(
            name=f"projects/{name.project}/locations/{name.region}/operations/operation-{verb}-{name.job_id}",
            metadata=_packed("OperationMetadata", batch_v1.OperationMetadata.serialize(metadata)),
            done=done,
        )
        if done:
            kind = "google.cloud.batch.v1.CancelJobResponse" if verb == "cancel" else "google.protobuf.Empty"
            operation.response.CopyFrom(any_pb2.Any(type_url=f"type.googleapis.com/{kind}"))
        return operation


def _packed(message: str, data: bytes) -> any_pb2.Any:
    return any_pb2.Any(type_url=f"type.googleapis.com/google.cloud.batch.v1.{message}", value=data)


def _completed(job: batch_v1.Job, name: names.JobName, now: datetime) -> batch_v1.Job:
    """What Batch itself fills in: output-only fields, and the defaults of what was left out."""
    group = job.task_groups[0]
    group.name = name.group
    group.task_count = len(group.task_environments) or group.task_count or 1
    in_order = group.scheduling_policy == batch_v1.TaskGroup.SchedulingPolicy.IN_ORDER
    group.parallelism = 1 if in_order else group.parallelism or group.task_count
    job.name, job.uid = str(name), names.new_uid(name.job_id)
    stamp(job, "create_time", now)
    stamp(job, "update_time", now)
    job.status = batch_v1.JobStatus(state=JobState.QUEUED)
    return job


def _state_filter(text: str) -> TaskState | None:
    """`State=RUNNING`, the only form that Batch documents."""
    if not text:
        return None
    key, _, value = text.partition("=")
    if key.strip() != "State" or value.strip() not in TaskState.__members__:
        raise invalid(f"filter {text!r} does not have the form State=STATE")
    return TaskState[value.strip()]


def _page(size: int, token: str) -> tuple[int, int]:
    if size < 0 or not (token == "" or token.isdecimal()):
        raise invalid("page_size or page_token is not valid")
    return min(size or _PAGE, _MAX_PAGE), int(token or 0)


def _next(rows: list[JobRow] | list[TaskRow], size: int, offset: int) -> str:
    return str(offset + size) if len(rows) > size else ""
