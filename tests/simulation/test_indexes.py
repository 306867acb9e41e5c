"""Each query that the code issues has an index in topology.yaml: Firestore refuses one that has none."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from shared.ports import Page, Query
from shared.topology import Index, topology
from tests.simulation.faults import FaultyDocuments
from tests.simulation.world import simulate

SEEDS = 30


@pytest.fixture(scope="module")
def queries() -> Iterator[set[Query]]:
    """All that are issued in a few lives, without their values and cursors."""
    asked: set[tuple[object, ...]] = set()
    shapes: set[Query] = set()
    real = FaultyDocuments.query

    def query(self: FaultyDocuments, query: Query) -> Page:
        shape = (query.collection, tuple((w.field, w.op) for w in query.where), query.order)
        if shape not in asked:
            asked.add(shape)
            shapes.add(Query(query.collection, query.where, query.order))
        return real(self, query)

    with patch.object(FaultyDocuments, "query", query):
        for seed in range(SEEDS):
            simulate(seed)
    yield shapes


def test_each_query_has_its_index(queries: set[Query]) -> None:
    assert len(queries) >= 5
    for query in queries:
        served = any(_serves(index, query) for index in topology().every_index)
        assert _by_itself(query) or served, f"no index for {query}"


def _by_itself(query: Query) -> bool:
    """One field of one collection, either way: Firestore has that index anyway."""
    fields = {*(where.field for where in query.where), *(order.field for order in query.order)}
    return len(fields) == 1 and not query.collection.startswith("*/")


def _serves(index: Index, query: Query) -> bool:
    """Equalities first, in any order, then what is compared or ordered by."""
    scope, _, family = query.collection.rpartition("/")
    equal = {where.field for where in query.where if where.op in ("==", "in")}
    ordered = [f"{order.field} desc" if order.descending else order.field for order in query.order]
    behind = ordered or [where.field for where in query.where if where.field not in equal]
    fields = list(index.fields)
    return (
        index.collection == family and index.group == (scope == "*")
        and set(fields[: len(equal)]) == equal and fields[len(equal):][: len(behind)] == behind
    )
