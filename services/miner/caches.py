"""Caches of orders and analyses, kept open: their index is mapped into memory and shared by all requests."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

from services.miner.problems import Refusal
from shared.domain.analysis import Analysis, IngestStatus
from shared.domain.cache import Built
from shared.domain.order import Order
from shared.ports import Ports
from shared.variants.order_index import IndexBroken, open_index
from shared.variants.query import OrderQueries

MOST_OPEN = 8
MOST_BYTES = 2560 << 20
"""Of all that are open: where there is no disk they lie in memory, of which the service has 4 GiB. The index of 5
million variants is 1 GiB, a trio's 1.2, and questions keep up to 48 MiB beside each."""


@dataclass(frozen=True)
class Subject:
    """Whose variants are asked for: an order's, or an analysis' alone."""

    project: str
    bucket: str
    name: str
    built: Built


_Key = tuple[int, str, str]
"""The ports (by identity, so that they are kept), the bucket, the index."""


@dataclass(frozen=True)
class _Held:
    queries: OrderQueries
    local: ExitStack
    ports: Ports
    size: int


class OpenCaches:
    """The last few that were asked for, `most_bytes` of them and at least one. A cache never changes under its name, so
    that an open one is never stale."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._open: OrderedDict[_Key, _Held] = OrderedDict()
        self._opening: dict[_Key, Lock] = {}
        self._coming = 0
        self._lock = Lock()

    def queries(self, ports: Ports, subject: Subject) -> OrderQueries:
        """The first to ask fetches it, and those who want the same wait for him. What is evicted while somebody reads
        it stays mapped until he has done. Raises Refusal (409) for an index of another release."""
        key = (id(ports), subject.bucket, subject.built.index)
        with self._lock:
            opening = self._opening.setdefault(key, Lock())
        with opening:
            held = self._known(key) or self._fetched(ports, subject, key)
        return held.queries

    def _known(self, key: _Key) -> _Held | None:
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
            return self._open.get(key)

    def _fetched(self, ports: Ports, subject: Subject, key: _Key) -> _Held:
        seen = ports.objects.stat(subject.bucket, subject.built.index)
        size = seen.size if seen else 0
        self._make_room(size)
        try:
            return self._opened(ports, subject, key, size)
        finally:
            with self._lock:
                self._coming -= size

    def _opened(self, ports: Ports, subject: Subject, key: _Key, size: int) -> _Held:
        local = ExitStack()
        path = local.enter_context(ports.objects.local(subject.bucket, subject.built.index))
        try:
            index = open_index(path)
        except IndexBroken:
            local.close()
            raise Refusal(409, "not-built", f"The variants of {subject.name!r} were joined by another release of this "
                          "program; join them anew with `iflow orders rebuild ORDER`, or for an analysis alone with "
                          "`iflow analyses ingest ANALYSIS --force`") from None
        held = _Held(OrderQueries(index, subject.built.version), local, ports, size)
        with self._lock:
            self._open[key] = held
        return held

    @property
    def _size(self) -> int:
        return self._coming + sum(held.size for held in self._open.values())

    def _make_room(self, size: int) -> None:
        """Before it is fetched: else for a while both were there."""
        evicted = []
        with self._lock:
            self._coming += size
            while self._open and (len(self._open) >= MOST_OPEN or self._size > self._most_bytes):
                key, held = self._open.popitem(last=False)
                self._opening.pop(key, None)
                evicted.append(held)
        for held in evicted:
            held.local.close()


CACHES = OpenCaches()


def of_order(order: Order) -> Subject:
    """Raises Refusal (409)."""
    if order.cache.built is None:
        missing = "; ".join(f"{each.name}: {each.reason}" for each in order.cache.missing)
        why = order.cache.failure or order.cache.progress or missing or "it has not begun"
        raise Refusal(409, "not-built", f"The variants of order {order.display_id!r} are {order.cache.status}: {why}")
    return Subject(order.project, order.bucket, order.display_id, order.cache.built)


def of_analysis(analysis: Analysis) -> Subject:
    """Raises Refusal (409)."""
    ingest = analysis.ingest
    if ingest.cache is not None:
        return Subject(analysis.project, analysis.bucket, analysis.display_id, ingest.cache)
    if ingest.rows is not None:
        raise Refusal(409, "not-browsable", f"The VCFs of analysis {analysis.display_id!r} are of several "
                      "assemblies, whose positions do not compare")
    why = ingest.failure or ingest.progress or {
        IngestStatus.NOT_APPLICABLE: "its pipeline left no VCF" if analysis.status.final else "it has not ended",
    }.get(ingest.status, "it has not begun")
    raise Refusal(
        409, "not-ingested", f"Analysis {analysis.display_id!r} is {analysis.status} and its ingest is "
        f"{ingest.status}: {why}", analysis_status=analysis.status,
    )
