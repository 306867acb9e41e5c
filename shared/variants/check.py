"""Is this VCF good? Builds its variant table in a scratch folder and says what was found. DESIGN, section 10."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.variants.report import VcfRefused
from shared.variants.table import build_table

logger = logging.getLogger(__name__)


def check(path: Path) -> dict[str, Any]:
    """The JSON object of `iflow variants check` for one file; never raises for what is in the file or where it is.

    Taken: file, records, alleles, rows, skipped, samples (the number of columns), warnings, report.
    Refused: file, error, record, line; these may be null.
    """
    try:
        with TemporaryDirectory(prefix="iflow-check-") as scratch:
            report = build_table(path, Path(scratch) / "table.parquet")
    except VcfRefused as refusal:
        return {"file": str(path), "error": refusal.reason, "record": refusal.record, "line": refusal.line}
    except OSError as error:
        return {"file": str(path), "error": f"cannot be read: {error}", "record": None, "line": None}
    except Exception as error:
        # A defect of ours; it is logged whole, and the files after this one are still looked at.
        logger.exception("checking %s failed", path)
        return {"file": str(path), "error": f"internal error: {error!r}", "record": None, "line": None}
    return {
        "file": str(path), "records": report.records, "alleles": report.alleles, "rows": report.rows,
        "skipped": report.skipped, "samples": len(report.samples),
        "warnings": [note.to_json() for note in report.warnings], "report": report.to_json(),
    }
