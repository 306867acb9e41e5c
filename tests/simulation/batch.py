"""A model of Google Batch over virtual time, as a port: what it promises, and the liberties that it was seen to take.

Sources: ../shared/PLATFORM.md "Google Batch"; sentences of status events as infra/local/batch/states.py has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from random import Random

from shared.domain.errors import EngineRefused
from shared.domain.job import JobSeen, JobSpec, JobState, StatusEvent, TaskSeen, TaskState
from shared.ports import Message, Objects
from tests.simulation.faults import Faults
from tests.simulation.schedule import Scheduler

BATCH_TOPIC = "batch-events"
MOST_REPEATS = 6
MOST_SKEW_S = 5.0
"""By which Batch's clock and ours may differ."""

PROJECT_NUMBER = "123456789"
FINAL = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
ENDING = (*FINAL, JobState.CANCELLATION_IN_PROGRESS)
QUOTA = "CODE_GCE_QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 0.0 in region us-central1."


class End(Enum):
    """What a job comes to if nobody cancels or deletes it."""

    SUCCEEDS = "succeeds"
    FAILS = "fails"
    FAILS_IN_QUEUE = "fails in queue"
    NO_OUTPUT = "succeeds without its required output"
    EMPTY_OUTPUT = "succeeds with an empty output"
    BAD_VCF = "succeeds with a VCF that cannot be ingested"
    REFUSED = "CreateJob is refused for ever"


@dataclass(frozen=True)
class Fate:
    """What Batch will do with the job of one analysis. Times in seconds; None: it does not happen."""

    end: End
    queue_s: float
    prepare_s: float
    run_s: float
    hidden_s: float
    quota_wait: bool
    tasks: int
    preemptions: int
    exit_code: int
    cancel_s: float
    outruns_cancel: bool
    deleted_after_s: float | None

    @classmethod
    def draw(cls, random: Random, tasks: int) -> Fate:
        rare = random.random
        return cls(
            end=random.choices([*End], weights=[60, 12, 5, 4, 4, 6, 5])[0],
            queue_s=random.uniform(0, 60), prepare_s=random.uniform(0, 30), run_s=random.uniform(0, 120),
            hidden_s=random.uniform(0, 240) if rare() < 0.2 else 0.0,
            quota_wait=rare() < 0.2, tasks=tasks, preemptions=random.choice((0, 0, 0, 1, 2)),
            exit_code=random.choice((1, 137, 50001, 50002, 50005)),
            cancel_s=random.uniform(0, 60), outruns_cancel=rare() < 0.2,
            deleted_after_s=random.uniform(0, 200) if rare() < 0.06 else None,
        )


@dataclass
class Job:
    """The truth about one job. `been` are all states that it was ever in; a deleted job keeps its last."""

    spec: JobSpec
    fate: Fate
    uid: str
    created_at: datetime
    visible_from_s: float
    state: JobState = JobState.QUEUED
    deleted: bool = False
    updated_at: datetime | None = None
    been: list[JobState] = field(default_factory=lambda: [JobState.QUEUED])
    events: list[StatusEvent] = field(default_factory=list)
    task_states: list[TaskState] = field(default_factory=list)
    task_events: list[list[StatusEvent]] = field(default_factory=list)

    @property
    def analysis(self) -> str:
        return self.spec.labels["iflow-analysis"]

    def entered_at(self, state: JobState) -> datetime | None:
        """When it first came into that state, by Batch's clock."""
        return next((event.at for event in self.events if f" to {state} for" in event.description), None)

    @property
    def over(self) -> bool:
        return self.deleted or self.state in FINAL


