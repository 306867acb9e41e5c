"""All that is known of one variant: its row, and every field of every record of every table behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from shared.variants.order_index import Index
from shared.variants.order_rows import rows_as_json, sources_of

_FORMATS = {"CSQ": r"Format:\s*", "vep": r"Format:\s*", "BCSQ": r"Format:\s*", "ANN": r"annotations:\s*'?",
            "EFF": r"'\s*"}


def detail(
    index: Index, row: int, local: Callable[[str], AbstractContextManager[Path]], tables: Sequence[str]
) -> dict[str, Any]:
    """{"row": as on a page, "sources": [{"table", "record", "line", "fields": every column of the variant table that
    has a value, "transcripts": [{field: text, "shown": bool}]}]}. The transcripts are all entries of the record's
    annotation, as written; `shown` is the one that the row shows. A duplicate is another source (C46)."""
    (shown,) = rows_as_json(index, np.array([row]))
    sources = []
    for table, number in sources_of(index, row):
        with local(tables[table]) as path:
            sources.append({"table": tables[table], **_record(path, number)})
    return {"row": shown, "sources": sources}


def _record(path: Path, number: int) -> dict[str, Any]:
    file = pq.ParquetFile(path)
    group = 0
    while number >= (rows := file.metadata.row_group(group).num_rows):
        number, group = number - rows, group + 1
    found: dict[str, Any] = file.read_row_group(group).slice(number, 1).to_pylist()[0]
    fields = {name: value for name, value in found.items() if value is not None}
    metadata = file.metadata.metadata or {}
    samples = json.loads(metadata.get(b"samples", b"[]"))
    return {"record": found["record"], "line": found["line"], "samples": samples, "fields": fields,
            "transcripts": _transcripts(fields, metadata.get(b"header", b"").decode())}


def _transcripts(fields: dict[str, Any], header: str) -> list[dict[str, Any]]:
    result = []
    for key, begins in _FORMATS.items():
        text, names = fields.get(f"info_{key}"), _names(header, key, begins)
        if not isinstance(text, str) or not names:
            continue
        for entry in text.split(","):
            values = dict(zip(names, entry.split("|"), strict=False))
            transcript = values.get("Feature") or values.get("Feature_ID") or values.get("transcript")
            shown = transcript is not None and transcript == fields.get("transcript")
            result.append({**{name: value for name, value in values.items() if value}, "shown": shown})
    return result


def _names(header: str, key: str, begins: str) -> list[str]:
    """Of the parts of an entry, as the header's own description lists them."""
    found = re.search(rf'^##INFO=<ID={key},.*?Description="(?P<text>.*)"', header, re.MULTILINE)
    listed = re.search(rf"{begins}(?P<names>[^\"'>]+)", found["text"]) if found else None
    return [name.strip(" []") for name in listed["names"].split("|")] if listed else []
