"""The arithmetic of docs/deploy.md is that of the program in it, and its quotas that of topology.yaml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from shared.topology import topology

GUIDE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()


def test_the_costs_are_what_the_program_in_the_guide_prints() -> None:
    program, printed = _block("python"), _block("text")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == printed


def test_the_instances_that_quota_is_asked_for_are_those_of_topology() -> None:
    runs = [spec.run for spec in (*topology().subscriptions.values(), *topology().services.values()) if spec.run]
    assert f"(the sum of `max_instances` is {sum(run.max_instances for run in runs)} " in GUIDE
    track = topology().subscriptions["track"].run
    assert track is not None
    assert f"| {track.concurrency * track.max_instances} at once for `track` |" in GUIDE


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None
    return found[1]