class BatchModel:
    """ports.Engine. `changed(job)` is told of every change of state, before any notification of it."""

    def __init__(
        self, scheduler: Scheduler, faults: Faults, fates: dict[str, Fate], objects: Objects,
        publish: Callable[[str, Message], object], changed: Callable[[Job], None],
    ) -> None:
        self._scheduler = scheduler
        self._random = scheduler.random
        self._faults = faults
        self._fates = fates
        self._objects = objects
        self._publish = publish
        self._changed = changed
        self.jobs: dict[str, Job] = {}
        self._skew = timedelta(seconds=self._random.uniform(-MOST_SKEW_S, MOST_SKEW_S))

    def fate_of(self, analysis_id: str) -> Fate:
        return self._fates[analysis_id]

    # -- the port -------------------------------------------------------------------------------------------------

    def start(self, spec: JobSpec) -> JobSeen:
        if (job := self.jobs.get(spec.name)) is not None:
            if job.deleted:  # the request id is known for an hour at least, and answered as the first time
                return JobSeen(spec.name, JobState.QUEUED, job.uid, job.created_at)
            shown = self._scheduler.now_s >= job.visible_from_s
            if shown and self._faults.happens(self._faults.weather.refuse_repeat):
                raise EngineRefused("PERMISSION_DENIED", "the caller lost the right to create jobs meanwhile")
            return self.describe(spec.name)  # ALREADY_EXISTS, as the real adapter answers it
        fate = self._fates[spec.labels["iflow-analysis"]]
        if fate.end is End.REFUSED:
            raise EngineRefused("INVALID_ARGUMENT", "field machine_type is invalid")
        now_s, now = self._scheduler.now_s, self._clock()
        job = Job(spec, fate, f"{spec.job_id[:20]}-{len(self.jobs)}", now, now_s + fate.hidden_s, updated_at=now)
        job.task_states = [TaskState.PENDING] * fate.tasks
        job.task_events = [[] for _ in range(fate.tasks)]
        self.jobs[spec.name] = job
        self._changed(job)
        self._live(job)
        return self._seen(job)

    def describe(self, name: str) -> JobSeen:
        job = self.jobs.get(name)
        if job is None or job.deleted or self._scheduler.now_s < job.visible_from_s:
            return JobSeen.missing(name)
        return self._seen(job)

    def cancel(self, name: str) -> None:
        job = self.jobs.get(name)
        if job is None or job.deleted or self._scheduler.now_s < job.visible_from_s or job.state in ENDING:
            return
        self._after(job, self._random.uniform(0, 5), lambda: self._move(job, JobState.CANCELLATION_IN_PROGRESS))
        self._after(job, 5 + job.fate.cancel_s, lambda: self._set(job, JobState.CANCELLED))

    def _clock(self) -> datetime:
        return self._scheduler.clock() + self._skew

    def _seen(self, job: Job) -> JobSeen:
        """Status events in no order, and the tasks only once there may be any."""
        events = self._random.sample(job.events, len(job.events))
        tasks = () if job.state in (JobState.QUEUED, JobState.SCHEDULED) else tuple(
            TaskSeen(
                f"{job.spec.name}/taskGroups/group0/tasks/{n}", job.task_states[n],
                tuple(self._random.sample(job.task_events[n], len(job.task_events[n]))),
            )
            for n in range(job.fate.tasks)
        )
        return JobSeen(
            job.spec.name, job.state, job.uid, job.created_at, job.updated_at, tuple(events), tasks, job.fate.tasks
        )

    # -- a job's life ---------------------------------------------------------------------------------------------

    def _live(self, job: Job) -> None:
        fate = job.fate
        if fate.quota_wait:
            self._after(job, fate.queue_s / 2, lambda: self._tell(job, QUOTA))
        if fate.deleted_after_s is not None:
            self._after(job, fate.deleted_after_s, lambda: self._delete(job))
        if fate.end is End.FAILS_IN_QUEUE:
            self._after(job, fate.queue_s, lambda: self._fail_in_queue(job))
            return
        running_s = fate.queue_s + fate.prepare_s
        self._after(job, fate.queue_s, lambda: self._move(job, JobState.SCHEDULED))
        self._after(job, running_s, lambda: self._run(job))
        for n in range(fate.preemptions):
            at_s = running_s + fate.run_s * (n + 1) / (fate.preemptions + 1)
            self._after(job, at_s, lambda: self._preempt(job))
        self._after(job, running_s + fate.run_s, lambda: self._end(job))

    def _after(self, job: Job, seconds: float, act: Callable[[], None]) -> None:
        self._scheduler.after(seconds, lambda: None if job.over else act())

    def _move(self, job: Job, state: JobState) -> None:
        if job.state not in ENDING:
            self._set(job, state)

    def _run(self, job: Job) -> None:
        if job.state in ENDING:
            return
        self._set(job, JobState.RUNNING)
        for n in range(job.fate.tasks):
            self._task(job, n, TaskState.RUNNING)

    def _preempt(self, job: Job) -> None:
        if job.state is JobState.RUNNING:
            self._task(job, 0, TaskState.FAILED, 50001)
            self._task(job, 0, TaskState.RUNNING)

    def _end(self, job: Job) -> None:
        if job.state in ENDING and not job.fate.outruns_cancel:
            return
        if JobState.RUNNING not in job.been:
            return  # cancelled before it ran
        fails = job.fate.end is End.FAILS
        if not fails:
            self._write_outputs(job)
        for n in range(job.fate.tasks):
            failed = fails and n == 0
            self._task(
                job, n, TaskState.FAILED if failed else TaskState.SUCCEEDED, job.fate.exit_code if failed else None
            )
        self._set(job, JobState.FAILED if fails else JobState.SUCCEEDED)

    def _fail_in_queue(self, job: Job) -> None:
        if job.state not in ENDING:
            self._tell(job, "CODE_GCE_INVALID_FIELD_VALUE: acceleratorTypes/x was not found")
            self._set(job, JobState.FAILED)

    def _delete(self, job: Job) -> None:
        self._scheduler.note(f"somebody deletes job {job.spec.job_id} in the console")
        job.deleted = True
        self._changed(job)

    def _write_outputs(self, job: Job) -> None:
        folder = job.spec.environment["IFLOW_OUTPUT_DIR"].removeprefix(job.spec.mount_path + "/")
        vcf = {End.EMPTY_OUTPUT: b"", End.BAD_VCF: b"not a VCF", End.NO_OUTPUT: None}
        data = vcf.get(job.fate.end, f"VCF of {job.analysis}".encode())
        if data is not None:
            self._objects.write(job.spec.bucket, f"{folder}/calls.vcf", data)
        self._objects.write(job.spec.bucket, f"{folder}/metrics.json", b'{"reads": 1}')

    # -- what it tells --------------------------------------------------------------------------------------------

    def _set(self, job: Job, state: JobState) -> None:
        previous, job.state = job.state, state
        self._tell(job, f"Job state is set from {previous} to {state} for job {job.spec.name}.")
        job.been.append(state)
        self._scheduler.note(f"job {job.spec.job_id} is {state}")
        self._changed(job)
        if state not in (JobState.CANCELLED, JobState.CANCELLATION_IN_PROGRESS):  # no such notifications in Batch
            self._notify(_job_note(job, previous, self._random))

    def _tell(self, job: Job, sentence: str) -> None:
        job.updated_at = self._clock()
        job.events.append(StatusEvent(job.updated_at, sentence, "STATUS_CHANGED"))

    def _task(self, job: Job, n: int, state: TaskState, exit_code: int | None = None) -> None:
        previous, job.task_states[n] = job.task_states[n], state
        sentence = f"Task state is updated from {previous} to {state} on zones/us-central1-a/instances/1"
        if exit_code is not None:
            sentence += f" due to task failure with exit code {exit_code}"
        job.task_events[n].append(StatusEvent(self._clock(), sentence, "STATUS_CHANGED", state, exit_code))
        self._notify(_task_note(job, n, state))

    def _notify(self, note: Message) -> None:
        """Lost, repeated, late and out of order, as notifications are."""
        faults, weather = self._faults, self._faults.weather
        if faults.happens(weather.lose_note):
            return
        for _ in range(self._random.randint(2, MOST_REPEATS) if faults.happens(weather.repeat_note) else 1):
            late_s = self._random.uniform(0, 300) if faults.happens(weather.delay_note) else self._random.random()
            self._scheduler.after(late_s, lambda: self._publish(BATCH_TOPIC, note))


