"""An example for every call of the OpenAPI document: answers of a real stack, as `make examples` recorded them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

JSON = "application/json"

PARAMETERS: dict[str, Any] = {
    "analysis": "wgs-12-a", "order": "o-2026-17", "pipeline": "vcf-normalize@latest", "panel": "cardiomyopathy",
    "name": "rare-and-damaging", "upload": "9a1f9d1c-52c5-5a61-8d5a-6f1a0c1f5e11",
    "path": "variants.vcf.gz", "key": "chr1-20-G-T", "rejection": "1024", "letter": "1025",
    "email": "ada@lab.example", "cursor": "WyIyMDI2LTExLTI1Il0.0f9b43d1c2a4e6f8", "after": "WzBd.0f9b43d1c2a4e6f8",
    "x-project-id": "demo",
    "idempotency-key": "lims-4711", "if-none-match": '"17"', "if-match": '"17"', "range": "bytes=0-1023",
    "sample": "HG002", "started_by": "me", "rerun_of": "53d63910-5360-5b55-99c6-d186c8055ab9", "text": "wgs-12",
    "q": "rs80357906", "qual_min": 30, "depth_min": 20, "alt_min": 5, "gq_min": 20, "vaf_min": 0.05, "vaf_max": 0.6,
    "frequency_max": 0.01, "seen_max": 3, "vaf_delta_min": 0.1, "saved": "rare-and-damaging",
    "columns": "gene,hgvs_c,consequence", "tail": 100, "if-range": '"17"', "last-event-id": "17",
}
"""By the parameter's name, where it has neither a default nor words to choose from."""


@lru_cache(maxsize=1)
def recorded() -> dict[str, dict[str, Any]]:
    """`METHOD path template` -> what was sent (`request`, if a body was) and answered (`answer`)."""
    found: dict[str, dict[str, Any]] = json.loads(
        resources.files("services.miner").joinpath("examples.json").read_text(encoding="utf-8")
    )
    return found


def add_examples(document: dict[str, Any]) -> None:
    """Into the OpenAPI document, where it has none."""
    for line, operation in operations(document):
        example = recorded().get(line, {})
        for parameter in operation.get("parameters", []):
            name = parameter["name"].lower()
            if not says_by_itself(parameter) and name in PARAMETERS:
                parameter["example"] = PARAMETERS[name]
        if "request" in example:
            content = operation["requestBody"]["content"]
            content.get(JSON, {}).setdefault("example", example["request"])
        if (answer := answer_of(operation)) is not None and "answer" in example:
            answer.setdefault("example", example["answer"])


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def answer_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON content of what it answers when all is well; None where that is no JSON."""
    for status in sorted(status for status in operation["responses"] if status.startswith("2") and status != "200"):
        found: dict[str, Any] | None = operation["responses"][status].get("content", {}).get(JSON)
        if found is not None:
            return found
    of_200: dict[str, Any] | None = operation["responses"].get("200", {}).get("content", {}).get(JSON)
    return of_200


def says_by_itself(parameter: dict[str, Any]) -> bool:
    """It has an example, a default, or words to choose from, such as yes and no."""
    schema = parameter.get("schema", {})
    kinds = [schema, *schema.get("anyOf", []), schema.get("items", {})]
    told = ("default", "examples", "example", "enum", "$ref", "const", "format")
    if any(kind.get("type") == "boolean" for kind in kinds):
        return True
    return "example" in parameter or "examples" in parameter or any(word in kind for kind in kinds for word in told)
