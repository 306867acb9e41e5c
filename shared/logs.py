"""One set-up of logging: a JSON object a line, as Cloud Logging reads it, with the fields given in `extra`."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

FIELDS = (
    "analysis_id", "project", "event_id", "message_id", "subscription", "document", "job", "reason", "count",
)
"""What may stand in `extra`. None of them holds an input, a genotype, a token or a signed address."""


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def log_as_json(file: Path | None = None, level: int = logging.INFO) -> None:
    """To stderr, or appended to a file, once: a second call replaces the first."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file)
    handler.setFormatter(_Json())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("google", "urllib3", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
