"""Pages of a long list of outputs: the bytes of the page are read, and not the list (C88)."""

from __future__ import annotations

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from shared.adapters.memory.objects import MemoryObjects
from shared.domain.analysis import Analysis
from shared.domain.errors import NotFound
from shared.steps.outputs import every_output, places_in, some_outputs
from tests.builders import an_analysis
from tests.contract.clock import FakeClock

MANY = 20_000
BUCKET = "lab-bucket"


class Counted(MemoryObjects):
    """With the bytes that were read."""

    read_bytes = 0

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        found = super().read(bucket, path, start=start, length=length)
        self.read_bytes += len(found)
        return found


class OnlyObjects:
    def __init__(self, objects: MemoryObjects) -> None:
        self.objects = objects


def _long() -> tuple[Any, Analysis, int]:
    whole = [
        {"path": f"analyses/long/per-gene/{n:06}, ]é.txt", "kind": "other", "sample": None, "size": n,
         "crc32c": "AAAAAA==", "generation": 1} for n in range(MANY)
    ]
    ports = OnlyObjects(Counted(FakeClock()))
    written = ports.objects.write(BUCKET, "cache/outputs/long.json", json.dumps(whole).encode())
    return ports, an_analysis().changed(bucket=BUCKET, outputs_path=written.path, outputs_total=MANY), written.size


@pytest.mark.parametrize("content", [b"[]", b"[ ]\n", b'[{"a": "}],{"}]', b'[\n {"a": [1, 2]},\n {"b": {}}\n]\n'])
def test_places_are_where_entries_begin(content: bytes) -> None:
    places = places_in(content)
    text = content.decode()
    found = [json.loads(text[a:b].rstrip(", \n")) for a, b in pairwise(places)]
    assert found == json.loads(text)
    assert text[places[-1]] == "]"


def test_pages_are_the_list_and_read_their_own_bytes_c88() -> None:
    ports, analysis, size = _long()
    every = every_output(ports, analysis)
    assert some_outputs(ports, analysis, 0, 3) == every[:3]
    ports.objects.read_bytes = 0
    for start in (0, 7_777, MANY - 200, MANY - 1, MANY):
        end = min(start + 200, MANY)
        assert some_outputs(ports, analysis, start, end) == every[start:end]
    assert ports.objects.read_bytes < size / 20


def test_fifty_readers_take_no_more_memory_than_few_c88() -> None:
    ports, analysis, size = _long()
    some_outputs(ports, analysis, 0, 1)
    tracemalloc.start()
    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(lambda n: len(some_outputs(ports, analysis, n * 300, n * 300 + 50)), range(50))) == 2_500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 2, f"{peak:,} bytes for a list of {size:,}"


def test_a_list_that_is_gone_is_not_found() -> None:
    ports, analysis, _ = _long()
    with pytest.raises(NotFound, match="no list of outputs"):
        some_outputs(ports, analysis.changed(outputs_path="cache/outputs/other.json"), 0, 1)
