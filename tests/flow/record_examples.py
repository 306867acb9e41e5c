"""`make examples`: services/miner/examples.json, each call of the API once on a stack of its own, with its answer.

Of a list the first entries are kept, of a long definition a few fields: it is to be read.
"""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import google_crc32c

import services.miner
from tests.flow.stack import Stack, stack_over
from tests.flow.test_rest_files import VCF

FILE = Path(services.miner.__file__).with_name("examples.json")
MOST_ENTRIES = 2
API = "/api/v1"
PIPELINE = {
    "slug": "count-reads", "version": "1.0.0", "title": "Counts the reads of a file",
    "inputs": {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["reads"],
        "additionalProperties": False, "properties": {"reads": {"type": "string"}},
    },
    "runnables": [{"image": "lab/count:1.0.0", "command": ["count-reads"]}],
    "resources": {
        "machine_type": "e2-standard-2", "cpu_milli": 2000, "memory_mib": 4096, "boot_disk_mib": 30720, "spot": True,
    },
    "max_run_seconds": 3600, "outputs": [{"glob": "counts.tsv", "kind": "qc", "required": True}],
    "price_table": "list-prices-example",
}


class Recorder:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.calls: dict[str, dict[str, Any]] = {}

    def ask(self, method: str, template: str, body: Any = None, params: Any = None, **names: str) -> Any:
        """One call, recorded under its template; AssertionError when it is refused."""
        answer = self._stack.client.request(
            method, template.format(**names), json=body, params=params,
        )
        assert answer.is_success, (method, template, answer.text)
        call: dict[str, Any] = {} if body is None else {"request": body}
        found = answer.json() if answer.headers.get("content-type") == "application/json" else None
        if found is not None:
            call["answer"] = shortened(found)
        self.calls[f"{method} {API}{template}"] = call
        return found

    def put(self, session: str, content: bytes) -> None:
        """What is no call of the API's document."""
        self._stack.client.put(f"{self._stack.api}{session}", content=content).raise_for_status()


def shortened(value: Any, key: str = "") -> Any:
    if isinstance(value, list):
        return [shortened(each) for each in value[:MOST_ENTRIES]]
    if isinstance(value, dict) and key == "definition":
        return {name: value[name] for name in ("slug", "version", "title") if name in value}
    if isinstance(value, dict):
        return {name: "whsec_..." if name == "secret" else shortened(each, name) for name, each in value.items()}
    return value


def record(stack: Stack) -> dict[str, dict[str, Any]]:
    ask = Recorder(stack)
    objects = stack.ports.objects
    objects.write("demo", "samples/trio/uploads/trio.vcf.gz", VCF.encode())
    objects.write("demo", "client-resources/gene-panels/cardiomyopathy.txt", b"MYH7\nMYBPC3\nTTN\n")
    ask.ask("POST", "/projects", {"id": "ward-7", "title": "Ward 7"})
    ask.ask("GET", "/projects")
    ask.ask("POST", "/pipelines", PIPELINE)
    ask.ask("GET", "/pipelines")
    ask.ask("GET", "/pipelines/{pipeline}/versions", pipeline="vcf-normalize")
    ask.ask("GET", "/pipelines/{pipeline}", pipeline="vcf-normalize@latest")
    made = ask.ask("POST", "/analyses", {
        "display_id": "WGS 12/A", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/trio/uploads/trio.vcf.gz"},
        "samples": [{"name": "S1", "role": "proband", "sex": "male"}],
    })
    stack.until(lambda: stack.document(made["id"])["ingest"]["status"] == "ready")
    stack.until_status(made["id"], "succeeded")
    for part in ("", "/history", "/metrics", "/outputs", "/tasks", "/logs", "/variants", "/variants/facets"):
        ask.ask("GET", f"/analyses/{{analysis}}{part}", analysis=made["id"])
    ask.ask("GET", "/analyses/{analysis}/links", params={"path": "logs/task-0.txt"}, analysis=made["id"])
    ask.ask("GET", "/analyses")
    ask.ask("GET", "/analyses-counts")
    key = ask.ask("GET", "/analyses/{analysis}/variants", analysis=made["id"])["rows"][0]["key"]
    ask.ask("GET", "/analyses/{analysis}/variants/{key}", analysis=made["id"], key=key)
    ask.ask("POST", "/analyses/{analysis}/ingest", params={"force": "true"}, analysis=made["id"])
    again = ask.ask("POST", "/analyses/{analysis}/rerun", {"display_id": "WGS 12/A repeated"}, analysis=made["id"])
    ask.ask("POST", "/analyses/{analysis}/cancel", analysis=again["id"])
    ask.ask("GET", "/ops/cancels")
    ask.ask("GET", "/ops/silent")
    ask.ask("GET", "/ops/queues")
    orders(ask, made["id"])
    samples(ask)
    lists_of_the_project(ask)
    members(ask)
    operators(ask, stack)
    told(ask, made["id"])
    return dict(sorted(ask.calls.items()))