def _public_name(job: Job) -> str:
    """Notifications name the project by its number."""
    return f"projects/{PROJECT_NUMBER}/{job.spec.name.split('/', 2)[2]}"


def _job_note(job: Job, previous: JobState, random: Random) -> Message:
    name, at = _public_name(job), job.updated_at
    text = (
        f"Job state was updated: jobName={name}, jobUID={job.uid}, previousState={previous}, "
        f"currentState={job.state}, timestamp={at:%Y-%m-%dT%H:%M:%S}+00:00"
    ).encode()
    attributes = {
        "JobName": name, "JobUID": job.uid, "NewJobState": str(job.state), "Region": "us-central1",
        "Type": "JOB_STATE_CHANGED",
    }
    shape = random.random()
    if shape < 0.1:
        return Message(text, {})
    if shape < 0.2:
        return Message(b"", attributes)
    return Message(text, attributes)


def _task_note(job: Job, n: int, state: TaskState) -> Message:
    return Message(b"Task state was updated.", {
        "JobUID": job.uid, "NewTaskState": str(state), "TaskName": f"{_public_name(job)}/taskGroups/group0/tasks/{n}",
        "TaskUID": f"{job.uid}-group0-{n}", "Region": "us-central1", "Type": "TASK_STATE_CHANGED",
    })


