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


class OpenCaches:
    """The last few that were asked for. A cache never changes under its name, so that an open one is never stale."""

    def __init__(self) -> None:
        self._open: OrderedDict[_Key, _Held] = OrderedDict()
        self._opening: dict[_Key, Lock] = {}
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
        local = ExitStack()
        path = local.enter_context(ports.objects.local(subject.bucket, subject.built.index))
        try:
            index = open_index(path)
        except IndexBroken:
            local.close()
            raise Refusal(409, "not-built", f"The variants of {subject.name!r} were joined by another release of this "
                          "program; join them anew with `iflow orders rebuild ORDER`, or for an analysis alone with "
                          "`iflow analyses ingest ANALYSIS --force`") from None
        held = _Held(OrderQueries(index, subject.built.version), local, ports)
        with self._lock:
            self._open[key] = held
            evicted = self._open.popitem(last=False) if len(self._open) > MOST_OPEN else None
            if evicted:
                self._opening.pop(evicted[0], None)
        if evicted:
            evicted[1].local.close()
        return held


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
