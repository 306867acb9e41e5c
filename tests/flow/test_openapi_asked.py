"""schemathesis asks the API whatever its OpenAPI document allows, and some of what it does not: every answer is as
documented, and none is a 500. The same questions every time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.miner.app import create_app
from tests.examples import examples
from tests.flow.stack import Stack
from tests.flow.test_rest_files import VCF

QUESTIONS = examples(8)
"""Of each operation, beside those that its document's bounds lead to."""

CHECKS = [
    status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
]
"""A 500 is nowhere documented, so it is refused by the first."""

document = create_app().openapi()
schema = schemathesis.openapi.from_dict(document)


def _ends(operation: Mapping[str, Any]) -> bool:
    """A stream of events goes on for as long as somebody listens."""
    return not any("text/event-stream" in answer.get("content", {}) for answer in operation["responses"].values())


STREAMS = [
    (method.upper(), path) for path, operations in document["paths"].items()
    for method, operation in operations.items() if not _ends(operation)
]
for method, path in STREAMS:
    schema = schema.exclude(method=method, path=path)


@pytest.fixture(scope="module")
def emulators() -> None:
    """The embedded stack alone: this is about HTTP, and the stores have suites of their own."""


@pytest.fixture(scope="module")
def known(stack: Stack) -> dict[str, str]:
    """Path parameters that name something."""
    stack.ports.objects.write("demo", "samples/s1/uploads/s1.vcf", VCF.encode())
    made = stack.submit(
        "Asked", pipeline="vcf-normalize", inputs={"vcf": "samples/s1/uploads/s1.vcf"}, samples=[{"name": "S1"}]
    )
    stack.until(lambda: stack.document(made["id"])["ingest"]["status"] == "ready")
    order = stack.client.post("/orders", json={"display_id": "Asked", "analyses": [made["id"]]}).json()
    stack.client.post("/panels", json={"name": "Asked", "content": "BRCA1\n"})
    stack.client.post("/samples", json={"name": "S1"})
    there = stack.ports.objects.stat("demo", "samples/s1/uploads/s1.vcf")
    upload = stack.client.post("/samples/s1/uploads", json={
        "name": "s1.vcf", "size": there.size, "crc32c": there.crc32c
    }).json()
    stack.ports.objects.write("demo", "samples/trio/uploads/trio.vcf.gz", VCF.encode())  # as in the examples
    stack.ports.objects.write("demo", "client-resources/gene-panels/cardiomyopathy.txt", b"MYH7\n")
    nowhere = {"id": "nowhere", "type": "analysis.start", "project": "demo", "data": {"analysis_id": "none"}}
    stack.client.post("/events", content=json.dumps({**nowhere, "subject": "x", "time": "2026-11-25T08:00:00Z"}))
    stack.client.post("/events", content=b"no JSON")
    rejected, dead = (
        stack.until(lambda family=family: stack.client.get(f"/ops/{family}").json()["items"])[0]["id"]
        for family in ("rejections", "dead-letters")
    )
    rows = stack.client.get(f"/analyses/{made['id']}/variants").json()["rows"]
    return {
        "analysis": made["id"], "order": order["id"], "pipeline": "vcf-normalize", "panel": "asked", "name": "asked",
        "email": "asked@lab.example", "sample": "s1", "upload": upload["id"],
        "path": "request/inputs.json", "key": rows[0]["key"], "rejection": rejected, "letter": dead,
    }


REFUSED = {
    ("POST", "/api/v1/analyses/{analysis}/cancel"): "what there is has ended",
    ("PATCH", "/api/v1/orders/{order}"): "no change that is thought up is one",
}


@pytest.fixture(scope="module")
def answered() -> Iterator[dict[tuple[str, str], list[int]]]:
    """What each operation that this process asked was answered with: once at least with what was asked for, else only
    refusals were looked at."""
    statuses: dict[tuple[str, str], list[int]] = {}
    yield statuses
    refused = sorted(operation for operation, found in statuses.items() if min(found) >= 300)
    assert set(refused) <= set(REFUSED), refused


@schema.parametrize()
@settings(
    max_examples=QUESTIONS, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(
    case: schemathesis.Case, stack: Stack, known: dict[str, str], answered: dict[tuple[str, str], list[int]]
) -> None:
    """Every other question is about something that there is."""
    statuses = answered.setdefault((case.operation.method.upper(), case.operation.path), [])
    if len(statuses) % 2 == 0:
        case.path_parameters = _with(known, case.path_parameters or {})
        case.query = _with(known, case.query or {})
    if case.method == "DELETE" or len(statuses) == 0:  # what the question before may have deleted
        stack.client.post("/filters", json={"name": "Asked", "filter": {}})
        stack.client.put("/members/asked@lab.example", json={"role": "viewer"})
    answer = case.call(base_url=stack.api, headers=dict(stack.client.headers))
    statuses.append(answer.status_code)
    case.validate_response(answer, checks=CHECKS)


def _with(known: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those that name something, as they are known; of a repeatable one, one."""
    found = {
        name: [known[name]] if isinstance(value, list) else known[name]
        for name, value in parameters.items() if name in known
    }
    return {**parameters, **found}
