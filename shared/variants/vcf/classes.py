"""Clinical classification by row: ClinVar's, and the pipeline's own by the mapping of its definition."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.mapping import AnnotationMapping
from shared.variants.report import Notes
from shared.variants.schema import TableSchema
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.clinical import acmg_class, clinvar, tier
from shared.variants.vcf.entries import LOOSE_NAMES, Chosen, bare
from shared.variants.vcf.fields import Held
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.spans import spread
from shared.variants.vcf.values import decoded

_STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class ClassReader:
    """Of one block: `held` are the texts of each INFO key by record, `columns` those of INFO by row; `chosen` the
    annotation's entries, where there is one."""

    block: Block
    rows: Rows
    schema: TableSchema
    held: dict[str, Held]
    columns: dict[str, pa.Array]
    chosen: Chosen | None
    notes: Notes

    def read(self, mapping: AnnotationMapping, gene: pa.Array | None) -> dict[str, pa.Array]:
        """The columns clinvar, tier, acmg_class, and gene, where `gene` is the chosen transcript's."""
        found = {"clinvar": self._clinvar()}
        for name, said, of in (("tier", mapping.tier, tier), ("acmg_class", mapping.acmg_class, acmg_class)):
            text = self._mapped(said) if said else None
            if said and text is not None:
                found[name] = self._spelled(text, pa.string(), self._class_of(said, of))
        reported = self._mapped(mapping.gene) if mapping.gene else None
        known = [array for array in (reported, gene) if array is not None]
        if known:
            found["gene"] = pc.coalesce(*known)
        return {name: array for name, array in found.items() if array is not None}

    def _clinvar(self) -> pa.Array | None:
        chosen = self.chosen
        texts = [chosen.text_at(place) for place in chosen.layout.loose["clinvar"]] if chosen else []
        texts += [self._of_records(key) for key in self.held if _is_clinvar(key)]
        return self._spelled(pc.coalesce(*texts), _STRINGS, self._significances) if texts else None

    def _significances(self, text: str) -> tuple[list[str] | None, list[str]]:
        found, odd = clinvar(text)
        return found or None, [f"{shown(word)} is no significance of ClinVar" for word in odd]

    def _class_of(self, said: str, of: Callable[[str], str | None]) -> Callable[[str], tuple[str, list[str]]]:
        def read(text: str) -> tuple[str, list[str]]:
            name = of(text)
            return (name, []) if name else (text, [f"{said}: {shown(text)} is no class that is known; kept as it is"])

        return read

    def _spelled(self, text: pa.Array, type_: pa.DataType, read: Callable[[str], tuple[Any, list[str]]]) -> pa.Array:
        """Each text in one spelling, worked out once; what is odd about it is noted."""
        encoded = text.dictionary_encode()
        values = []
        for code, spelling in enumerate(encoded.dictionary.to_pylist()):
            value, odd = read(spelling)
            values.append(value)
            if odd:
                at = np.flatnonzero(encoded.indices.fill_null(pa.scalar(-1, pa.int32())).to_numpy() == code)
                line = self.block.line(int(self.rows.record[at[0]]))
                for message in odd:
                    self.notes.add("classification", message, line, len(at))
        return pa.array(values, type_).take(encoded.indices)

    def _mapped(self, name: str) -> pa.Array | None:
        found = [self._of_records(name)] if name in self.held else []
        if self.chosen and name in self.chosen.layout.names:
            found.append(decoded(self.chosen.text_at(self.chosen.layout.names.index(name))))
        return pc.coalesce(*found) if found else None

    def _of_records(self, key: str) -> pa.Array:
        """An INFO key's text by row: this allele's where the header says so, else the record's."""
        column = self.schema.info.get(key)
        if column is not None and column.shape == "allele" and column.kind == "String":
            return self.columns[column.name]
        held = self.held[key]
        text = held.texts.to_arrow((held.texts.sizes > 0) & ~held.texts.is_missing())
        return self.rows.expand(spread(decoded(text), held.at, held.owners))


def _is_clinvar(key: str) -> bool:
    return bool(re.fullmatch(LOOSE_NAMES["clinvar"], bare(key)))
