"""The reads behind a variant: igv.js over what the runs left, by addresses that renew themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from services.miner.auth.headers import PAGES
from services.miner.caches import Subject, of_analysis, of_order
from services.miner.context import TheAnalysis, TheOrder, ThePorts, TheProject, analysis_named, loaded, loaded_order
from services.miner.pages.rendering import render
from services.miner.problems import Refusal, not_found
from shared.domain.analysis import Analysis, Output
from shared.ports import Ports
from shared.steps.outputs import every_output

router = APIRouter(include_in_schema=False)

Locus = Annotated[str, Query(max_length=200, description="As igv.js takes it: `chr7:140,753,286-140,753,386`.")]
POLICY = PAGES.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "connect-src 'self'", "connect-src 'self' blob: data: https://storage.googleapis.com"
)
"""igv.js writes two style elements of its own; signed addresses are Cloud Storage's where it is deployed."""

_ALIGNMENTS = (".bam", ".cram")
_VARIANTS = (".vcf.gz",)
_INDEXES = {".bam": (".bai", ".csi"), ".cram": (".crai",), ".vcf.gz": (".tbi", ".csi")}
_CONTIG = re.compile(r"^##contig=<(?=.*\bID=([^,>]+))(?=.*\blength=(\d+)).*>$", re.MULTILINE)


@router.get("/analyses/{analysis}/reads")
def of_one(request: Request, stored: TheAnalysis, ports: ThePorts, locus: Locus = "") -> Response:
    analysis = loaded(stored).analysis
    return _page(request, ports, f"/analyses/{analysis.slug}", analysis.display_id, [analysis], locus)


@router.get("/orders/{order}/reads")
def of_order_(request: Request, stored: TheOrder, project: TheProject, ports: ThePorts, locus: Locus = "") -> Response:
    order = loaded_order(stored).order
    found = [loaded(each).analysis for name in order.analyses if (each := analysis_named(ports, project, name))]
    return _page(request, ports, f"/orders/{order.slug}", order.display_id, found, locus)


@router.get("/analyses/{analysis}/reads/contigs")
def contigs_of_one(stored: TheAnalysis, ports: ThePorts) -> PlainTextResponse:
    return _contigs(ports, of_analysis(loaded(stored).analysis))


@router.get("/orders/{order}/reads/contigs")
def contigs_of_order(stored: TheOrder, ports: ThePorts) -> PlainTextResponse:
    return _contigs(ports, of_order(loaded_order(stored).order))


@router.get("/analyses/{analysis}/reads/reference/{kind}")
def reference_file(
    request: Request, stored: TheAnalysis, ports: ThePorts, kind: Annotated[Literal["fa", "fai", "gzi"], InPath()]
) -> RedirectResponse:
    """To a signed address of the FASTA file that the pipeline names, or of its index."""
    analysis = loaded(stored).analysis
    path = reference_of(analysis)
    file = ports.objects.stat(analysis.bucket, path + ("" if kind == "fa" else f".{kind}")) if path else None
    if file is None:
        raise not_found(f"reference ({kind}) of analysis {analysis.display_id!r}")
    link = request.app.state.links.to(ports, analysis.bucket, file, f"{request.base_url}")
    return RedirectResponse(link.url, 307, {"Cache-Control": "no-store"})


def reference_of(analysis: Analysis) -> str | None:
    """Its path in the bucket."""
    found: str | None = analysis.pipeline.definition.get("reference")
    return found


def has_reads(analysis: Analysis) -> bool:
    """By the outputs that the document itself holds."""
    return any(each.path.endswith(_ALIGNMENTS) for each in analysis.outputs)


def _page(
    request: Request, ports: Ports, parent: str, name: str, analyses: Sequence[Analysis], locus: str
) -> Response:
    tracks = [track for analysis in analyses for track in _tracks(analysis, every_output(ports, analysis))]
    if not any(track["type"] == "alignment" for track in tracks):
        raise Refusal(404, "no-reads", f"{name!r} has no BAM or CRAM file with its index among its outputs; a pipeline "
                      "keeps them by `outputs` in its definition.")
    reference = next((_reference(ports, each) for each in analyses if reference_of(each)), None)
    answer = render(
        request, "reads.html", parent=parent, name=name, tracks=tracks, locus=locus, reference=reference,
    )
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def _tracks(analysis: Analysis, outputs: Sequence[Output]) -> Iterator[dict[str, Any]]:
    """Of each file that has its index beside it; the script asks for addresses by `links` and `path`."""
    paths = {each.path for each in outputs}
    for output in outputs:
        ending = next((each for each in (*_ALIGNMENTS, *_VARIANTS) if output.path.endswith(each)), None)
        beside = [output.path + index for index in _INDEXES.get(ending or "", ())]
        beside += [output.path.removesuffix(ending or "") + index for index in _INDEXES.get(ending or "", ())]
        if ending and any(path in paths for path in beside):
            yield {
                "name": output.path.rpartition("/")[2], "path": output.path,
                "type": "alignment" if ending in _ALIGNMENTS else "variant", "format": ending.split(".")[1],
                "links": f"/api/v1/analyses/{analysis.id}/links",
                "index": next(path for path in beside if path in paths),
            }


def _reference(ports: Ports, analysis: Analysis) -> dict[str, Any]:
    """As igv.js takes it, but for the project in its addresses."""
    path = reference_of(analysis) or ""
    base = f"/analyses/{analysis.id}/reads/reference"
    found = {"name": path.rpartition("/")[2], "fastaURL": f"{base}/fa", "indexURL": f"{base}/fai"}
    if ports.objects.stat(analysis.bucket, f"{path}.gzi"):
        found["compressedIndexURL"] = f"{base}/gzi"
    return found


def _contigs(ports: Ports, subject: Subject) -> PlainTextResponse:
    """Names and lengths as the VCF's header has them: what igv.js needs where no reference is at hand."""
    manifest = json.loads(ports.objects.read(subject.bucket, subject.built.manifest))
    with ports.objects.local(subject.bucket, manifest["tables"][0]["table"]) as path:
        header = (pq.read_metadata(path).metadata or {}).get(b"header", b"").decode()
    return PlainTextResponse("".join(f"{name}\t{length}\n" for name, length in _CONTIG.findall(header)))
