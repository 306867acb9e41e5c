"""The variant tables of an analysis: how many rows of what, and those that matter most."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.miner.context import TheAnalysis, ThePorts, loaded
from services.miner.problems import Refusal, documented
from shared.domain.analysis import Analysis, IngestedFile, IngestStatus
from shared.ports import Ports
from shared.variants import query

router = APIRouter(prefix="/analyses/{analysis}", tags=["variants"])


class Counts(BaseModel):
    rows: int
    by_type: dict[str, int]
    by_impact: dict[str, int]
    by_contig: dict[str, int]


class TableShown(BaseModel):
    """One output VCF. `samples` gives the names behind the columns `s0_...`, `s1_...` of the rows in `top`."""

    path: str
    table: str | None
    samples: list[str]
    records: int
    skipped: dict[str, int]
    counts: Counts
    top: list[dict[str, Any]]


class Variants(BaseModel):
    analysis_id: str
    display_id: str
    rows: int
    files: list[TableShown]


@router.get("/variants", responses=documented(400, 404, 409, 503))
def variants(
    stored: TheAnalysis, ports: ThePorts,
    limit: Annotated[int, Query(ge=0, le=1000, description="Rows of each table in `top`.")] = 10,
) -> Variants:
    """Counts, and the rows that matter most: by impact, then filter, frequency and quality."""
    analysis = loaded(stored).analysis
    if analysis.ingest.rows is None:
        raise _not_ready(analysis)
    return Variants(
        analysis_id=analysis.id, display_id=analysis.display_id, rows=analysis.ingest.rows,
        files=[_shown(ports, analysis, file, limit) for file in analysis.ingest.files if file.table],
    )


def _not_ready(analysis: Analysis) -> Refusal:
    ingest = analysis.ingest
    why = ingest.failure or ingest.progress or {
        IngestStatus.NOT_APPLICABLE: "its pipeline left no VCF" if analysis.status.final else "it has not ended",
    }.get(ingest.status, "it has not begun")
    return Refusal(
        409, "not-ingested", f"Analysis {analysis.display_id!r} is {analysis.status} and its ingest is "
        f"{ingest.status}: {why}", analysis_status=analysis.status,
    )


def _shown(ports: Ports, analysis: Analysis, file: IngestedFile, limit: int) -> TableShown:
    with ports.objects.local(analysis.bucket, str(file.table)) as table:
        return TableShown(
            path=file.path, table=file.table, samples=list(file.samples), records=file.records,
            skipped=dict(file.skipped), counts=Counts.model_validate(query.counts(table)), top=query.top(table, limit),
        )
