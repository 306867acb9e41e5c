"""Order tables for tests, joined of small VCFs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.domain.cache import Member
from shared.domain.request import Role, Sex
from shared.variants.filters import filter_from
from shared.variants.order_index import open_index
from shared.variants.order_table import build_order_table
from shared.variants.query import OrderQueries, Result
from shared.variants.reference import Reference
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

CSQ = info("CSQ", ".", "String", "Consequence annotations from Ensembl VEP. Format: Allele|Consequence|IMPACT|SYMBOL|"
           "Gene|Feature|MANE_SELECT|HGVSc|HGVSp|MAX_AF|CLIN_SIG")
META = (CSQ, info("END", "1", "Integer"), info("SVLEN", ".", "Integer"), info("TIER", "1", "String"),
        fmt("GT", "1", "String"), fmt("PS", "1", "Integer"), fmt("DP", "1", "Integer"), fmt("AD", "R", "Integer"),
        fmt("GQ", "1", "Integer"))
GRCH38 = ("chr1,length=248956422",)
FIELDS = "GT:AD:DP:GQ"


class Joined:
    """`samples`: name -> role or (role, sex), in one table or several (each (VCF text, its samples))."""

    def __init__(self, folder: Path, tables: Sequence[tuple[str, Mapping[str, Any]]], seen: Mapping[str, int] | None
                 = None, reference: Reference | None = None) -> None:
        members = []
        for number, (text, samples) in enumerate(tables):
            built = Built(folder, text, f"{number}.vcf", reference=reference)
            for column, (name, what) in enumerate(samples.items()):
                role, sex = what if isinstance(what, tuple) else (what, "unknown")
                members.append((Member(name=name, role=Role(role), sex=Sex(sex), table=f"t{number}", column=column,
                                       analysis=f"a{number}"), built.path))
        self.path = folder / "order.parquet"
        counted = None
        if seen is not None:
            counted = folder / "seen.parquet"
            pq.write_table(pa.table({"key": sorted(seen), "n": pa.array([seen[k] for k in sorted(seen)], pa.int32())}),
                           counted)
        self.members = members
        self.manifest = build_order_table(members, self.path, counted)
        self.queries = OrderQueries(open_index(self.path.with_suffix(".index")), "v1")

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.path).to_pylist()
        return found

    def result(self, **fields: Any) -> Result:
        return self.queries.result(filter_from(fields))

    def keys(self, *, sort: str = "", **fields: Any) -> list[str]:
        """Of the rows that pass, in order."""
        page = self.queries.page(self.result(**fields), sort=sort, limit=1000)
        return [row["key"] for row in page.rows]

    def shown(self, **fields: Any) -> dict[str, dict[str, Any]]:
        """By key."""
        return {row["key"]: row for row in self.queries.page(self.result(**fields), limit=1000).rows}


def table(*records: str, samples: Sequence[str]) -> str:
    return vcf(*records, meta=META, samples=tuple(samples), contigs=GRCH38)


def csq(allele: str, consequence: str, impact: str, gene: str, *, af: str = "", clinvar: str = "", hgvsc: str = "",
        hgvsp: str = "", mane: str = "NM_1") -> str:
    return f"CSQ={allele}|{consequence}|{impact}|{gene}|G_{gene}|T_{gene}|{mane}|{hgvsc}|{hgvsp}|{af}|{clinvar}"
