"""`make bench-list`: a page of the analyses of a project of 10,000, under any filter and sort, on the embedded backend.

Asked as the API asks (services/miner/listing.py): the page's summaries as JSON text. Every filter alone, and some
together, under every sort both ways; the first page, the second, and one deep in the list. The analyses are as the demo
leaves them: two dozen outputs, a history, a pipeline's definition, 500 of them unfinished; another project has as many.
One question after another; `any_filter_p95_ms` is the p95 of the slowest filter.

ANALYSES in the environment makes it smaller.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.miner.listing import Filters, Sort, list_page, tab_counts
from shared.adapters.embedded.documents import SqliteDocuments
from shared.domain import paths
from shared.domain.analysis import Analysis, CostSeen, Metrics, Output, PipelineRun, Status
from shared.domain.part import Change
from shared.domain.pipeline import OutputKind
from shared.domain.request import Origin, Role, Sample
from shared.ports import Create
from shared.topology import topology
from tests.bench.report import percentile, report
from tests.builders import T0, an_analysis

ANALYSES = int(os.environ.get("ANALYSES", "10000"))
UNFINISHED = 500
PROJECT, OTHER = "lab", "other"
ROUNDS = 3
DEEP_STEP, DEEP_STEPS = 200, 10
AT_A_TIME = 200

SOME = timedelta(days=30)
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "in_progress": {"tab": "in_progress"},
    "failed": {"tab": "failed"},
    "needs_attention": {"tab": "needs_attention"},
    "statuses": {"status": ["failed", "cancelled"]},
    "pipeline": {"pipeline": ["panel"]},
    "pipelines_versions": {"pipeline": ["panel", "calls"], "version": ["1.0.0", "1.2.0"]},
    "created": {"created_from": T0 + SOME, "created_to": T0 + 2 * SOME},
    "finished": {"finished_from": T0 + SOME, "finished_to": T0 + SOME + timedelta(days=2)},
    "origin": {"origin": "order"},
    "sample": {"sample": "NA0417"},
    "order": {"order": "order-77"},
    "started_by": {"started_by": "person-3@lab.example"},
    "rerun_of": {"rerun_of": "rerun-12"},
    "text_one": {"text": "WGS 04711"},
    "text_many": {"text": "wgs"},
    "text_short": {"text": "7"},
    "text_none": {"text": "there is no such"},
    "failed_of_pipeline": {"tab": "failed", "pipeline": ["panel"], "version": ["2.0.0"]},
    "all_of_them": {
        "tab": "completed", "pipeline": ["calls"], "version": ["1.2.0"], "created_from": T0, "origin": "sample",
        "finished_to": T0 + 3 * SOME, "started_by": "person-1@lab.example", "text": "1",
    },
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        documents = SqliteDocuments(Path(folder) / "documents.db", topology().indexes, topology().lists)
        bytes_each = _fill(documents)
        load = os.getloadavg()[0]
        times = {name: _ask(documents, asked) for name, asked in FILTERS.items()}
        counts = [_timed(lambda: tab_counts(documents, PROJECT, Filters()).model_dump_json()) for _ in range(20)]
        slowest = max(times, key=lambda name: percentile(times[name], 0.95))
        everything = [value for each in times.values() for value in each]
        first = [_first(documents) for _ in range(40)]
        report("list", {
            "analyses": ANALYSES, "unfinished": UNFINISHED, "document_mean_bytes": bytes_each,
            "questions": len(everything), "rounds": ROUNDS,
            "any_filter_p95_ms": round(percentile(times[slowest], 0.95), 1), "slowest_filter": slowest,
            "all_filters_median_ms": round(statistics.median(everything), 1),
            "all_filters_p95_ms": round(percentile(everything, 0.95), 1),
            "first_page_p95_ms": round(percentile(first, 0.95), 1),
            "tab_counts_p95_ms": round(percentile(counts, 0.95), 1),
            **{f"{name}_p95_ms": round(percentile(each, 0.95), 1) for name, each in times.items()},
            "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2),
        })


def _ask(documents: SqliteDocuments, asked: dict[str, Any]) -> list[float]:
    """Milliseconds of each page."""
    times = []
    for sort in Sort:
        filters = Filters.model_validate({**asked, "sort": sort})
        deep = _deep(documents, filters)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            page = list_page(documents, PROJECT, filters)
            page.model_dump_json()
            times.append((time.perf_counter() - began) * 1000)
            for cursor in filter(None, (page.next, deep)):
                behind = filters.model_copy(update={"cursor": cursor})
                times.append(_timed(lambda asked=behind: list_page(documents, PROJECT, asked).model_dump_json()))
    return times


def _deep(documents: SqliteDocuments, filters: Filters) -> str | None:
    """A cursor some 2,000 analyses on, or as far as the list goes."""
    cursor = None
    for _ in range(DEEP_STEPS):
        page = list_page(documents, PROJECT, filters.model_copy(update={"cursor": cursor, "limit": DEEP_STEP}))
        if page.next is None:
            break
        cursor = page.next
    return cursor


def _first(documents: SqliteDocuments) -> float:
    return _timed(lambda: list_page(documents, PROJECT, Filters()).model_dump_json())


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


# -- what is listed -----------------------------------------------------------------------------------------------


def _fill(documents: SqliteDocuments) -> int:
    """Returns the mean size of a document."""
    sizes = 0
    for project in (PROJECT, OTHER):
        chance = random.Random(project)
        made = [_analysis(chance, project, number) for number in range(ANALYSES)]
        for start in range(0, ANALYSES, AT_A_TIME):
            writes = [Create(one.doc_path, one.to_document()) for one in made[start:start + AT_A_TIME]]
            sizes += sum(len(str(write.data)) for write in writes)
            documents.commit(writes)
    return sizes // (2 * ANALYSES)


def _analysis(chance: random.Random, project: str, number: int) -> Analysis:
    name = f"{chance.choice(['WGS', 'Panel', 'Exome'])} {number:05}/{chance.choice('ABC')}"
    unfinished = number >= ANALYSES - UNFINISHED
    final = chance.choices([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED], [90, 8, 2])[0]
    status = chance.choice([Status.QUEUED, Status.RUNNING]) if unfinished else final
    created = T0 + timedelta(minutes=13 * number + chance.randrange(10))
    began = created + timedelta(minutes=chance.randrange(1, 30))
    seconds = round(chance.lognormvariate(8, 1), 1)
    cost = CostSeen(amount=round(seconds / 9000, 4), currency="USD", billed_seconds=seconds, complete=True)
    made = an_analysis(request_id=name, display_id=name)
    samples = chance.sample(range(2000), chance.choice([1, 1, 3]))
    return made.changed(
        project=project, id=paths.analysis_id(project, name), status=status, created_at=created,
        created_by=f"person-{chance.randrange(9)}@lab.example", unsent=(), unsent_since=None,
        started_at=None if status is Status.QUEUED else began,
        finished_at=None if unfinished else began + timedelta(seconds=seconds),
        origin=chance.choice(list(Origin)), order_id=f"order-{chance.randrange(3000)}",
        rerun_of=f"rerun-{chance.randrange(100)}" if chance.random() < 0.05 else None,
        samples=tuple(
            Sample(name=f"NA{each:04}", role=role)
            for each, role in zip(samples, (Role.PROBAND, Role.MOTHER, Role.FATHER), strict=False)
        ),
        pipeline=PipelineRun(
            slug=chance.choice(["calls", "panel", "normalize"]), version=chance.choice(["1.0.0", "1.2.0", "2.0.0"]),
            definition=made.pipeline.definition,
        ),
        metrics=Metrics() if unfinished else Metrics(run_seconds=seconds, cost=cost),
        outputs=() if unfinished else tuple(_output(made.folder, each) for each in range(24)),
        history=tuple(_change(created, each) for each in range(6)),
    )


def _output(folder: str, number: int) -> Output:
    return Output(
        path=f"{folder}qc/report-{number}.tsv", kind=OutputKind.QC, size=10_000 + number, crc32c="AAAAAA==",
        generation=1_700_000_000_000_000 + number,
    )


def _change(at: Any, number: int) -> Change:
    return Change(at=at, from_="queued", to="running", by="batch", source=f"message {number}", reason="Batch: RUNNING.")


if __name__ == "__main__":
    main()
