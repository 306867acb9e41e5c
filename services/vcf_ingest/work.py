"""The work of an ingest: every output VCF becomes a variant table, all of them one cache, and one commit shows it.

Runs where its lease's holder put it: a process of its own on one machine, a Batch job for large files. A table is
immutable and named by the schema version, its VCF's checksum and the pipeline's mapping of annotations, so work that
was done once is found again, and a reader sees the old tables or the new ones.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from services.vcf_ingest.joining import Join, own_cache
from services.vcf_ingest.reference import StoredReference, opened, reference_of
from services.vcf_ingest.table_join import join_tables
from shared import tracing
from shared.domain import paths
from shared.domain.analysis import Analysis, IngestedFile, Output
from shared.domain.errors import Conflict, Permanent, Transient
from shared.domain.ingest import STARTING, WAITING, holds_lease, ingest_failed, ingest_ready, renew_lease
from shared.domain.lifecycle import Answer, Unchanged
from shared.domain.members import Source
from shared.domain.pipeline import OutputKind
from shared.logs import Line, why
from shared.ports import Ports
from shared.scratch import scratch
from shared.steps.announce import announce
from shared.steps.ingested import keep_whole
from shared.steps.outputs import every_output
from shared.steps.seen import PARQUET as KEY_FILES
from shared.steps.seen import KeyFiles
from shared.steps.store import Loaded, as_stored, decide, load
from shared.variants.mapping import NOTHING_MAPPED, AnnotationMapping
from shared.variants.report import TableReport, sex_doubts
from shared.variants.schema import SCHEMA_VERSION
from shared.variants.table import build_table

log = logging.getLogger(__name__)

WARNINGS_IN_DOCUMENT = 20
"""Of each file; the table's own metadata holds them all."""


class LeaseLost(Exception):
    """Another holder has taken over: it finds what was written so far, and nothing of ours becomes visible."""


class IngestRefused(Permanent):
    """The files cannot be ingested as they are."""


@dataclass(frozen=True)
class Ingested:
    file: IngestedFile
    report: Mapping[str, Any]


def read_report(table: Path) -> Mapping[str, Any]:
    """The report that a variant table carries in its metadata."""
    report: Mapping[str, Any] = json.loads(pq.read_metadata(table).metadata[b"report"])
    return report


@dataclass(frozen=True)
class Tables:
    """How a VCF becomes a table, how a table's report is read again, and how tables become what is browsed: the heavy
    part of the work."""

    build: Callable[..., TableReport] = build_table
    read: Callable[[Path], Mapping[str, Any]] = read_report
    join: Join = join_tables
    keys: KeyFiles = KEY_FILES


PARQUET = Tables()


def work(ports: Ports, project: str, analysis_id: str, holder: str, tables: Tables = PARQUET) -> None:
    """Ends with the ingest `ready` or `failed`; a fault that may pass is raised and the lease left to run out."""
    lease = _Lease(ports, load(ports.documents, paths.analysis_doc(project, analysis_id)), holder)
    analysis = lease.loaded.analysis
    try:
        if not holds_lease(analysis, holder):
            raise LeaseLost
        if analysis.ingest.progress == WAITING:
            lease.renew(STARTING)  # from here on, silence means that the work has died
        done = [_ingest(ports, analysis, vcf, lease, tables) for vcf in _vcfs(ports, analysis)]
        _refuse_other_samples(analysis, done)
        files = tuple(each.file for each in done)
        report = tuple({"path": each.file.path, **each.report} for each in done)
        cache = own_cache(ports, Source(analysis, files), lease.keep, tables.join, tables.keys)
        keep_whole(ports, analysis, files, report)
    except LeaseLost:
        log.warning("another holder has the lease", extra={"analysis_id": analysis_id})
    except Permanent as error:
        reason = str(error)
        log.error(Line.INGEST_FAILED, extra={"analysis_id": analysis_id, "project": project, "reason": why(error)})
        tracing.failed(error)
        _finish(ports, lease, lambda current: ingest_failed(current, reason, ports.clock()))
    except Transient:
        raise
    except Exception as error:  # a fault of ours: where an operator looks, it says which
        lease.renew(f"It broke. {type(error).__name__}: {error}")
        raise
    else:
        _finish(ports, lease, lambda current: ingest_ready(
            current, files, cache=cache, report=report,
            versions={"table_schema": str(SCHEMA_VERSION)}, now=ports.clock(),
        ))


def _finish(ports: Ports, lease: _Lease, end: Callable[[Analysis], Answer]) -> None:
    def if_still_held(current: Analysis) -> Answer:
        return end(current) if holds_lease(current, lease.holder) else Unchanged("the lease was lost")

    known = lease.loaded
    loaded, why_not = decide(ports.documents, known.analysis.doc_path, if_still_held, known=known)
    if why_not is None:
        announce(ports.documents, ports.bus, as_stored(loaded))


