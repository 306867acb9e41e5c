"""The local Batch server through Google's own client: calls, states, tasks, notifications."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import batch_v1

from infra.local.batch import BatchServer, Fault, Quota, write_faults
from tests.contract.batch_stack import (
    MOUNT,
    PARENT,
    TOPIC,
    Stack,
    State,
    alive,
    describe,
    eventually,
    make_job,
    run_seconds,
    running,
    times,
)

TaskState = batch_v1.TaskStatus.State
Action = batch_v1.LifecyclePolicy.Action


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path, slots=8) as stack:
        yield stack


# -- a job's life -------------------------------------------------------------------------------------------------


def test_create_answers_with_what_batch_fills_in(stack: Stack) -> None:
    job = stack.submit("a-1", "/bin/true", labels={"team": "lab"})
    assert (job.name, job.status.state) == (f"{PARENT}/jobs/a-1", State.QUEUED)
    assert job.uid.startswith("a-1-") and job.create_time == job.update_time
    assert dict(job.labels) == {"team": "lab"}
    assert (job.task_groups[0].task_count, job.task_groups[0].parallelism) == (1, 1)


def test_a_job_runs_to_its_end_with_batchs_events(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    job = stack.until("a-1", State.SUCCEEDED)
    number = job.task_groups[0].name.split("/")[1]
    assert number.isdigit() and len(number) == 12
    assert describe(job.status.status_events) == [
        f"Job state is set from {a} to {b} for job projects/{number}/locations/us-central1/jobs/a-1."
        for a, b in (("QUEUED", "SCHEDULED"), ("SCHEDULED", "RUNNING"), ("RUNNING", "SUCCEEDED"))
    ]
    assert {event.type_ for event in job.status.status_events} == {"STATUS_CHANGED"}
    assert dict(job.status.task_groups["group0"].counts) == {"SUCCEEDED": 1}
    _, began, ended = times(job)
    assert run_seconds(job) == pytest.approx((ended - began).total_seconds(), abs=1e-5)


def test_a_task_tells_its_zone_and_no_exit_code_of_its_success(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    stack.until("a-1", State.SUCCEEDED)
    (task,) = stack.tasks("a-1")
    vm = task.status.status_events[0].description.split(" on ")[1]
    assert vm.startswith("zones/us-central1-a/instances/")
    assert describe(task.status.status_events) == [
        f"Task state is updated from {a} to {b} on {vm}"
        for a, b in (("PENDING", "ASSIGNED"), ("ASSIGNED", "RUNNING"), ("RUNNING", "SUCCEEDED"))
    ]
    assert not any("task_execution" in event for event in task.status.status_events)
    assert task == stack.client.get_task(name=f"{PARENT}/jobs/a-1/taskGroups/group0/tasks/0")


def test_notifications_come_in_order_and_skip_states_that_passed_at_once(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    notes = stack.notes_until("SUCCEEDED")
    assert [(note.of_job, note.state) for note in notes] == [
        (True, "QUEUED"), (True, "SCHEDULED"), (False, "RUNNING"), (True, "RUNNING"),
        (False, "SUCCEEDED"), (True, "SUCCEEDED"),
    ]  # fmt: skip
    assert {note.topic for note in notes} == {TOPIC}


def test_a_job_can_ask_for_one_state_only(stack: Stack) -> None:
    wish = {"pubsub_topic": TOPIC, "message": {"new_job_state": State.SUCCEEDED}}
    stack.submit("a-1", "/bin/true", notifications=[wish])
    assert stack.note().state == "SUCCEEDED"


# -- calls --------------------------------------------------------------------------------------------------------


def test_a_repeated_id_exists_already_but_a_repeated_request_is_answered(stack: Stack) -> None:
    request = batch_v1.CreateJobRequest(
        parent=PARENT, job_id="a-1", job=make_job("/bin/true"), request_id="c2c4c6a6-0000-4000-8000-000000000001"
    )
    first = stack.client.create_job(request)
    assert stack.client.create_job(request).uid == first.uid
    with pytest.raises(exceptions.AlreadyExists, match="a-1 already exists"):
        stack.submit("a-1", "/bin/true")


@pytest.mark.parametrize("job_id", ["1a", "A", "a-", "a_b", "a" * 64])
def test_a_job_id_has_batchs_pattern(stack: Stack, job_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="does not match the pattern"):
        stack.submit(job_id, "/bin/true")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": {"goog-x": "y"}}, "reserved"),
        ({"labels": {"Team": "lab"}}, "not a label"),
        ({"labels": {f"k{i}": "v" for i in range(64)}}, "at most 63"),
        ({"allocation_policy": {"labels": {"google-x": "y"}}}, "allocation_policy.labels"),
        ({"max_retry_count": 11}, "max_retry_count must be between 0 and 10"),
        ({"max_run_duration": "1209601s"}, "max_run_duration"),
        ({"task_count": 100_001}, "task_count"),
        ({"priority": 100}, "priority"),
        ({"runnables": [{"display_name": "nothing"}]}, "container or a script"),
        ({"runnables": [{"barrier": {"name": "b"}}]}, "barrier"),
        ({"runnables": [{"container": {"commands": ["x"]}}]}, "image_uri is required"),
        ({"volumes": [{"gcs": {"remote_path": "lab/../x"}, "mount_path": "/mnt/x"}]}, "remote_path"),
        ({"volumes": [{"gcs": {"remote_path": "lab"}, "mount_path": "mnt"}]}, "mount_path"),
        ({"notifications": [{"pubsub_topic": "events"}]}, "projects/PROJECT/topics/TOPIC"),
        ({"environment": {"variables": {"X": "x" * 1_000_001}}}, "larger than"),
        ({"task_groups": []}, "exactly one entry"),
    ],
)
def test_what_batch_would_refuse_is_refused_with_the_field(
    stack: Stack, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=sentence):
        stack.submit("a-1", "/bin/true", **changes)
    assert list(stack.client.list_jobs(parent=PARENT)) == []


@pytest.mark.parametrize("request_id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_a_request_id_is_a_uuid_and_not_zero(stack: Stack, request_id: str) -> None:
    request = batch_v1.CreateJobRequest(parent=PARENT, job_id="a-1", job=make_job("/bin/true"), request_id=request_id)
    with pytest.raises(exceptions.InvalidArgument, match="UUID"):
        stack.client.create_job(request)


def test_what_is_not_there_is_not_found(stack: Stack) -> None:
    name = f"{PARENT}/jobs/nothing"
    for call in (
        lambda: stack.client.get_job(name=name),
        lambda: stack.client.cancel_job(name=name),
        lambda: stack.client.delete_job(name=name),
        lambda: stack.client.list_tasks(parent=f"{name}/taskGroups/group0"),
        lambda: stack.client.get_task(name=f"{name}/taskGroups/group0/tasks/0"),
    ):
        with pytest.raises(exceptions.NotFound, match="nothing"):
            call()
    with pytest.raises(exceptions.InvalidArgument, match="does not have the form"):
        stack.client.get_job(name="jobs/nothing")


def test_a_job_is_found_by_project_number_too(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    numbered = stack.get("a-1").task_groups[0].name.removesuffix("/taskGroups/group0")
    assert stack.client.get_job(name=numbered).name == f"{PARENT}/jobs/a-1"


def test_jobs_are_listed_in_pages_and_in_order(stack: Stack) -> None:
    for job_id in ("b", "a", "c"):
        stack.submit(job_id, "/bin/true")

    def ids(order: str) -> list[str]:
        request = batch_v1.ListJobsRequest(parent=PARENT, page_size=2, order_by=order)
        return [job.name.rsplit("/", 1)[1] for job in stack.client.list_jobs(request)]

    assert (ids("name"), ids("name desc")) == (["a", "b", "c"], ["c", "b", "a"])
    assert (ids("create_time"), ids("create_time desc")) == (["b", "a", "c"], ["c", "a", "b"])
    assert list(stack.client.list_jobs(parent="projects/other/locations/us-central1")) == []


def test_tasks_are_listed_in_pages_and_by_state(stack: Stack) -> None:
    stack.shell("a-1", "exit $BATCH_TASK_INDEX", task_count=5, parallelism=5)
    stack.until("a-1", State.FAILED)
    group = f"{PARENT}/jobs/a-1/taskGroups/group0"

    def indices(**options: str | int) -> list[str]:
        request = batch_v1.ListTasksRequest(parent=group, page_size=2, **options)
        return [task.name.rsplit("/", 1)[1] for task in stack.client.list_tasks(request)]

    assert indices() == ["0", "1", "2", "3", "4"]
    assert indices(filter="State=SUCCEEDED") == ["0"]
    with pytest.raises(exceptions.InvalidArgument, match="State=STATE"):
        indices(filter="name=0")


# -- failures and retries -----------------------------------------------------------------------------------------


def test_a_failed_task_fails_the_job_and_leaves_the_rest_unexecuted(stack: Stack) -> None:
    stack.shell("a-1", "exit 7", task_count=2, parallelism=1)
    job = stack.until("a-1", State.FAILED)
    failed, rest = stack.tasks("a-1")
    assert rest.status.state == TaskState.UNEXECUTED
    event = failed.status.status_events[-1]
    assert event.task_execution.exit_code == 7
    assert event.description.endswith(" with exit code 7.")
    assert job.status.status_events[-1].description.endswith(
        "Job failed due to task failure. Specifically, task with index 0 failed due to the following task event: "
        f'"{event.description}"'
    )


@pytest.mark.parametrize(
    ("policies", "attempts"),
    [
        ([], 3),
        ([{"action": Action.RETRY_TASK, "action_condition": {"exit_codes": [7, 9]}}], 3),
        ([{"action": Action.RETRY_TASK, "action_condition": {"exit_codes": [9]}}], 1),
        ([{"action": Action.FAIL_TASK, "action_condition": {"exit_codes": [7]}}], 1),
        ([{"action": Action.FAIL_TASK, "action_condition": {"exit_codes": [9]}}], 3),
    ],
)
def test_policies_decide_which_failures_are_retried(stack: Stack, policies: list[Any], attempts: int) -> None:
    script = "echo $BATCH_TASK_RETRY_ATTEMPT >> $OUT/attempts; exit 7"
    stack.shell("a-1", script, max_retry_count=2, lifecycle_policies=policies)
    stack.until("a-1", State.FAILED)
    assert stack.file("attempts").split() == [str(i) for i in range(attempts)]
    assert [line.split(";")[0] for line in stack.log("a-1").splitlines()] == [
        f"---- local Batch server: task 0, attempt {i}" for i in range(attempts)
    ]


def test_a_task_over_its_time_ends_with_50005_and_leaves_no_process(stack: Stack) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! > $OUT/pid; while :; do sleep 60; done"
    stack.shell("a-1", script, max_run_duration="0.2s")
    pid = int(stack.file("pid"))
    stack.until("a-1", State.FAILED)
    event = stack.tasks("a-1")[0].status.status_events[-1]
    assert event.task_execution.exit_code == 50005
    assert event.description.endswith(" due to task runs over the maximum runtime with exit code 50005.")
    eventually(lambda: not alive(pid))


def test_a_command_that_is_not_there_is_127_and_a_killed_one_128_and_the_signal(stack: Stack) -> None:
    stack.submit("a-1", "no-such-program")
    stack.shell("a-2", "kill -9 $$")
    for job_id, code in (("a-1", 127), ("a-2", 137)):
        stack.until(job_id, State.FAILED)
        assert stack.tasks(job_id)[0].status.status_events[-1].task_execution.exit_code == code
    assert "no-such-program" in stack.log("a-1")


def test_nothing_that_a_task_left_in_the_background_outlives_it(stack: Stack) -> None:
    stack.shell("a-1", "sleep 60 & echo $! > $OUT/pid")
    stack.until("a-1", State.SUCCEEDED)
    pid = int(stack.file("pid"))
    eventually(lambda: not alive(pid))


# -- what a task is given -----------------------------------------------------------------------------------------


def test_the_bucket_stands_where_the_mount_path_is_said(stack: Stack) -> None:
    stack.submit("a-1", "/bin/sh", "-c", 'echo "$1 $OUT" > "$1/said"', "sh", f"{MOUNT}")
    stack.until("a-1", State.SUCCEEDED)
    assert stack.file("said") == f"{stack.bucket} {stack.bucket}\n"


def test_environment_comes_from_group_task_and_runnable_and_from_batch(stack: Stack) -> None:
    show = "echo $WHO $BATCH_TASK_INDEX $BATCH_TASK_COUNT $BATCH_TASK_RETRY_ATTEMPT $BATCH_JOB_ID $BATCH_JOB_UID"
    container = {"image_uri": "example.org/tool:1", "commands": ["/bin/sh", "-c", show]}
    job = stack.submit(
        "a-1",
        runnables=[
            {"container": container},
            {"container": container, "environment": {"variables": {"WHO": "runnable"}}},
        ],
        environment={"variables": {"WHO": "task"}},
        task_environments=[{"variables": {"WHO": "group"}}, {}],
        parallelism=1,
    )
    stack.until("a-1", State.SUCCEEDED)
    said = [line for task in (0, 1) for line in stack.log("a-1", task).splitlines()[1:]]
    assert said == [
        f"{who} {index} 2 0 a-1 {job.uid}"
        for who, index in (("group", 0), ("runnable", 0), ("task", 1), ("runnable", 1))
    ]


def test_python_is_this_one_and_finds_the_project(stack: Stack) -> None:
    stack.submit("a-1", "python", "-c", "import sys, shared, pysam; print(sys.executable)")
    stack.until("a-1", State.SUCCEEDED)
    assert stack.log("a-1").splitlines()[-1] == sys.executable


def test_the_log_says_first_that_no_container_runs(stack: Stack) -> None:
    stack.shell("a-1", "echo out; echo err >&2")
    stack.until("a-1", State.SUCCEEDED)
    first, *rest = stack.log("a-1").splitlines()
    assert first.endswith("no container engine is at hand, the commands of example.org/tool:1 run on this host")
    assert rest == ["out", "err"]


def test_scripts_and_entry_points_run_and_a_failure_skips_all_but_what_always_runs(stack: Stack) -> None:
    stack.submit(
        "a-1",
        runnables=[
            {"script": {"text": "echo plain; exit 3"}, "ignore_exit_status": True},
            {"script": {"text": f"#!{sys.executable}\nprint('python')"}},
            {"container": {"image_uri": "i", "entrypoint": "/bin/sh", "commands": ["-c", "echo entry; exit 4"]}},
            {"script": {"text": "echo skipped"}},
            {"script": {"text": "echo always"}, "always_run": True},
        ],
    )
    stack.until("a-1", State.FAILED)
    assert stack.log("a-1").splitlines()[1:] == ["plain", "python", "entry", "always"]
    assert stack.tasks("a-1")[0].status.status_events[-1].task_execution.exit_code == 4


def test_no_more_tasks_run_at_once_than_the_parallelism(stack: Stack) -> None:
    stack.shell("a-1", "until [ -e $OUT/go ]; do sleep 0.01; done", task_count=5, parallelism=2)

    def counts() -> dict[str, int]:
        groups = stack.get("a-1").status.task_groups  # empty until the job is scheduled
        return dict(groups["group0"].counts) if "group0" in groups else {}

    eventually(lambda: counts() == {"RUNNING": 2, "PENDING": 3})
    (stack.bucket / "go").touch()
    stack.until("a-1", State.SUCCEEDED)
    assert counts() == {"SUCCEEDED": 5}


def test_no_more_tasks_run_at_once_than_the_host_has_slots(tmp_path: Path) -> None:
    with running(tmp_path, slots=1) as stack:
        stack.shell("first", "until [ -e $OUT/go ]; do sleep 0.01; done")
        stack.until("first", State.RUNNING)
        stack.submit("low", "/bin/true")
        stack.submit("high", "/bin/true", priority=9)
        stack.until("high", State.SCHEDULED)
        (stack.bucket / "go").touch()
        stack.until("low", State.SUCCEEDED)
        began = {i: times(stack.get(i))[1] for i in ("first", "high", "low")}
        assert began["first"] < began["high"] < began["low"]


# -- cancel and delete --------------------------------------------------------------------------------------------


def test_a_cancelled_job_keeps_its_history_and_log_and_leaves_no_process(stack: Stack) -> None:
    """C24"""
    stack.shell(
        "a-1", "echo half; (trap '' TERM; sleep 60) & echo $! > $OUT/pid; sleep 60", task_count=2, parallelism=1
    )
    pid = int(stack.file("pid"))
    stack.cancel("a-1")
    job = stack.until("a-1", State.CANCELLED)
    assert [line.split(" for job ")[0] for line in describe(job.status.status_events)[-2:]] == [
        "Job state is set from RUNNING to CANCELLATION_IN_PROGRESS",
        "Job state is set from CANCELLATION_IN_PROGRESS to CANCELLED",
    ]
    assert [task.status.state for task in stack.tasks("a-1")] == [TaskState.FAILED, TaskState.UNEXECUTED]
    assert run_seconds(job) > 0
    assert stack.log("a-1").splitlines()[1] == "half"
    eventually(lambda: not alive(pid))


def test_cancel_of_a_queued_job_never_runs_it(stack: Stack) -> None:
    """C25"""
    write_faults(stack.state_dir, Fault(quota=Quota()))
    stack.submit("a-1", "/bin/true")
    stack.cancel("a-1")
    job = stack.until("a-1", State.CANCELLED)
    assert not any("RUNNING" in line for line in describe(job.status.status_events))
    assert stack.tasks("a-1") == [] and run_seconds(job) == 0


def test_cancel_is_refused_while_it_goes_on_and_accepted_after(stack: Stack) -> None:
    stack.shell("a-1", "trap '' TERM; touch $OUT/up; while :; do sleep 1; done")
    stack.file_is_there("up")
    request = batch_v1.CancelJobRequest(name=f"{PARENT}/jobs/a-1", request_id="c2c4c6a6-0000-4000-8000-000000000002")
    operation = stack.client.cancel_job(request)
    assert not operation.operation.done and operation.metadata.target == request.name
    assert stack.get("a-1").status.state == State.CANCELLATION_IN_PROGRESS
    with pytest.raises(exceptions.FailedPrecondition, match="CANCELLATION_IN_PROGRESS"):
        stack.cancel("a-1")
    stack.client.cancel_job(request)  # the same request again
    stack.until("a-1", State.CANCELLED)
    stack.cancel("a-1")
    assert isinstance(operation.result(timeout=60), batch_v1.CancelJobResponse)  # type: ignore[no-untyped-call]


def test_cancel_of_an_ended_job_is_refused(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    stack.until("a-1", State.SUCCEEDED)
    with pytest.raises(exceptions.FailedPrecondition, match="it is SUCCEEDED"):
        stack.cancel("a-1")


@pytest.mark.parametrize("script", ["true", "touch $OUT/up; sleep 60"])
def test_a_deleted_job_is_gone(stack: Stack, script: str) -> None:
    stack.shell("a-1", script)
    stack.until("a-1", State.SUCCEEDED if script == "true" else State.RUNNING)
    stack.client.delete_job(name=f"{PARENT}/jobs/a-1")

    def gone() -> bool:
        try:
            return stack.get("a-1").status.state != State.DELETION_IN_PROGRESS and False
        except exceptions.NotFound:
            return True

    eventually(gone)


def test_two_servers_do_not_share_a_folder(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="another Batch server"):
        BatchServer(state_dir=stack.state_dir, buckets_dir=tmp_path, publish=lambda *_: None)
