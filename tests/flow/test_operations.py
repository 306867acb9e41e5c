"""What one analysis costs in calls to Google, as `make count-ops` counts them on the emulators."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.local.emulators import EmulatorMissing
from tests.bench.ops import counting_stack

MOST_WRITES, MOST_READS, MOST_GET_JOB = 10, 12, 4


def test_a_life_costs_few_operations_lists_no_collection_and_writes_nothing_without_a_change(tmp_path: Path) -> None:
    """One and another: the first finds every function cold."""
    try:
        with counting_stack(tmp_path) as lives:
            for _ in range(2):
                ops = lives.live()
                assert 0 < ops.writes <= MOST_WRITES, ops
                assert 0 < ops.reads <= MOST_READS, ops
                assert 0 < ops.get_job <= MOST_GET_JOB, ops
                assert (ops.create_job, ops.unbounded, ops.unchanged) == (1, 0, 0), ops
    except EmulatorMissing as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
