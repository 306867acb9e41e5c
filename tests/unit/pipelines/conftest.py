"""A small definition that tests change one thing of."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

INPUTS: dict[str, Any] = {
    "type": "object",
    "required": ["alignments", "reference"],
    "additionalProperties": False,
    "properties": {
        "alignments": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["path"],
                "additionalProperties": False,
                "properties": {
                    "path": {"type": "string", "format": "bucket-path", "x-index": [".bai", ".crai"]},
                    "lane": {"type": "integer", "minimum": 1},
                },
            },
        },
        "reference": {"type": "string", "format": "bucket-path", "x-index": [".fai"]},
        "panels": {"type": "array", "items": {"type": "string", "format": "bucket-path"}},
        "mode": {"enum": ["fast", "exact"]},
    },
}


@pytest.fixture
def definition() -> dict[str, Any]:
    return {
        "slug": "small-calls",
        "version": "1.2.0",
        "title": "Small calls",
        "inputs": deepcopy(INPUTS),
        "runnables": [{"image": "iflow/pipelines:1.0.0", "command": ["python", "-m", "x"]}],
        "resources": {
            "machine_type": "e2-standard-2",
            "cpu_milli": 2000,
            "memory_mib": 4096,
            "boot_disk_mib": 30720,
            "spot": True,
        },
        "max_run_seconds": 3600,
        "outputs": [{"glob": "*.vcf.gz", "kind": "vcf", "required": True}],
        "price_table": "list-prices-example",
    }
