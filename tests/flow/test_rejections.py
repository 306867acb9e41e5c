"""What can never succeed is recorded whole with its reasons, announced once, and acknowledged at once."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from cloudevents.http.event import CloudEvent

from services.submit.main import submit
from shared.ports import Message
from tests.flow.pulled import Emulators
from tests.flow.stacks import PROJECT, Lab, a_submission, analysis_of, envelope, lab_over


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("rejections"), emulators=emulators) as up:
        up.put("samples/s1/uploads/good.vcf", b"##fileformat=VCFv4.2\n")
        up.put("samples/s1/uploads/empty.vcf", b"")
        up.until_ends(up.order("taken", display_id="Taken"), "succeeded")
        yield up


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def event(**data: Any) -> bytes:
    """A good event but for `data`."""
    return as_json(envelope("bad", data=a_submission("bad", **data)))


def with_text(good: str, bad: bytes) -> bytes:
    """A good event but for one piece of its text."""
    whole = event(display_id="Bad one", inputs={"exit_code": 0, "runtime_seconds": 0, "log_lines": ["a line"]})
    assert good.encode() in whole
    return whole.replace(good.encode(), bad)


def vcf(path: str) -> bytes:
    return event(pipeline="vcf-normalize", inputs={"vcf": path})


DEEP = b'{"a":' * 900 + b"1" + b"}" * 900

# name: (what is published, the field at fault, what is said of it)
BAD: dict[str, tuple[bytes, str, str]] = {
    "bad JSON": (b'{"id": "x", ', "", "not JSON: Expecting"),
    "an empty message": (b"", "", "not JSON: Expecting value"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "", "not UTF-8 at byte 8"),
    "UTF-16": ('{"id": "x"}'.encode("utf-16"), "", "not UTF-8 at byte 0"),
    "not an object": (b'["analysis.submit"]', "", "a JSON list; an object is wanted"),
    "null": (b"null", "", "a JSON NoneType; an object is wanted"),
    "nested too deeply for JSON": (b"[" * 100_000, "", "nested too deeply"),
    "nearly 10 MB": (event(display_id="x" * 9_990_000), "", "9,990,"),  # Pub/Sub takes 10 MB with the attributes
    "NaN": (with_text('"exit_code": 0', b'"exit_code": NaN'), "", "NaN is not a JSON number"),
    "Infinity": (with_text('"exit_code": 0', b'"exit_code": -Infinity'), "", "-Infinity is not a JSON number"),
    "a number past all bounds": (with_text('"exit_code": 0', b'"exit_code": 1e999'), "", "1e999 is too large"),
    "an integer of 5,000 digits": (with_text('"exit_code": 0', b'"exit_code": ' + b"9" * 5000), "", "64 bits"),
    "half a surrogate pair": (with_text("a line", rb"a \ud800 line"), "", r"holds \ud800"),
    "half a surrogate pair in the request id": (with_text('"bad"', rb'"\udfff"'), "", r"holds \udfff"),
    "no envelope": (as_json(a_submission("bad")), "type", "Field required"),
    "unknown envelope type": (as_json(envelope("bad", type="analysis.sbmit")), "type", "analysis.submit"),
    "another type of ours": (as_json(envelope("bad", type="analysis.cancel")), "type", "is no request"),
    "envelope without id": (as_json(envelope("bad", id="")), "id", "at least 1 character"),
    "envelope time without offset": (as_json(envelope("bad", time="2026-11-25T08:00:00")), "time", "timezone"),
    "envelope of CloudEvents 2": (as_json(envelope("bad", specversion="2.0")), "specversion", "1.0"),
    "data is no object": (as_json(envelope("bad", data=[1])), "data", "valid dictionary"),
    "future schema version": (event(schema_version=2), "schema_version", "2 is newer"),
    "unknown field": (event(colour="red"), "colour", "Extra inputs are not permitted"),
    "unknown field of 200 kB": (event(**{"c" * 200_000: 1}), '"' + "c" * 76 + "...", "not permitted"),
    "10,000 unknown fields": (event(**{f"f{n}": n for n in range(10_000)}), "f0", "not permitted"),
    "wrong type": (event(requested_by=7), "requested_by", "valid string"),
    "inputs of the wrong type": (event(inputs="none"), "inputs", "valid dictionary"),
    "empty slug": (event(display_id="///"), "display_id", "empty slug"),
    "display id too long": (event(display_id="x" * 121), "display_id", "at most 120"),
    "request id too long": (event(request_id="r" * 200_000), "request_id", "at most 200"),
    "NUL in the display id": (event(display_id="a\x00b"), "display_id", "U+0000"),
    "control character in the request id": (event(request_id="r\x1b[2J"), "request_id", "U+001B"),
    "NUL in nested inputs": (with_text("a line", rb"a \u0000 line"), "inputs.log_lines[0]", "U+0000"),
    "NUL in a key of the inputs": (event(inputs={"exit\x00code": 0}), 'inputs."exit\\u0000code"', "U+0000"),
    "inputs nested too deeply": (event(inputs={"a": 1}).replace(b'{"a": 1}', DEEP), "inputs", "32 levels"),
    "duplicate sample roles": (
        event(samples=[{"name": "a", "role": "proband"}, {"name": "b", "role": "proband"}]), "samples", "proband"
    ),
    "unknown role": (event(samples=[{"name": "a", "role": "uncle"}]), "samples[0].role", "'proband'"),
    "unknown pipeline": (event(pipeline="no-such"), "pipeline", "no pipeline 'no-such'"),
    "unknown version": (event(version="9.9.9"), "pipeline", "no pipeline 'fail-on-request' version 9.9.9"),
    "inputs against the schema": (event(inputs={"exit_code": 256}), "inputs.exit_code", "256"),
    "an integer that only just fits": (event(inputs={"exit_code": 2**63 - 1}), "inputs.exit_code", "maximum"),
    "traversal": (vcf("samples/../../other/x.vcf"), "inputs.vcf", "may lead out of the project bucket"),
    "absolute path": (vcf("/etc/passwd.vcf"), "inputs.vcf", "is absolute"),
    "another bucket": (vcf("gs://other-lab/x.vcf"), "inputs.vcf", "is an address"),
    "missing file": (vcf("samples/s1/uploads/gone.vcf"), "inputs.vcf", "missing: samples/s1/uploads/gone.vcf"),
    "empty file": (vcf("samples/s1/uploads/empty.vcf"), "inputs.vcf", "has 0 bytes"),
    "a folder": (vcf("samples/s1/uploads"), "inputs.vcf", "does not have the form"),
    "projects that disagree": (event(project="other"), "data.project", '"other" is not the project of the envelope'),
    "a project of the wrong type": (event(project={"x": [1]}), "data.project", "is not the project of the envelope"),
    "a request id that was used": (event(request_id="taken"), "request_id", "was used for another request"),
    "a used request id, nested deeply": (
        event(request_id="taken", inputs={"a": 1}).replace(b'{"a": 1}', DEEP), "inputs", "32 levels"
    ),
    "a display id that is taken": (event(display_id="TAKEN!"), "display_id", "is taken by analysis 'Taken'"),
}  # fmt: skip


def rejection_of(lab: Lab, message: str) -> Any:
    """The one rejection of a message, once it is settled."""
    lab.until(lambda: any(found["message_id"] == message for found in lab.rejections()))
    lab.until_idle()
    (found,) = [found for found in lab.rejections() if found["message_id"] == message]
    return found


def announced(lab: Lab, rejection: Any) -> list[str]:
    """The ids of every `analysis.rejected` that the consumer received for it."""
    return [event.id for event in [*lab.received] if event.id == f"{rejection['id']}.rejected"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_a_recorded_rejection(lab: Lab, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Issue 3: with the field at fault, kept whole, announced once, acknowledged at once, without a traceback."""
    payload, field, says = BAD[name]
    caplog.set_level(logging.INFO)
    found = rejection_of(lab, lab.publish(payload, id=name, project=PROJECT))

    assert found["project"] == PROJECT
    assert [says in reason["message"] for reason in found["reasons"] if reason["field"] == field] == [True]
    assert len(json.dumps(found)) < 500_000
    if found["payload_path"] is None:
        assert found["payload"].encode() == payload
    else:
        assert lab.ports.objects.read(lab.bucket, found["payload_path"]) == payload
    lab.until(lambda: announced(lab, found) != [])
    assert announced(lab, found) == [f"{found['id']}.rejected"]
    lab.until(lambda: rejection_of(lab, found["message_id"])["unsent"] == [])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert [letter for letter in lab.dead_letters() if letter["id"] == found["message_id"]] == []
    assert lab.found(analysis_of("bad")) is None

    listed = lab.client.get("/ops/rejections", params={"limit": 200}).json()["items"]
    assert [one["reasons"] for one in listed if one["id"] == found["id"]] == [found["reasons"]]
    shown = lab.client.get(f"/ops/rejections/{found['id']}").json()
    assert (shown["payload"], shown["reasons"]) == (found["payload"], found["reasons"])