def _vcfs(ports: Ports, analysis: Analysis) -> list[Output]:
    return [output for output in every_output(ports, analysis) if output.kind is OutputKind.VCF]


def _ingest(ports: Ports, analysis: Analysis, vcf: Output, lease: _Lease, tables: Tables) -> Ingested:
    """The table of one VCF, found in the bucket or built and put there."""
    with ports.objects.local(analysis.bucket, vcf.path) as file:
        mapping, reference = _mapping(analysis), reference_of(ports, analysis)
        name = "-".join(filter(None, (_sha256(file), mapping.digest, reference.digest if reference else "")))
        table = f"cache/variants/v{SCHEMA_VERSION}/{name}.parquet"
        if ports.objects.stat(analysis.bucket, table) is None:
            report = _build(ports, analysis, file, vcf, table, mapping, reference, lease, tables)
        else:
            with ports.objects.local(analysis.bucket, table) as built:
                report = tables.read(built)
    stated = {sample.name: sample.sex.value for sample in analysis.samples}
    doubts = [note.to_json() for note in sex_doubts(report, stated)]
    report = {**report, "warnings": [*doubts, *report["warnings"]]}
    return Ingested(_counts(vcf, table, report), _short(report))


def _mapping(analysis: Analysis) -> AnnotationMapping:
    said = analysis.pipeline.definition.get("annotations") or {}
    return AnnotationMapping(**said) if said else NOTHING_MAPPED


def _build(
    ports: Ports, analysis: Analysis, file: Path, vcf: Output, table: str, mapping: AnnotationMapping,
    reference: StoredReference | None, lease: _Lease, tables: Tables,
) -> Mapping[str, Any]:
    with scratch() as folder, opened(ports, analysis.bucket, reference) as at_hand:
        built = folder / "table.parquet"
        report = tables.build(
            file, built, mapping=mapping, reference=at_hand,
            progress=lambda records: lease.keep(f"{vcf.path}: {records:,} records read."),
        )
        seen = ports.objects.stat(analysis.bucket, vcf.path)
        if seen is None or seen.generation != vcf.generation:
            raise IngestRefused(f"{vcf.path} was changed after the run ended; rerun the analysis")
        with suppress(Conflict):  # another holder put the very same bytes there
            ports.objects.upload(analysis.bucket, table, built, if_generation=0)
    return report.to_json()


def _refuse_other_samples(analysis: Analysis, done: list[Ingested]) -> None:
    """The columns must be those of the samples that the analysis was asked for (C53); none named: any will do."""
    wanted = {sample.name for sample in analysis.samples}
    found = {name for each in done for name in each.file.samples}
    if wanted and wanted != found:
        raise IngestRefused(
            f"the analysis is of samples {', '.join(sorted(wanted))}, but its VCFs have the columns "
            f"{', '.join(sorted(found)) or 'none'}; correct the sample names and rerun"
        )


def _counts(vcf: Output, table: str, report: Mapping[str, Any]) -> IngestedFile:
    return IngestedFile(
        path=vcf.path, table=table, assembly=report["assembly"], records=report["records"], rows=report["rows"],
        skipped=report["skipped"],
        samples=tuple(sample["name"] for sample in report["samples"]), warnings=len(report["warnings"]),
    )


def _short(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the document keeps: samples and contigs of a large panel belong to the table's own metadata."""
    contigs = dict(list(report["contigs"].items())[:50])
    samples = report["samples"][:20]
    return {**report, "contigs": contigs, "samples": samples, "warnings": report["warnings"][:WARNINGS_IN_DOCUMENT]}


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class _Lease:
    """Renewed at a third of its length while the work goes on. `loaded` is the analysis as we last saw it."""

    def __init__(self, ports: Ports, loaded: Loaded, holder: str) -> None:
        self._ports = ports
        self.loaded = loaded
        self.holder = holder
        self._every = timedelta(seconds=ports.rules.policy.ingest_lease_s / 3)
        self._next = ports.clock() + self._every

    def keep(self, progress: str) -> None:
        """Raises LeaseLost once somebody else has it."""
        if self._ports.clock() >= self._next:
            self.renew(progress)

    def renew(self, progress: str) -> None:
        """Raises LeaseLost."""
        now = self._ports.clock()
        self._next = now + self._every
        self.loaded, _ = decide(
            self._ports.documents, self.loaded.analysis.doc_path,
            lambda current: renew_lease(current, self.holder, now, self._ports.rules.policy, progress),
            known=self.loaded,
        )
        if not holds_lease(self.loaded.analysis, self.holder):
            raise LeaseLost
