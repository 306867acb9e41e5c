"""One analysis is one trace, every line of its log says whose it is, and no line says anything about a patient."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cloudevents.http.event import CloudEvent

from shared import runtime
from shared.delivery import Delivery, NotAnEvent, event_of
from shared.domain.clock import iso
from shared.domain.errors import Unavailable
from shared.domain.events import EventType, Topic, event_about
from shared.logs import Line
from shared.ports import Create, Delete, Message, Ports
from shared.receive import receive
from shared.runtime import set_up_logs
from shared.steps.announce import message_of
from shared.tracing import TRACEPARENT, trace_of
from tests.builders import T0
from tests.flow.stacks import Lab, analysis_of, consumer, lab_over, shell_pipeline

MARK = "Zebrafinch77"
"""In everything that a patient could be known by: names of samples and folders, inputs, variants, genotypes."""

SAMPLE = f"{MARK}-sample"
VCF = (
    "##fileformat=VCFv4.3\n##contig=<ID=chr1,length=1000>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n'
    f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{SAMPLE}\n"
    f"chr1\t10\trs{MARK}\tA\tT\t50\tPASS\t.\tGT\t0/1\n"
)
BAD_GENOTYPE = VCF.replace("0/1", f"0/{MARK}")
CALLS = shell_pipeline(
    "calls", 'cp "$IFLOW_BUCKET_DIR/$(sed -n \'s/.*"file": "\\(.*\\)".*/\\1/p\' "$IFLOW_INPUTS")" "$OUT/calls.vcf"',
    [{"glob": "calls.vcf", "kind": "vcf", "required": True}],
    inputs={"type": "object", "properties": {"file": {"type": "string"}, "note": {"type": "string"}}},
)
seen: list[Mapping[str, str]] = []
to_fail: list[Exception] = []


def witness(event: CloudEvent) -> None:
    """A consumer that fails as often as it is told to."""
    receive("witness", event, _note, runtime.ports())


def _note(delivery: Delivery, ports: Ports) -> None:
    del ports
    seen.append(delivery.attributes)
    event_of(delivery)
    if to_fail:
        raise to_fail.pop()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("observed")
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    witnesses = {"witness": consumer("tests.flow.test_observability:witness")}
    with lab_over(folder, trace=True, log_json=True, log_level="DEBUG", consumers=witnesses) as up:
        root.handlers = []
        set_up_logs(up.settings, up.settings.stack_log)
        up.register(CALLS)
        up.put(f"samples/{MARK}/uploads/in.vcf", VCF.encode())
        up.put(f"samples/{MARK}/uploads/bad.vcf", BAD_GENOTYPE.encode())
        yield up
    root.handlers, root.level = before, level


def submit(lab: Lab, request: str, *, file: str = "in.vcf", sample: str = SAMPLE) -> str:
    """An analysis with the mark in all that its requester chose, ingested (or not) in the end."""
    analysis = lab.order(
        request, display_id=f"{MARK} {request}", pipeline=CALLS.slug, samples=[{"name": sample}],
        inputs={"file": f"samples/{MARK}/uploads/{file}", "note": MARK},
    )
    lab.until_ends(analysis, "succeeded")
    lab.until_ingested(analysis)
    lab.until(lambda: not lab.document(analysis)["unsent"])
    lab.until_idle()
    return analysis


def spans(lab: Lab) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.settings.traces_file.read_text().splitlines()]


def logged(lab: Lab) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.settings.stack_log.read_text().splitlines()]


@pytest.fixture(scope="module")
def analysis(lab: Lab) -> str:
    """Submitted, run and ingested."""
    return submit(lab, "one trace")


def test_all_spans_of_an_analysis_are_in_the_trace_of_its_id(lab: Lab, analysis: str) -> None:
    mine = lab.until(lambda: _with(spans(lab), "ingest work", analysis))
    assert {span["trace"] for span in mine} == {trace_of(analysis)}
    assert {span["name"] for span in mine} >= {
        "submit", "track", "ingest", "ingest work", "witness", "publish analysis-events", "Batch CreateJob",
        "Batch GetJob",
    }
    assert not [span for span in spans(lab) if span["trace"] == trace_of(analysis) and span not in mine
                and not span["name"].startswith("Batch")]


def _with(found: list[dict[str, Any]], name: str, analysis: str) -> list[dict[str, Any]] | None:
    mine = [one for one in found if one.get("analysis_id") == analysis or one.get("job", "").endswith(analysis)]
    return mine if any(one["name"] == name for one in mine) else None


def test_the_ingests_process_goes_on_from_the_span_that_began_it(lab: Lab, analysis: str) -> None:
    mine = lab.until(lambda: _with(spans(lab), "ingest work", analysis))
    begun = {span["span"] for span in mine if span["name"] == "ingest"}
    (work,) = [span for span in mine if span["name"] == "ingest work"]
    assert work["parent"] in begun
    ended = [span["name"] for span in mine if span["parent"] == work["span"]]
    assert ended == ["ingest transition", "publish analysis-events"]


def test_consumers_receive_the_span_of_the_publishing(lab: Lab, analysis: str) -> None:
    carried = {one["type"]: one[TRACEPARENT].split("-") for one in seen if one["subject"] == analysis}
    assert set(carried) >= {"analysis.queued", "analysis.running", "analysis.succeeded"}
    published = {span["span"] for span in spans(lab) if span["name"] == "publish analysis-events"}
    assert {trace for _, trace, _, _ in carried.values()} == {trace_of(analysis)}
    assert {span for _, _, span, _ in carried.values()} <= published


def test_a_redelivery_has_a_span_of_its_own_in_the_same_trace(lab: Lab) -> None:
    identity = analysis_of("redelivered")
    event = event_about(EventType.RUNNING, project="demo", subject=identity, sequence=1, at=T0, data={})
    to_fail.append(Unavailable("the order service is away"))
    lab.bus.publish(Topic.EVENTS, message_of(event))  # without a context, as an outbox of an older version would
    found = lab.until(lambda: two if len(two := _deliveries(lab, event.id)) == 2 else None)
    assert [span["error"] for span in found] == ["Unavailable", None]
    assert {span["trace"] for span in found} == {trace_of(identity)}
    assert found[0]["span"] != found[1]["span"]


def _deliveries(lab: Lab, event: str) -> list[dict[str, Any]]:
    return [span for span in spans(lab) if span.get("event_id") == event and span["name"] == "witness"]


def test_a_requesters_own_trace_is_linked_to(lab: Lab) -> None:
    theirs = "0af7651916cd43dd8448eb211c80319c"
    linked = analysis_of("linked")
    event = event_about(EventType.RUNNING, project="demo", subject=linked, sequence=1, at=T0, data={})
    message = message_of(event)
    attributes = {**message.attributes, TRACEPARENT: f"00-{theirs}-b7ad6b7169203331-01"}
    lab.bus.publish(Topic.EVENTS, Message(message.data, attributes, message.ordering_key))
    (found,) = lab.until(lambda: _deliveries(lab, event.id))
    assert (found["trace"], found["links"]) == (trace_of(event.subject), [theirs])


def test_every_line_inside_a_delivery_says_what_it_is_about(lab: Lab, analysis: str) -> None:
    mine = [line for line in logged(lab) if line.get("analysis_id") == analysis]
    assert {line["logging.googleapis.com/trace"] for line in mine} == {f"projects/local/traces/{trace_of(analysis)}"}
    known = {span["span"] for span in spans(lab)}
    delivered = [line for line in mine if "subscription" in line]
    assert {line["subscription"] for line in delivered} >= {"submit", "track", "ingest"}
    for line in delivered:
        assert line["logging.googleapis.com/spanId"] in known
        assert line["message_id"]
        assert "project" in line


def test_every_transition_is_a_line_with_its_time(lab: Lab, analysis: str) -> None:
    lines = [line for line in logged(lab) if line.get("analysis_id") == analysis]
    moved = [(one["from_status"], one["to_status"]) for one in lines if one["message"] == "transition"]
    assert moved == [("none", "queued"), ("queued", "running"), ("running", "succeeded")]
    assert all(one["seconds"] >= 0 for one in lines if one["message"] == "transition")
    opened = [(one["from_status"], one["to_status"]) for one in spans(lab)
              if one["name"] == "transition" and one["analysis_id"] == analysis]
    assert opened == moved
    ingests = [(one["from_status"], one["to_status"]) for one in lines if one["message"] == "ingest transition"]
    assert ingests == [("pending", "running"), ("running", "ready")]


def test_a_call_of_the_api_goes_on_from_its_callers_span_and_says_its_project(lab: Lab) -> None:
    theirs = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"
    lab.client.get("/analyses", headers={TRACEPARENT: theirs})
    (found,) = lab.until(lambda: [one for one in spans(lab) if one["trace"] == theirs.split("-")[1]])
    assert (found["name"], found["parent"], found["project"]) == ("request GET", "b7ad6b7169203331", "demo")


def test_no_log_and_no_trace_holds_what_a_patient_could_be_known_by(lab: Lab, analysis: str) -> None:
    """Of what goes well and of what does not: other samples, no genotype, the last words of a pipeline, a request
    refused, a message that is no event, a document that is none, a handler that fails with the data in its error, calls
    of the API with a token, and a signed address (C15, C80)."""
    del analysis
    refused = submit(lab, "other samples", sample=f"{MARK}-other")
    assert MARK in lab.document(refused)["ingest"]["failure"], "the document does tell"
    submit(lab, "bad genotype", file="bad.vcf")
    lab.register(shell_pipeline("says", f"echo sample {MARK} is broken >&2; exit 3"))
    failed = lab.order(f"last words {MARK}", pipeline="says", inputs={}, display_id=f"{MARK} says")
    assert MARK in json.dumps(lab.until_ends(failed, "failed"), default=str)
    lab.order("refused", pipeline=CALLS.slug, inputs={"note": [MARK]}, display_id=MARK)
    lab.until_rejected("refused")
    lab.bus.publish(Topic.BATCH, Message(f"no job, but {MARK}".encode(), {"note": MARK}))
    lab.until(lambda: [one for one in lab.dead_letters() if one["subscription"] == "track"])
    leaks = f"sample {MARK} at https://storage.example/x?X-Goog-Signature={MARK}, by Bearer {MARK}"
    may_pass = Unavailable(f"Cloud Storage could not read demo/samples/{MARK}/x.vcf: {leaks.partition(' at ')[2]}")
    to_fail.extend([ValueError(leaks), may_pass, NotAnEvent(leaks)])
    for name in ("fails", "waits", "is kept"):
        lab.bus.publish(Topic.EVENTS, message_of(event_about(
            EventType.RUNNING, project="demo", subject=analysis_of(name), sequence=1, at=T0, data={}
        )))
    broken = {"id": MARK, "status": "running", "updated_at": iso(T0), "display_id": MARK, "inputs": MARK}
    (version,) = lab.ports.documents.commit([Create(f"projects/demo/analyses/{MARK}", broken)])
    lab.until(lambda: said(lab) >= {Line.NOT_UNDERSTOOD, Line.DEAD_LETTER, Line.INGEST_FAILED} and not to_fail)
    lab.ports.documents.commit([Delete(f"projects/demo/analyses/{MARK}", version)])
    token = {"Authorization": f"Bearer {MARK}"}
    lab.client.post("/analyses", headers=token, json={"display_id": MARK, "inputs": MARK, "samples": [{"name": MARK}]})
    lab.client.get(f"/analyses?q={MARK}", headers=token)
    lab.until_idle()
    assert {"the function failed; the message will be delivered again", "will be delivered again"} <= said(lab)
    for file in (lab.settings.stack_log, lab.settings.traces_file):
        found = [line for line in file.read_text().splitlines() if MARK.lower() in line.lower()]
        assert found == []


def said(lab: Lab) -> set[str]:
    return {line["message"] for line in logged(lab)}
