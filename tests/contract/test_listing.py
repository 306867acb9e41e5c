"""The list of analyses on every adapter: whatever is asked, its pages hold what a plain look at all of them finds, and
Firestore reads no more than the page takes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.miner.listing import Filters, Sort, Tab, list_page, tab_counts
from services.miner.summaries import Summary
from shared.adapters.embedded.documents import SqliteDocuments
from shared.adapters.google.documents import LOOKED_AT, FirestoreDocuments, firestore_client
from shared.adapters.memory.documents import MemoryDocuments
from shared.domain import paths
from shared.domain.analysis import Analysis, CostSeen, Metrics, PipelineRun, Status
from shared.domain.request import Origin, Sample
from shared.ports import Create, Documents, Page, Query
from shared.topology import topology
from tests.builders import T0, an_analysis
from tests.contract.emulators import a_google_project
from tests.examples import whole_or

PROJECT = "lab"
MANY = 120
QUESTIONS = 84
LIMIT = 7


def _made(seed: int) -> list[Analysis]:
    chance = random.Random(seed)
    made = []
    for number in range(MANY):
        name = f"{chance.choice(['WGS', 'Panel', 'exome'])} {number:03}/{chance.choice('ABC')}"
        status = chance.choice(list(Status))
        begun = T0 + timedelta(hours=chance.randrange(100))
        ended = begun + timedelta(hours=chance.randrange(1, 9)) if status.final else None
        cost = CostSeen(amount=chance.choice([None, 1.5, 2.25]), currency="USD", billed_seconds=1.0, complete=True)
        made.append(an_analysis(request_id=str(number), display_id=name).changed(
            project=PROJECT, id=paths.analysis_id(PROJECT, name), status=status,
            created_at=begun - timedelta(hours=chance.randrange(3)), created_by=chance.choice(["ada", "bob"]),
            started_at=None if status is Status.QUEUED else begun, finished_at=ended,
            origin=chance.choice(list(Origin)), order_id=chance.choice([None, "o-1", "o-2"]),
            rerun_of=chance.choice([None, None, "first"]),
            samples=tuple(Sample(name=name) for name in chance.sample(["S1", "S2", "S3"], chance.randrange(3))),
            pipeline=PipelineRun(
                slug=chance.choice(["calls", "normalize"]), version=chance.choice(["1.0.0", "2.0.0"]), definition={}
            ),
            metrics=Metrics(run_seconds=chance.choice([None, 60.0, 600.0]), cost=chance.choice([None, cost])),
        ))
    return made


def _questions(seed: int) -> Iterator[Filters]:
    """Of two filters or three, so that something is found."""
    chance = random.Random(seed)
    choices: dict[str, list[Any]] = {
        "tab": list(Tab), "status": [["failed"], ["in_progress", "failed"]], "pipeline": [["calls"], ["calls", "x"]],
        "version": [["1.0.0"]], "origin": list(Origin), "sample": ["S1", "S2"], "order": ["o-1"],
        "started_by": ["ada"], "rerun_of": ["first"], "text": ["wgs", "0", "11/", "wgs-11", "1/A", "no such"],
        "created_from": [T0 + timedelta(hours=40)], "created_to": [T0 + timedelta(hours=60)],
        "finished_from": [T0 + timedelta(hours=30)], "finished_to": [T0 + timedelta(hours=80)],
    }
    for number in range(QUESTIONS):
        names = chance.sample(sorted(choices), chance.choice([0, 1, 1, 2, 2, 3]))
        asked = {name: chance.choice(choices[name]) for name in names}
        yield Filters.model_validate({"limit": LIMIT, "sort": list(Sort)[number % len(Sort)], **asked})


def _wanted(made: Sequence[Analysis], asked: Filters) -> set[str]:
    def fits(one: Analysis) -> bool:
        unconfirmed = one.cancel_requested is not None and not one.status.final
        return all((
            one.status in asked.statuses(),
            asked.tab is not Tab.NEEDS_ATTENTION or one.status is Status.FAILED or unconfirmed,
            not asked.pipeline or one.pipeline.slug in asked.pipeline,
            not asked.version or one.pipeline.version in asked.version,
            asked.origin in (None, one.origin), asked.order in (None, one.order_id),
            asked.started_by in (None, one.created_by), asked.rerun_of in (None, one.rerun_of),
            asked.sample is None or asked.sample in {sample.name for sample in one.samples},
            asked.text is None or paths.slug(asked.text) in one.slug,
            asked.created_from is None or one.created_at >= asked.created_from,
            asked.created_to is None or one.created_at < asked.created_to,
            asked.finished_from is None or (one.finished_at and one.finished_at >= asked.finished_from),
            asked.finished_to is None or (one.finished_at and one.finished_at < asked.finished_to),
        ))
    return {one.id for one in made if fits(one)}


def _in_order(items: Sequence[Summary], sort: Sort) -> bool:
    """None first upwards; of the same, by id, or for a word the newest first."""
    name, down = sort.value.removeprefix("-"), sort.value.startswith("-")

    def value(one: Summary) -> Any:
        cost = one.metrics.cost.amount if one.metrics.cost else None
        return {"run_seconds": one.metrics.run_seconds, "cost": cost, "pipeline": one.pipeline.slug}.get(
            name, getattr(one, name, None)
        )

    def key(one: Summary) -> tuple[bool, Any]:
        found = value(one)
        return (found is not None, found if found is not None else 0)

    ties = sorted(items, key=lambda one: one.id, reverse=down or name in ("status", "pipeline"))
    if name in ("status", "pipeline"):
        ties.sort(key=lambda one: one.created_at, reverse=True)
    return list(items) == sorted(ties, key=key, reverse=down)


class Counted(FirestoreDocuments):
    """With the number of documents that were read since it was last looked at."""

    read = 0

    def _page(self, query: Query) -> Page:
        page = super()._page(query)
        self.read += len(page.items) + (page.next is not None)
        return page


@pytest.fixture(scope="module", params=["memory", "embedded", "google"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    documents: Documents
    match request.param:
        case "memory":
            documents = MemoryDocuments()
        case "embedded":
            file = tmp_path_factory.mktemp("list") / "documents.db"
            documents = SqliteDocuments(file, topology().indexes, topology().lists)
        case _:
            address = request.getfixturevalue("firestore_address")
            documents = Counted(firestore_client(a_google_project(), emulator=address))
    documents.commit([Create(one.doc_path, one.to_document()) for one in MADE])
    return documents


MADE = _made(7)


@pytest.mark.parametrize("seed", range(whole_or(2, 1)))
def test_pages_hold_what_a_plain_look_at_all_finds_and_read_no_more_than_they_hold(
    store: Documents, seed: int
) -> None:
    """Must show of issue 6: reads bounded by the page size, however many there are; C71, C89, C90, C93."""
    for asked in _questions(seed):
        found: list[Summary] = []
        cursor = None
        while True:
            if isinstance(store, Counted):
                store.read = 0
            page = list_page(store, PROJECT, asked.model_copy(update={"cursor": cursor}))
            if isinstance(store, Counted):
                assert store.read <= _bound(asked), asked
            found += page.items
            if (cursor := page.next) is None:
                break
        assert len(found) == len({one.id for one in found})
        assert {one.id for one in found} == _wanted(MADE, asked), asked
        assert _in_order(found, asked.sort), asked


def _bound(asked: Filters) -> int:
    """One more than the page; where Firestore cannot say all of it, so many for each, and one for each step."""
    name = asked.sort.value.removeprefix("-")
    ranges = {field for field in ("created_at", "finished_at") if any(
        getattr(asked, f"{field.removesuffix('_at')}_{end}") for end in ("from", "to")
    )}
    said = asked.text is None and ranges <= {name}
    return LIMIT + 1 if said else (LOOKED_AT + 1) * (LIMIT + 2)


def test_each_tab_is_counted_as_it_is_listed(store: Documents) -> None:
    for asked in ({}, {"pipeline": ["calls"]}, {"sample": "S1", "started_by": "ada"}, {"created_from": T0}):
        filters = Filters.model_validate(asked)
        counts = tab_counts(store, PROJECT, filters)
        for tab, found in counts.tabs.items():
            assert found.count == len(_wanted(MADE, filters.on(tab))), (asked, tab)


def test_a_count_that_takes_reading_is_none_on_firestore_and_a_number_elsewhere(store: Documents) -> None:
    filters = Filters(text="wgs-1")
    found = tab_counts(store, PROJECT, filters).tabs[Tab.ALL].count
    assert found == (None if isinstance(store, FirestoreDocuments) else len(_wanted(MADE, filters)))
