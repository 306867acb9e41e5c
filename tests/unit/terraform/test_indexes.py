"""Each query that the code can issue has its index in topology.yaml: Firestore refuses one that has none, and neither
its emulator nor the embedded backend does.

Every place that makes a `Query` is run, with the query recorded; a place that no test here reaches fails. What index a
query needs is derived by Firestore's rules (https://cloud.google.com/firestore/docs/query-data/index-overview):
equalities in any order, then what is ordered by; alone in one collection, a field has its index by itself. Several
equalities before one order are served by merging indexes that each cover some of them and end in that order. That is
what keeps the list's combinations of filters and orders at nine indexes an order; its price is that Firestore walks the
rarest of them and skips what the others do not have, so combinations of which each alone is common are slower.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.miner.api.samples import SampleFilters, sample_page
from services.miner.app import create_app
from services.miner.auth import sign_in
from services.miner.auth.local_issuer import LocalIssuer
from services.miner.listing import Filters, Sort, list_page, tab_counts
from services.miner.live import Feed
from services.reconciler import handler as reconciler
from services.status_tracker.handler import track
from shared.adapters.google.queries import divided
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.analysis import IngestStatus
from shared.domain.clock import iso
from shared.domain.member import Role
from shared.domain.order import parse_order
from shared.ports import Create, Order, Ports, Query, Where
from shared.runtime import Settings
from shared.steps import orders
from shared.steps.accept import accept
from shared.steps.deliver import deliveries
from shared.steps.members import put_member
from shared.steps.orders import accept_order, orders_of
from shared.steps.projects import all_analyses, all_orders
from shared.steps.register import register_pipeline, register_project
from shared.topology import Index, topology
from tests.builders import PROJECT, RULES, T0, a_pipeline, a_request, an_analysis
from tests.contract.clock import FakeClock

ROOT = Path(__file__).parents[3]
Place = tuple[str, str]
TICK = Delivery("1", b"{}", {}, "", "")
HINT = Delivery("2", b"", {"JobName": "projects/1/locations/r/jobs/a-00000000-0000-0000-0000-000000000000"}, "", "")


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[set[Place], list[Query]]]:
    """The places that made a query, and the queries."""
    with pytest.MonkeyPatch.context() as patch:
        places: set[Place] = set()
        queries: list[Query] = []
        for module in {module for module, _ in _places()}:
            _record(patch, module, places, queries)
        patch.setattr(reconciler, "PAGE", 1)
        patch.setattr(orders, "PAGE", 1)
        _issue_all()
        yield places, queries


def test_every_place_that_makes_a_query_was_reached(recorded: tuple[set[Place], list[Query]]) -> None:
    assert recorded[0] == _places()


def test_every_query_has_its_index(recorded: tuple[set[Place], list[Query]]) -> None:
    missing = {text for query in _asked(recorded) if (text := _missing(query))}
    assert not missing, "\n".join(sorted(missing))
    assert len(recorded[1]) > 400


def test_no_index_is_without_a_query(recorded: tuple[set[Place], list[Query]]) -> None:
    """Each costs on every write."""
    used = {index for query in _asked(recorded) for index in _candidates(query)}
    assert set(topology().every_index) - used == set()


def test_what_is_missing_is_found() -> None:
    """That the derivation is one."""
    where, order = (Where("status", "==", "failed"),), (Order("created_at", descending=True),)
    assert _missing(Query("projects/lab/members", where, ())) is None
    assert _missing(Query("*/members", where, ())) == "members (group): status"
    assert _missing(Query("projects/lab/members", where, order)) == "members: status created_at desc"
    assert _missing(Query("projects/lab/analyses", (), (Order("metrics.tasks"),))) is not None
    found = (Where("find", "array_contains", "x"),)
    assert _missing(Query("projects/lab/members", found, order)) == "members: find contains created_at desc"


def _asked(recorded: tuple[set[Place], list[Query]]) -> list[Query]:
    """What of the queries Firestore is asked."""
    return [divided(query)[0] for query in recorded[1]]


# -- all that the code can ask ------------------------------------------------------------------------------------


def _issue_all() -> None:
    documents = MemoryDocuments()
    ports = _ports(documents)
    register_project(ports, PROJECT)
    register_pipeline(ports, PROJECT.id, a_pipeline(), by="test")
    accept(ports, a_request(version="latest"), source="test")
    documents.commit([
        Create(paths.rejection_doc(PROJECT.id, name), {"unsent": [], "unsent_since": iso(T0 - timedelta(hours=1))})
        for name in "ab"
    ])  # two pages of one each
    _order(ports)
    reconciler.reconcile(TICK, ports)
    track(HINT, ports)
    assert (len(list(all_analyses(ports, PROJECT.id))), len(list(all_orders(ports, PROJECT.id)))) == (1, 2)
    deliveries(ports, PROJECT.id, "x")
    for filters in _filters():
        list_page(documents, PROJECT.id, filters)
        tab_counts(documents, PROJECT.id, filters)
    for collection in (paths.analyses(PROJECT.id), paths.orders(PROJECT.id)):
        Feed(documents, collection).end_if_idle()
    for chosen in ({}, {"sex": "male"}, {"created_by": "ada"}, {"text": "hg00"}, {"external_id": "4711"}):
        sample_page(documents, PROJECT.id, SampleFilters.model_validate(chosen))
    asyncio.run(_ask_the_api(ports))


def _order(ports: Ports) -> None:
    """By samples' names, for which an analysis is looked for; and what an ingest's end asks for."""
    made = []
    for name in ("O-1", "O-2"):  # two pages of one each
        body = {"request_id": name, "project": PROJECT.id, "display_id": name, "samples": [{"name": "S1"}],
                "requested_by": "test"}
        made.append(accept_order(ports, parse_order(body), source="test").order.doc_path)
    analysis = an_analysis()
    ingest = analysis.ingest.model_copy(update={"status": IngestStatus.READY, "samples": ("S1",)})
    assert sorted(orders_of(ports, analysis.changed(ingest=ingest))) == sorted(made)


def _filters() -> Iterator[Filters]:
    """Every sort and range with each filter alone, with none, and with all of them: merging does the rest."""
    bounds = {f"{field}_{end}": T0 for field in ("created", "finished") for end in ("from", "to")}
    ranges = [{}, *({name: bound} for name, bound in bounds.items()), bounds]
    alone: dict[str, Any] = {
        "status": ["failed"], "pipeline": ["calls", "other"], "version": ["1.0.0"], "origin": "order", "order": "o-1",
        "started_by": "ada", "rerun_of": "x", "sample": "S1", "text": "wgs-12", "tab": "needs_attention",
    }
    chosen = [{}, {"status": ["in_progress"]}, *({name: value} for name, value in alone.items()), alone]
    for between, sort, equal in itertools.product(ranges, Sort, chosen):
        yield Filters.model_validate({"sort": sort, **between, **equal})


async def _ask_the_api(ports: Ports) -> None:
    folder = Path(tempfile.mkdtemp(prefix="iflow-test-"))
    settings = Settings(state_dir=folder, superadmins="root@lab.example")
    app = create_app(lambda: ports, settings)
    put_member(ports, PROJECT.id, "ada@lab.example", Role.VIEWER, by="test")
    tokens = {who: LocalIssuer(settings).token(f"{who}@lab.example") for who in ("root", "ada")}
    assert sign_in._people(app.state.access, ports.documents) == {
        "root@lab.example": "superadmin", "ada@lab.example": f"viewer of {PROJECT.id}",
    }
    here = {"X-Project-ID": PROJECT.id}
    routes: list[tuple[str, dict[str, str]]] = [
        ("/projects", {}), ("/pipelines", here), ("/pipelines/calls", here), ("/analyses", here),
        ("/analyses-counts", here),
        ("/panels", here), ("/panels/x", here), ("/filters", here), ("/members", here),
            ("/audit", here), ("/audit?document=members/ada@lab.example", here), ("/audit/export", here),
            ("/samples", here), ("/samples/s1/uses", here), ("/samples/s1/uploads", here),
            ("/orders", here), ("/orders?status=open", here),
        *((f"/ops/{family}", scope) for family in ("rejections", "dead-letters", "cancels", "silent")
          for scope in ({}, here)),
        *((f"/ops/{family}/x", scope) for family in ("rejections", "dead-letters") for scope in ({}, here)),
    ]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://miner/api/v1") as client:
        client.headers["Authorization"] = f"Bearer {tokens['ada']}"
        assert [each["id"] for each in (await client.get("/projects")).json()["items"]] == [PROJECT.id]
        client.headers["Authorization"] = f"Bearer {tokens['root']}"
        assert (await client.post("/samples", json={"name": "S1"}, headers=here)).status_code == 201
        for path, headers in routes:
            answer = await client.get(path, headers=headers)
            assert answer.status_code == (404 if path.endswith("/x") else 200), (path, answer.text)
        assert (await client.put("/members/eve@lab.example", json={"role": "viewer"}, headers=here)).status_code == 201
    shutil.rmtree(folder)


def _ports(documents: MemoryDocuments) -> Ports:
    def never(*_: Any) -> Any:
        raise AssertionError("nothing is run here")

    clock = FakeClock()
    return Ports(
        documents=documents, bus=MemoryBus(topology(), clock), objects=MemoryObjects(clock), engine=None, logs=None,
        uploads=None,
        clock=clock, rules=RULES, new_id=never, launch=never, logs_url=never,
        notify_topic="batch-events",
    )


# -- where it is asked --------------------------------------------------------------------------------------------


def _places() -> set[Place]:
    """(module, function) of every call of shared.ports.Query in the services and in shared/steps."""
    found: set[Place] = set()
    for file in [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared" / "steps").rglob("*.py")]:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(file.read_text())
        name = _name_of_query(tree)
        for function in ast.walk(tree):
            if name and isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
                if any(isinstance(called, ast.Name) and called.id == name for called in calls):
                    found.add((module, function.name))
    return found


def _name_of_query(tree: ast.Module) -> str | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "shared.ports":
            for alias in node.names:
                if alias.name == "Query":
                    return alias.asname or alias.name
    return None


def _record(patch: pytest.MonkeyPatch, module: str, places: set[Place], queries: list[Query]) -> None:
    def made(*args: Any, **kwargs: Any) -> Query:
        query = Query(*args, **kwargs)
        frame = sys._getframe(1)
        while frame.f_back and frame.f_code.co_name.startswith("<"):  # a comprehension is in a function
            frame = frame.f_back
        places.add((module, frame.f_code.co_name))
        queries.append(query)
        return query

    name = _name_of_query(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text()))
    assert name is not None
    patch.setattr(importlib.import_module(module), name, made)


# -- which index it needs -----------------------------------------------------------------------------------------


def _equal(query: Query) -> frozenset[str]:
    """As an index names them. What is ordered by needs no second place in it."""
    contains = {f"{where.field} contains" for where in query.where if where.op == "array_contains"}
    equal = {where.field for where in query.where if where.op in ("==", "in")}
    return frozenset(contains | (equal - {order.field for order in query.order}))


def _behind(query: Query) -> tuple[str, ...]:
    """What the index must end in: the order; or, without one, the field of a range, upwards."""
    ranges = {where.field for where in query.where if where.op in ("<", "<=", ">", ">=")}
    assert ranges <= {query.order[0].field} if query.order else len(ranges) <= 1, "Firestore takes no such query"
    return tuple(f"{o.field} desc" if o.descending else o.field for o in query.order) or tuple(ranges)


def _group(query: Query) -> bool:
    return query.collection.startswith("*/")


def _candidates(query: Query) -> list[Index]:
    """Indexes that cover some of the query's equalities and end in its order."""
    family, equal, behind = query.collection.rpartition("/")[2], _equal(query), _behind(query)
    return [
        index for index in topology().every_index
        if index.collection == family and index.group == _group(query)
        and index.fields[len(index.fields) - len(behind):] == behind
        and set(index.fields[: len(index.fields) - len(behind)]) <= equal
    ]


def _automatic(query: Query, field: str) -> bool:
    """Firestore's own index of one field, in one collection, unless the field or what it lies in is exempt."""
    family, name = query.collection.rpartition("/")[2], field.partition(" ")[0]
    exempt = [one for each in topology().exemptions if each.collection == family for one in each.fields]
    return not _group(query) and not any(name == one or name.startswith(f"{one}.") for one in exempt)


def _missing(query: Query) -> str | None:
    """The index that the query has not, or None."""
    equal, behind = _equal(query), _behind(query)
    covered = {field for index in _candidates(query) for field in index.fields[: len(index.fields) - len(behind)]}
    if not behind:
        covered |= {field for field in equal if _automatic(query, field)}
    alone = len(behind) == 1 and _automatic(query, behind[0])
    if covered == equal and (equal or not behind or alone or _candidates(query)):
        return None
    scope = " (group)" if _group(query) else ""
    return f"{query.collection.rpartition('/')[2]}{scope}: {' '.join([*sorted(equal), *behind])}"
