"""What we ask of Batch and what we see of it, without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from google.cloud import batch_v1

from shared.adapters.google.batch import Network, to_batch, to_seen
from shared.domain.job import JobSpec, JobState, Runnable, StatusEvent, TaskState

SPEC = JobSpec(
    parent="projects/lab/locations/europe-west1",
    job_id="a-1",
    runnables=(
        Runnable("example.org/align:1", ("align", "--in", "/mnt/disks/lab/a b.bam"), {"THREADS": "4"}),
        Runnable("example.org/call:2", ("call",)),
    ),
    environment={"ANALYSIS": "1"},
    bucket="lab-bucket",
    mount_path="/mnt/disks/lab",
    machine_type="n2-standard-4",
    cpu_milli=4000,
    memory_mib=15000,
    boot_disk_mib=51200,
    spot=True,
    task_count=3,
    parallelism=2,
    max_retries=2,
    retry_exit_codes=(50001, 50002),
    max_run_seconds=7200,
    labels={"analysis": "1", "project": "lab", "pipeline": "germline-calls"},
    notify_topic="batch-events",
    service_account="runner@lab.iam.gserviceaccount.com",
)
NAME = SPEC.name


def test_the_whole_request() -> None:
    assert to_batch(SPEC) == batch_v1.Job(
        task_groups=[
            {
                "task_count": 3,
                "parallelism": 2,
                "task_spec": {
                    "runnables": [
                        {
                            "container": {
                                "image_uri": "example.org/align:1",
                                "commands": ["align", "--in", "/mnt/disks/lab/a b.bam"],
                            },
                            "environment": {"variables": {"THREADS": "4"}},
                        },
                        {
                            "container": {"image_uri": "example.org/call:2", "commands": ["call"]},
                            "environment": {},
                        },
                    ],
                    "compute_resource": {"cpu_milli": 4000, "memory_mib": 15000, "boot_disk_mib": 51200},
                    "max_run_duration": {"seconds": 7200},
                    "max_retry_count": 2,
                    "lifecycle_policies": [
                        {"action": "RETRY_TASK", "action_condition": {"exit_codes": [50001, 50002]}}
                    ],
                    "volumes": [{"gcs": {"remote_path": "lab-bucket"}, "mount_path": "/mnt/disks/lab"}],
                    "environment": {"variables": {"ANALYSIS": "1"}},
                },
            }
        ],
        allocation_policy={
            "instances": [{"policy": {"machine_type": "n2-standard-4", "provisioning_model": "SPOT"}}],
            "labels": dict(SPEC.labels),
            "service_account": {"email": "runner@lab.iam.gserviceaccount.com"},
        },
        labels=dict(SPEC.labels),
        logs_policy={"destination": "CLOUD_LOGGING"},
        notifications=[
            {"pubsub_topic": "projects/lab/topics/batch-events", "message": {"type_": kind}}
            for kind in ("JOB_STATE_CHANGED", "TASK_STATE_CHANGED")
        ],
    )


def test_labels_stand_where_they_reach_the_bill() -> None:
    """C29"""
    job = to_batch(SPEC)
    assert dict(job.allocation_policy.labels) == dict(job.labels) == SPEC.labels


def test_without_spot_codes_account_or_short_topic() -> None:
    topic = "projects/other/topics/batch-events"
    job = to_batch(replace(SPEC, spot=False, retry_exit_codes=(), service_account=None, notify_topic=topic))
    models = batch_v1.AllocationPolicy.ProvisioningModel
    assert job.allocation_policy.instances[0].policy.provisioning_model == models.STANDARD
    assert "service_account" not in job.allocation_policy
    assert not job.task_groups[0].task_spec.lifecycle_policies
    assert {entry.pubsub_topic for entry in job.notifications} == {topic}


def test_what_getjob_and_listtasks_said() -> None:
    """The shapes of C09 and C15: an exit code is there or not, times are UTC, the name is the one we asked for."""
    number = "projects/123456789012/locations/europe-west1/jobs/a-1"
    at = datetime(2024, 5, 1, 23, 21, 14, 250000, tzinfo=UTC)
    event = {"type_": "STATUS_CHANGED", "description": "d", "event_time": at}
    job = batch_v1.Job(
        name=number,
        uid="a-1-u",
        create_time=at,
        task_groups=[{"task_count": 3}],
        status={"state": "RUNNING", "status_events": [event]},
    )
    task = batch_v1.Task(
        name=f"{number}/taskGroups/group0/tasks/2",
        status={
            "state": "SUCCEEDED",
            "status_events": [
                {**event, "task_state": "FAILED", "task_execution": {"exit_code": 50001}},
                {**event, "task_state": "FAILED", "task_execution": {}},
                {**event, "task_state": "SUCCEEDED"},
            ],
        },
    )
    seen = to_seen(job, [task], name=NAME)
    assert (seen.name, seen.uid, seen.state, seen.tasks_total) == (NAME, "a-1-u", JobState.RUNNING, 3)
    assert (seen.created_at, seen.updated_at) == (at, None)
    assert type(seen.created_at) is datetime
    assert seen.events == (StatusEvent(at=at, description="d", kind="STATUS_CHANGED"),)
    assert (seen.tasks[0].index, seen.tasks[0].state) == (2, TaskState.SUCCEEDED)
    assert [(e.task_state, e.exit_code) for e in seen.tasks[0].events] == [
        (TaskState.FAILED, 50001), (TaskState.FAILED, 0), (TaskState.SUCCEEDED, None)
    ]  # fmt: skip


@pytest.mark.parametrize("state", batch_v1.JobStatus.State)
def test_every_job_state_has_our_name(state: batch_v1.JobStatus.State) -> None:
    job = batch_v1.Job(status={"state": state})
    assert to_seen(job, (), name=NAME).state.value == state.name


def test_a_state_that_this_client_does_not_know_is_unknown() -> None:
    job = batch_v1.Job(status={"state": 99})
    task = batch_v1.Task(name="x/tasks/0", status={"state": 99, "status_events": [{"task_state": 98}]})
    seen = to_seen(job, [task], name=NAME)
    assert (seen.state, seen.tasks[0].state) == (JobState.UNKNOWN, TaskState.UNKNOWN)
    assert seen.tasks[0].events[0].task_state is TaskState.UNKNOWN


def test_the_vms_of_an_installation_with_a_network_have_no_address_outside() -> None:
    job = to_batch(SPEC, Network("projects/p/global/networks/batch", "projects/p/regions/r/subnetworks/batch"))
    (interface,) = job.allocation_policy.network.network_interfaces
    assert (interface.network, interface.no_external_ip_address) == ("projects/p/global/networks/batch", True)
    assert interface.subnetwork.endswith("/subnetworks/batch")
    assert not to_batch(SPEC).allocation_policy.network.network_interfaces


def test_of_a_single_task_only_what_its_job_does_not_tell_is_announced() -> None:
    job_states, task_states = (e.message for e in to_batch(replace(SPEC, task_count=1, parallelism=1)).notifications)
    assert (job_states.type_.name, job_states.new_job_state.name) == ("JOB_STATE_CHANGED", "STATE_UNSPECIFIED")
    assert (task_states.type_.name, task_states.new_task_state.name) == ("TASK_STATE_CHANGED", "FAILED")