def orders(ask: Recorder, analysis: str) -> None:
    ask.ask("GET", "/orders-proposal", params={"analysis": "wgs-12-a"})
    order = ask.ask("POST", "/orders", {"display_id": "O-2026-17", "analyses": ["wgs-12-a"], "priority": "urgent"})
    for part in ("", "/variants", "/variants/facets"):
        found = ask.ask("GET", f"/orders/{{order}}{part}", order=order["id"])
    found = ask.ask("GET", "/orders/{order}/variants", order=order["id"])
    ask.ask("GET", "/orders/{order}/variants/{key}", order=order["id"], key=found["rows"][0]["key"])
    ask.ask("GET", "/orders")
    ask.ask("PATCH", "/orders/{order}", {"priority": "stat"}, order=order["id"])
    ask.ask("POST", "/orders/{order}/cache", order=order["id"])
    ask.ask("POST", "/orders/{order}/transition", {"to": "in_review", "reason": "All is there."}, order=order["id"])


def samples(ask: Recorder) -> None:
    ask.ask("POST", "/samples", {"name": "S1", "sex": "male", "role": "proband", "external_ids": {"lims": "4711"}})
    ask.ask("PATCH", "/samples/{sample}", {"phenotypes": ["HP:0001250"]}, sample="s1")
    checksum = base64.b64encode(google_crc32c.Checksum(VCF.encode()).digest()).decode()
    body = {"name": "S1.vcf", "size": len(VCF), "crc32c": checksum}
    begun = ask.ask("POST", "/samples/{sample}/uploads", body, sample="s1")
    ask.ask("GET", "/samples/{sample}/uploads/{upload}", sample="s1", upload=begun["id"])
    ask.put(begun["session"], VCF.encode())
    ask.ask("POST", "/samples/{sample}/uploads/{upload}/finish", sample="s1", upload=begun["id"])
    ask.ask("GET", "/samples")
    for part in ("", "/uploads", "/uses"):
        ask.ask("GET", f"/samples/{{sample}}{part}", sample="s1")
    ask.ask("GET", "/samples/{sample}/files", params={"folder": "uploads/"}, sample="s1")


def lists_of_the_project(ask: Recorder) -> None:
    ask.ask("POST", "/panels", {"path": "client-resources/gene-panels/cardiomyopathy.txt"})
    ask.ask("GET", "/panels")
    ask.ask("GET", "/panels/{panel}", panel="cardiomyopathy")
    body = {"name": "Rare and damaging", "filter": {"impact": ["HIGH", "MODERATE"]}}
    ask.ask("POST", "/filters", body)
    ask.ask("GET", "/filters")
    ask.ask("GET", "/filters/{name}", name="rare-and-damaging")
    ask.ask("PUT", "/filters/{name}", {**body, "description": "What is looked at first."}, name="rare-and-damaging")


def members(ask: Recorder) -> None:
    ask.ask("PUT", "/members/{email}", {"role": "editor"}, email="eve@lab.example")
    ask.ask("GET", "/members")
    ask.ask("GET", "/audit")
    ask.ask("GET", "/members/me")
    ask.ask("GET", "/members/{email}", email="eve@lab.example")


def operators(ask: Recorder, stack: Stack) -> None:
    event = {"id": "nowhere", "type": "analysis.start", "subject": "x", "time": "2026-11-25T08:00:00Z",
             "project": "demo", "data": {"analysis_id": "none"}}
    ask.ask("POST", "/events", event)
    stack.client.post("/events", content=b"no JSON")
    for family, name in (("rejections", "rejection"), ("dead-letters", "letter")):
        found = stack.until(lambda family=family: stack.client.get(f"/ops/{family}").json()["items"])  # type: ignore[misc]
        ask.ask("GET", f"/ops/{family}")
        ask.ask("GET", f"/ops/{family}/{{{name}}}", **{name: found[0]["id"]})
    ask.ask("POST", "/ops/dead-letters/{letter}/replay", letter=found[0]["id"])
    ask.ask("POST", "/ops/reconcile")


def told(ask: Recorder, analysis: str) -> None:
    """Last: no message may go out meanwhile."""
    ask.ask("GET", "/analyses/{analysis}/deliveries", analysis=analysis)
    ask.ask("POST", "/notifications/signing", {"keep_old_hours": 24})
    body = {"chat_url": "https://chat.lab.example/hooks/x", "chat_on": ["analysis.failed", "analysis.stuck"]}
    ask.ask("PUT", "/notifications", body)
    ask.ask("GET", "/notifications")
    ask.ask("POST", "/notifications/test", {})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, stack_over(Path(folder)) as stack:
        calls = record(stack)
    calls["GET /healthz"] = {"answer": {"status": "ok"}}
    FILE.write_text(json.dumps(calls, indent=1) + "\n")
    print(f"{len(calls)} calls written to {FILE}")


if __name__ == "__main__":
    main()
