"""Frequencies and in-silico scores, from the chosen entry of an annotation, else from INFO keys of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants import kernels
from shared.variants.schema import TableSchema
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.entries import LOOSE_NAMES, Chosen, Entries, Layout, bare
from shared.variants.vcf.fields import Held, any_true
from shared.variants.vcf.pairs import Pairs, pairs_of
from shared.variants.vcf.spans import spread
from shared.variants.vcf.values import NO_TEXT, NULL_TEXT, holds, numbers

SCORES = ("cadd_phred", "revel", "spliceai_max", "af_gnomad_exome", "af_gnomad_genome")
_INFO_FREQUENCY = re.compile(r"^(?:gnomad|exac|1000g|topmed).*af", re.IGNORECASE)
# What a predictor says and its score, `deleterious(0.02)`; one may be without the other.
_PREDICTION = r"^(?P<term>[A-Za-z_ ]*)[(]?(?P<score>[0-9.eE-]*)[)]?$"


def scores_by_allele(layouts: Sequence[Layout], held: dict[str, Held], ref: pa.Array, rows: Rows
                     ) -> dict[str, pa.Array]:
    """The highest number for each row among the entries of its own allele, several genes' among them: of INFO keys that
    have entries of their own (`layouts`). `held` are the texts of each key by record, `ref` is REF by row."""
    found: dict[str, pa.Array] = {}
    for layout in layouts:
        if layout.key not in held:
            continue
        entries = Entries(layout, held[layout.key])
        pairs = pairs_of(entries, ref, rows)
        for name in SCORES:
            if layout.loose[name]:
                values = highest(Chosen(entries, pairs.entry), layout.loose[name])
                best = _highest_by_row(pairs, values, len(rows))
                found[name] = best if name not in found else pc.max_element_wise(found[name], best)
    return found


def _highest_by_row(pairs: Pairs, values: pa.Array, rows: int) -> pa.Array:
    known = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    best = np.full(rows, -np.inf)
    np.maximum.at(best, pairs.row[known], values.take(pa.array(known)).to_numpy())
    return pa.array(best, mask=np.isinf(best))


def read_scores(schema: TableSchema, columns: dict[str, pa.Array], by_allele: dict[str, pa.Array],
                chosen: Chosen | None, rows: int) -> dict[str, pa.Array]:
    """The columns of SCORES, `af_max`, `sift` and `polyphen`; `columns` are those of INFO, and `af_max` so far. Of the
    chosen entry, else of entries by allele, else of an INFO key."""
    found = {}
    for name in SCORES:
        stated = highest(chosen, chosen.layout.loose[name]) if chosen else None
        in_info = _of_info(schema, columns, partial(_is_called, name))
        found[name] = _first([stated, by_allele.get(name), in_info], rows)
    frequencies = _of_info(schema, columns, _is_frequency)
    found["af_max"] = _first([columns.get("af_max"), frequencies], rows)
    for name in ("sift", "polyphen"):
        if chosen and name in chosen.layout.places:
            found |= _prediction(name, chosen.text(name))
    return found


def highest(chosen: Chosen, places: tuple[int, ...]) -> pa.Array:
    """The highest number in any of the fields, by row."""
    numbers = [_numbers_at(chosen, place) for place in places]
    if len(numbers) < 2:
        return numbers[0] if numbers else pa.nulls(len(chosen.entry), pa.float64())
    return pc.max_element_wise(*numbers)


def _is_called(name: str, key: str) -> bool:
    return bool(re.fullmatch(LOOSE_NAMES[name], bare(key)))


def _is_frequency(key: str) -> bool:
    return bool(_INFO_FREQUENCY.match(key))


def _of_info(schema: TableSchema, columns: dict[str, pa.Array], meant: Callable[[str], bool]) -> pa.Array | None:
    """The highest of the INFO keys that are meant, where they hold a number for each record or allele."""
    found = None
    for key, column in schema.info.items():
        if column.kind in ("Float", "Integer") and column.shape in ("value", "allele") and meant(key):
            values = columns.get(column.name)
            if values is not None:
                values = values.cast(pa.float64())
                found = values if found is None else pc.max_element_wise(found, values)
    return found


def _first(arrays: Sequence[pa.Array | None], rows: int) -> pa.Array:
    known = [array for array in arrays if array is not None]
    return pc.coalesce(*known) if known else pa.nulls(rows, pa.float64())


def _prediction(name: str, text: pa.Array) -> dict[str, pa.Array]:
    at = np.flatnonzero(text.is_valid())
    parts = pc.extract_regex(text.take(pa.array(at)), _PREDICTION)
    term, score = pc.struct_field(parts, "term"), pc.struct_field(parts, "score")
    term, score = (pc.if_else(pc.equal(part, NO_TEXT), NULL_TEXT, part) for part in (term, score))
    return {name: spread(term, at, len(text)), f"{name}_score": spread(_numbers(score), at, len(text))}


def _numbers_at(chosen: Chosen, place: int) -> pa.Array:
    """By row. Several columns ask for the same frequencies: they are read once."""
    if place not in chosen.numbers:
        fields = chosen.fields(place)
        values, unsure = kernels.floats(fields.text.u8, fields.starts, fields.ends)
        if len(at := np.flatnonzero(unsure)):
            values = pc.replace_with_mask(values, pa.array(unsure), _numbers(fields[at].to_arrow()))
        chosen.numbers[place] = values
    return chosen.numbers[place]


def _numbers(text: pa.Array) -> pa.Array:
    """Of several joined by `&` (co-located known variants, transcripts) the highest. What is no number says nothing."""
    if holds(text, "&") or holds(text, ":"):
        several = any_true(pc.match_substring_regex(text, "[&:]"))
        best = [_highest_of(value) for value in text.filter(pa.array(several)).to_pylist()]
        text = pc.replace_with_mask(text, pa.array(several), pa.array(best, pa.string()))
    values, _ = numbers(text, text.is_valid().to_numpy(zero_copy_only=False), "Float")
    return values


def _highest_of(joined: str) -> str | None:
    # Up to VEP 89 an allele stands before the number, as in `T:0.01`.
    parts = [part.rpartition(":")[2] for part in joined.split("&")]
    known = [part for part in parts if re.fullmatch(r"[0-9.]+(?:[eE][-+]?[0-9]+)?", part)]
    return max(known, key=float) if known else None