@pytest.mark.parametrize("attributes", [{}, {"type": "analysis.sbmit"}, {"type": ""}])
def test_a_message_of_no_type_that_we_know_is_not_dropped_unseen(lab: Lab, attributes: dict[str, str]) -> None:
    """Subscriptions filter by the type attribute: what none of them names comes to the one that records it."""
    message = lab.bus.publish("analysis-commands", Message(b"not ours", attributes))
    found = rejection_of(lab, message)
    assert found["project"] == "unassigned"
    assert found["attributes"] == attributes
    assert found["payload"] == "not ours"


@pytest.mark.parametrize("type_", ["analysis.cancel", "analysis.ingest"])
def test_a_command_for_another_function_is_no_business_of_submit(lab: Lab, type_: str) -> None:
    """It cannot be understood there either, and is kept as a dead letter, whole."""
    message = lab.publish(b"{", type=type_)
    lab.until(lambda: message in [letter["id"] for letter in lab.dead_letters()])
    lab.until_idle()
    assert [found for found in lab.rejections() if found["message_id"] == message] == []


def test_an_unknown_project_is_filed_where_operators_find_it(lab: Lab) -> None:
    message = lab.publish(as_json(envelope("nowhere", project="nowhere", data=a_submission("x", project="nowhere"))))
    found = rejection_of(lab, message)
    assert (found["project"], found["project_named"], found["payload_path"]) == ("unassigned", "nowhere", None)
    assert found["reasons"][0]["field"] == "project"
    assert "there is no project 'nowhere'" in found["reasons"][0]["message"]
    here = lab.client.get(f"/ops/rejections/{found['id']}")
    there = lab.client.get(f"/ops/rejections/{found['id']}", headers={"X-Project-ID": "unassigned"})
    assert (here.status_code, there.status_code) == (404, 200)
    assert announced(lab, found) == [f"{found['id']}.rejected"]


