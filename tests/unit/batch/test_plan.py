"""Where mount paths become folders, and which failures are retried."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.cloud import batch_v1
from hypothesis import given
from hypothesis import strategies as st

from infra.local.batch.plan import mounts, translator
from infra.local.batch.states import should_retry

FOLDERS = {"/mnt/disks/lab": Path("/data/lab"), "/mnt/disks/lab/ref": Path("/data/ref/v1")}
Action = batch_v1.LifecyclePolicy.Action


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/mnt/disks/lab", "/data/lab"),
        ("/mnt/disks/lab/a.vcf", "/data/lab/a.vcf"),
        ("--in=/mnt/disks/lab/a.vcf", "--in=/data/lab/a.vcf"),
        ("/mnt/disks/lab/a:/mnt/disks/lab/b", "/data/lab/a:/data/lab/b"),
        ('{"in": "/mnt/disks/lab/a", "n": 1}', '{"in": "/data/lab/a", "n": 1}'),
        ("/mnt/disks/lab/ref/x", "/data/ref/v1/x"),
        ("/mnt/disks/laboratory/a", "/mnt/disks/laboratory/a"),
        ("/mnt/disks/lab-2", "/mnt/disks/lab-2"),
        ("/mnt/disks/lab.old/a", "/mnt/disks/lab.old/a"),
        ("/x/mnt/disks/lab/a", "/x/mnt/disks/lab/a"),
        ("mnt/disks/lab", "mnt/disks/lab"),
        ("", ""),
    ],
)
def test_a_mount_path_is_replaced_where_a_path_begins_with_it(text: str, local: str) -> None:
    assert translator(FOLDERS)(text) == local


@given(st.text())
def test_text_without_a_mount_path_stays_as_it_is(text: str) -> None:
    if "/mnt/disks/lab" not in text:
        assert translator(FOLDERS)(text) == text
    assert translator({})(text) == text


def test_a_volume_is_a_bucket_or_a_folder_in_one() -> None:
    spec = batch_v1.TaskSpec(
        volumes=[
            {"gcs": {"remote_path": "lab"}, "mount_path": "/mnt/disks/lab/"},
            {"gcs": {"remote_path": "refs/grch38/"}, "mount_path": "/mnt/disks/ref"},
        ]
    )
    assert mounts(spec, Path("/b")) == {"/mnt/disks/lab": Path("/b/lab"), "/mnt/disks/ref": Path("/b/refs/grch38")}


def spec(retries: int, *policies: tuple[int, list[int]]) -> batch_v1.TaskSpec:
    return batch_v1.TaskSpec(
        max_retry_count=retries,
        lifecycle_policies=[{"action": a, "action_condition": {"exit_codes": codes}} for a, codes in policies],
    )


def test_an_attempt_is_retried_as_long_as_there_are_retries() -> None:
    assert [should_retry(spec(2), 1, attempt) for attempt in range(4)] == [True, True, False, False]


def test_codes_that_no_policy_names_get_the_opposite_action() -> None:
    retry, fail = (Action.RETRY_TASK, [50001]), (Action.FAIL_TASK, [1])
    assert [should_retry(spec(1, retry), code, 0) for code in (50001, 1)] == [True, False]
    assert [should_retry(spec(1, fail), code, 0) for code in (50001, 1)] == [True, False]
    assert [should_retry(spec(1, fail, retry), code, 0) for code in (50001, 1, 2)] == [True, False, False]
