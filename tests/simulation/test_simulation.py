"""The whole system under every fault at once, seed by seed (DESIGN section 7): what it promises holds in all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.topology import topology
from tests.examples import whole_or
from tests.simulation.functions import HANDLERS
from tests.simulation.world import simulate

SEEDS = whole_or(2_000, 200)
CHUNK = 50
"""Seeds of one test: small enough that pytest-xdist spreads them over the cores."""
REPLAYED = whole_or(20, 8)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_in_seeds_from(first: int) -> None:
    broken = [
        f"seed {outcome.seed}: {outcome.broken} (python -m tests.simulation --trace {outcome.seed})"
        for outcome in map(simulate, range(first, first + CHUNK)) if outcome.broken
    ]
    assert not broken, "\n".join(broken)


def test_a_seed_replays_exactly() -> None:
    assert [simulate(seed).digest for seed in range(REPLAYED)] == [simulate(seed).digest for seed in range(REPLAYED)]


def test_a_seed_replays_exactly_in_another_process_that_hashes_otherwise() -> None:
    program = f"from tests.simulation.world import simulate; print([simulate(s).digest for s in range({REPLAYED})])"
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        assert there.stdout.strip() == str([simulate(seed).digest for seed in range(REPLAYED)])


def test_different_seeds_are_different_lives() -> None:
    assert len({simulate(seed).digest for seed in range(REPLAYED)}) == REPLAYED


def test_every_subscription_of_the_topology_has_its_handler_here() -> None:
    assert set(HANDLERS) == set(topology().subscriptions)
