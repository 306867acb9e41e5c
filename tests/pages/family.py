"""A family with known variants on a stack: what reviewers look for, ingested by a real run and joined in an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.domain import paths
from shared.steps.register import register_pipeline
from tests.flow.stack import ADA, Stack
from tests.flow.test_real_files import COPY
from tests.unit.variants.orders import FIELDS, csq, table

REF, HET, HOM = "0/0:30,0:30:99", "0/1:15,15:30:99", "1/1:0,30:30:99"
ROLES = (("proband", "male"), ("mother", "female"), ("father", "male"))
NEEDLE = "1-1000-A-C"
"""The one that is de novo."""


def _record(place: str, what: str, gene: str, calls: tuple[str, str, str], af: str, impact: str, clinvar: str) -> str:
    said = csq("C", what, impact, gene, af=af, clinvar=clinvar)
    return f"{place} . A C 90 PASS {said} {FIELDS} {' '.join(calls)}"


def family_vcf(names: Sequence[str] = ("P", "M", "F"), common: int = 250) -> bytes:
    """Proband, mother, father: five rare damaging ones among `common` others."""
    rare = ("0.0001", "MODERATE", "pathogenic")
    rows = [
        _record("chr1 1000", "missense_variant", "DENOVO", (HET, REF, REF), *rare),
        *(_record(f"chr1 {2000 + n}", "intron_variant", f"HAY{n % 7}", (HET, HET, REF), "0.3", "MODIFIER", "benign")
          for n in range(common)),
        _record("chr2 1000", "missense_variant", "TRANS", (HET, REF, HET), *rare),
        _record("chr2 2000", "stop_gained", "TRANS", (HET, HET, REF), "0.0001", "HIGH", "likely_pathogenic"),
        _record("chr4 1000", "missense_variant", "RECESSIVE", (HOM, HET, HET), *rare),
        _record("chrX 5000000", "missense_variant", "LINKED", (HOM, HET, REF), *rare),
    ]
    return table(*rows, samples=list(names)).encode()


def ingested_family(
    stack: Stack, name: str = "Family 7", names: Sequence[str] = ("P", "M", "F")
) -> dict[str, Any]:
    """The document of the analysis, once its variants can be browsed."""
    slug = paths.slug(name)
    register_pipeline(stack.ports, stack.project, COPY, by=ADA)
    path = f"samples/{slug}/uploads/{slug}.vcf"
    stack.ports.objects.write(stack.project, path, family_vcf(names))
    samples = [{"name": n, "role": role, "sex": sex} for n, (role, sex) in zip(names, ROLES, strict=True)]
    body = {"display_id": name, "pipeline": "copy", "inputs": {"file": path}, "samples": samples}
    answer = stack.client.post("/analyses", json=body)
    assert answer.status_code == 201, answer.text
    analysis = answer.json()["id"]
    stack.until(lambda: stack.document(analysis)["ingest"]["status"] == "ready" or None, within_s=90)
    return dict(stack.document(analysis))
