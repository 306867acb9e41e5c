"""Caches that the API keeps open: the last few, and no more bytes than it may."""

from __future__ import annotations

from pathlib import Path

from services.miner.caches import OpenCaches, Subject
from shared.ports import Ports
from tests.builders import a_built
from tests.unit.variants.orders import Joined, table


def test_no_more_is_open_than_may_be_and_who_reads_what_was_closed_reads_on(ports: Ports, tmp_path: Path) -> None:
    order = Joined(tmp_path, [(table("chr1 100 . A C 50 PASS . GT:AD:DP:GQ 0/1:5,5:10:40", samples=["P"]),
                               {"P": "proband"})])
    index = order.path.with_suffix(".index").read_bytes()
    subjects = [Subject("lab", "b", name, a_built(name)) for name in ("x", "y", "z")]
    for subject in subjects:
        ports.objects.write("b", subject.built.index, index)
    x, y, z = subjects
    caches = OpenCaches(most_bytes=len(index) * 5 // 2)
    first, second = caches.queries(ports, x), caches.queries(ports, y)
    assert caches.queries(ports, x) is first
    third = caches.queries(ports, z)
    assert (caches.queries(ports, x), caches.queries(ports, z)) == (first, third)
    again = caches.queries(ports, y)
    assert again is not second
    assert [queries.index.text("key", 0) for queries in (first, second, third, again)] == ["1-100-A-C"] * 4
    one = OpenCaches(most_bytes=1)
    assert one.queries(ports, x) is one.queries(ports, x)
