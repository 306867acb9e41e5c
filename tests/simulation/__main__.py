"""`python -m tests.simulation --seeds FIRST-LAST`, or `--trace SEED` for every step of one."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool, cpu_count

from tests.simulation.world import Outcome, simulate

SHOWN_FAILURES = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", metavar="FIRST-LAST", help="both ends included; one number means that seed")
    what.add_argument("--trace", metavar="SEED", type=int, help="print every step of one seed")
    parser.add_argument("--processes", type=int, default=cpu_count())
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what handlers log of the faults made here
    if arguments.trace is not None:
        return show(simulate(arguments.trace))
    first, _, last = arguments.seeds.partition("-")
    return run(range(int(first), int(last or first) + 1), arguments.processes)


def show(outcome: Outcome) -> int:
    for at_s, actor, what in outcome.trace:
        sys.stdout.write(f"{at_s:10.3f}  {actor:40} {what}\n")
    sys.stdout.write(f"seed {outcome.seed}: {outcome.broken or 'holds'}; digest {outcome.digest}\n")
    return 1 if outcome.broken else 0


def run(seeds: range, processes: int) -> int:
    began, failures = time.monotonic(), 0
    for done, (seed, broken) in enumerate(_outcomes(seeds, processes), start=1):
        if broken:
            failures += 1
            if failures <= SHOWN_FAILURES:
                sys.stdout.write(f"seed {seed}: {broken}   (--trace {seed} shows each step)\n")
        if done % 200 == 0 or done == len(seeds):
            passed_s = time.monotonic() - began
            sys.stdout.write(
                f"{done}/{len(seeds)} seeds, {failures} broken, {passed_s:.1f} s, {done / passed_s:.1f} seeds/s\n"
            )
            sys.stdout.flush()
    return 1 if failures else 0


def _outcomes(seeds: range, processes: int) -> Iterator[tuple[int, str | None]]:
    if processes == 1 or len(seeds) == 1:
        yield from map(_one, seeds)
        return
    with Pool(processes) as pool:
        yield from pool.imap_unordered(_one, seeds, chunksize=10)


def _one(seed: int) -> tuple[int, str | None]:
    broken = simulate(seed).broken
    return seed, None if broken is None else str(broken)


if __name__ == "__main__":
    sys.exit(main())