def test_a_bad_event_that_is_delivered_again_is_rejected_and_announced_once(lab: Lab) -> None:
    bad = event(display_id="////")
    first = rejection_of(lab, lab.publish(bad, id="again"))
    for _ in range(5):
        lab.publish(bad, id="again")
    lab.until_idle()
    assert [found["message_id"] for found in lab.rejections() if found["sha256"] == first["sha256"]] == [
        first["message_id"]
    ]
    assert announced(lab, first) == [f"{first['id']}.rejected"]


def test_two_bad_requests_under_one_event_id_are_both_kept(lab: Lab) -> None:
    """The second is no repeat of the first: nothing that somebody asked for may vanish."""
    first, second = (
        rejection_of(lab, lab.publish(as_json(envelope("x", id="same/id", data=a_submission("x", **bad)))))
        for bad in ({"display_id": "///"}, {"pipeline": "no-such"})
    )
    assert first["id"] == "same_id"
    assert second["id"].startswith("same_id.")
    assert [first["reasons"][0]["field"], second["reasons"][0]["field"]] == ["display_id", "pipeline"]


@pytest.mark.parametrize("body", [
    {"message": {"data": "%%%"}}, {"message": {"data": 5}}, {"message": {"data": "e30=", "attributes": [1]}},
    {"message": "text"}, {"massage": {}}, [1, 2], "text", None,
])  # fmt: skip
def test_a_push_body_that_holds_no_message_is_a_dead_letter_with_all_of_it(
    lab: Lab, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    """No message, so no request either; an invalid base64 text is kept as it came."""
    identity = f"push-{json.dumps(body)}"
    submit(CloudEvent({"type": "t", "source": "s", "id": identity}, body))
    (letter,) = [letter for letter in lab.dead_letters() if letter["text"] == json.dumps(body)]
    assert json.loads(base64.b64decode(letter["payload"])) == body
    assert letter["subscription"] == "submit"
    assert [record for record in caplog.records if record.exc_info] == []
