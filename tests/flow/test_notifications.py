"""Callbacks and a chat's messages through the whole product: asked for, sent, refused, and seen by people."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from services.cli.exits import Exit
from services.notifier import main
from shared.adapters.embedded.bus import Leased
from shared.adapters.embedded.dispatcher import cloud_event
from shared.domain.clock import iso
from shared.domain.events import EventType, event_about
from shared.steps.announce import message_of
from tests.builders import T0
from tests.flow.crash_life import VCF
from tests.flow.pulled import Emulators
from tests.flow.stack import Stack, stack_over
from tests.receiver import Received, Receiver, receiving


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("notifications"), emulators, callbacks_to_loopback=True) as up:
        up.ports.objects.write("demo", "samples/trio/uploads/trio.vcf.gz", VCF.encode())
        yield up


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as up:
        yield up


@pytest.fixture(scope="module")
def secret(stack: Stack) -> str:
    """Made once, at the command line, and never shown again."""
    assert stack.client.get("/notifications").json()["signing"] == []
    refused = stack.client.post("/analyses", json={
        "display_id": "Early", "pipeline": "fail-on-request", "inputs": {}, "callback_url": "https://lims.lab.example/",
    })
    assert (refused.status_code, refused.json()["reasons"][0]["field"]) == (422, "callback_url")
    made = stack.iflow("notifications", "secret")
    assert made.exit_code == Exit.DONE, made.output
    text = made.stdout.strip()
    assert text.startswith("whsec_")
    assert text not in stack.client.get("/notifications").text
    return text


def told(receiver: Receiver, kind: str) -> Received | None:
    return next((sent for sent in receiver.received if sent.json.get("type") == kind), None)


def test_who_asked_is_called_back_with_links_to_the_results_and_again_when_they_are_ingested(
    stack: Stack, receiver: Receiver, secret: str
) -> None:
    """C92, the first: 500 once, and then taken, under one id. What a link leads to needs no token."""
    receiver.answers = [500]
    made = stack.client.post("/analyses", json={
        "display_id": "WGS 12/A", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/trio/uploads/trio.vcf.gz"},
        "request_id": "order-12", "callback_url": f"{receiver.url}/iflow",
    }).json()
    stack.until(lambda: len(receiver.received) >= 3)
    assert all(sent.is_signed_by(secret) for sent in receiver.received)
    assert {sent.path for sent in receiver.received} == {"/iflow"}
    assert len({sent.headers["webhook-id"] for sent in receiver.received}) == 2
    ingested = stack.until(lambda: told(receiver, "analysis.ingested"))
    assert ingested.json["data"]["ingest"] == "ready"
    data = stack.until(lambda: told(receiver, "analysis.succeeded")).json["data"]
    assert (data["analysis_id"], data["request_id"], data["status"]) == (made["id"], "order-12", "succeeded")
    assert data["page"] == f"{stack.api}/analyses/{made['id']}?project=demo"
    (vcf,) = [output for output in data["outputs"] if output["kind"] == "vcf"]
    assert len(httpx.get(vcf["url"]).content) == vcf["size"]

    def both() -> bool:
        kept = stack.client.get(f"/analyses/{made['id']}/deliveries").json()["items"]
        return sorted((each["outcome"], each["attempts"]) for each in kept) == [("delivered", 1), ("delivered", 2)]

    stack.until(both)
    shown = stack.iflow("notifications", "deliveries", "WGS 12/A")
    assert "analysis.ingested" in shown.output


def test_what_no_callback_can_go_to_is_refused_at_once_by_rest_and_recorded_by_the_topic(
    stack: Stack, secret: str
) -> None:
    """C92, the third."""
    body = {"display_id": "Inner", "pipeline": "fail-on-request", "inputs": {"exit_code": 0, "runtime_seconds": 0},
            "callback_url": "https://169.254.169.254/latest?token=t"}
    answer = stack.client.post("/analyses", json=body)
    (reason,) = answer.json()["reasons"]
    assert (answer.status_code, reason["field"]) == (422, "callback_url")
    assert "169.254.169.254, which is not on the public Internet; give an https" in reason["message"]
    event = {"id": "inner", "type": "analysis.submit", "subject": "inner", "time": "2026-11-25T08:00:00Z",
             "project": "demo",
             "data": {**body, "request_id": "inner", "project": "demo", "requested_by": "lims@lab.example"}}
    assert stack.client.post("/events", json=event).is_success
    found = stack.until(lambda: [
        each for each in stack.client.get("/ops/rejections").json()["items"] if each["request_id"] == "inner"
    ])
    assert found[0]["reasons"] == [reason]


def test_what_is_refused_for_good_is_in_the_operators_list_and_is_heard_when_it_is_played_again(
    stack: Stack, receiver: Receiver, secret: str
) -> None:
    """C92, the second; its status depends on none of it."""
    receiver.then = 404
    made = stack.submit("Unheard", callback_url=receiver.url)
    stack.until_status(made["id"], "succeeded")

    def letter() -> dict[str, str] | None:
        letters = stack.client.get("/ops/dead-letters").json()["items"]
        return next((each for each in letters if each["subscription"] == "callback"), None)

    found = stack.until(letter)
    assert found["reason"] == "127.0.0.1 answered 404: as asked"
    assert stack.client.get(f"/analyses/{made['id']}/deliveries").json()["items"][0]["outcome"] == "refused"
    receiver.then = 200
    assert stack.iflow("ops", "dead-letters", "replay", found["id"]).exit_code == Exit.DONE
    stack.until(lambda: len(receiver.received) == 2)
    assert len({sent.headers["webhook-id"] for sent in receiver.received}) == 1


def test_the_secret_is_changed_over_without_a_callback_that_nobody_can_check(
    stack: Stack, receiver: Receiver, secret: str
) -> None:
    stack.add_project("rotating")
    here = {"X-Project-ID": "rotating"}
    first, second = (
        stack.client.post("/notifications/signing", json={"keep_old_hours": 1}, headers=here).json() for _ in range(2)
    )
    assert [each["until"] is None for each in second["settings"]["signing"]] == [True, False]
    test = ("notifications", "test", "--callback-url", f"{receiver.url}/try")
    assert stack.iflow(*test, IFLOW_PROJECT="rotating").exit_code == Exit.DONE
    (sent,) = receiver.received
    assert sent.json["type"] == "notification.test"
    assert sent.is_signed_by(first["secret"])
    assert sent.is_signed_by(second["secret"])
    assert not sent.is_signed_by(secret), "of another project"
    receiver.then = 500
    assert stack.iflow(*test, IFLOW_PROJECT="rotating").exit_code == Exit.NOT_REACHABLE
    assert stack.iflow(*test[:3], "https://10.0.0.1/", IFLOW_PROJECT="rotating").exit_code == Exit.BAD_DATA


def test_a_projects_chat_is_told_what_it_asked_for_once_and_its_address_is_shown_to_nobody(
    stack: Stack, receiver: Receiver
) -> None:
    """An admin sets it; whoever is none does not see it; the trail says that it was changed, and not to what."""
    project, here = stack.add_project("chatting"), {"X-Project-ID": "chatting"}
    refused = stack.client.put("/notifications", json={"chat_url": "https://10.0.0.1/x"}, headers=here)
    assert (refused.status_code, refused.json()["reasons"][0]["field"]) == (422, "chat_url")
    set_so = stack.iflow(
        "notifications", "set", "--chat-url", f"{receiver.url}/T0/B0", "--on", "analysis.failed", IFLOW_PROJECT=project
    )
    assert set_so.exit_code == Exit.DONE, set_so.output
    assert stack.iflow("notifications", "test", IFLOW_PROJECT=project).exit_code == Exit.DONE
    for name, code in (("Good", 0), ("Bad <b>", 3)):
        stack.client.post("/analyses", headers=here, json={
            "display_id": name, "pipeline": "fail-on-request", "inputs": {"exit_code": code, "runtime_seconds": 0},
        })
    stack.until(lambda: len(receiver.received) == 2)
    trial, message = receiver.received
    assert "chatting" in trial.json["text"]
    assert message.json["text"].startswith("Bad &lt;b&gt; has failed. A task of the pipeline ended with an error.")
    assert message.json["blocks"][0]["text"]["type"] == "mrkdwn"
    for shown in (
        stack.client.get("/notifications", headers=here), stack.client.get("/audit", headers=here),
        stack.client.get("/audit", headers=here, params={"document": "settings/notifications"}),
    ):
        assert shown.status_code == 200
        assert "/T0/B0" not in shown.text
    assert [entry["after"]["chat_host"] for entry in shown.json()["items"]] == ["127.0.0.1"]
    stack.client.put("/members/vic@lab.example", json={"role": "editor"}, headers=here)
    with stack.client_of("vic@lab.example", project) as vic:
        assert vic.get("/notifications").status_code == 403
        assert vic.post("/notifications/test", json={}).status_code == 403


def test_a_process_has_one_courier_and_loads_no_certificates_for_who_wants_no_message(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end of an analysis comes here: a context for TLS takes 30 ms, more than the whole analysis else."""
    loaded: list[object] = []
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda *given: loaded.append(given) or create(*given))
    ended = event_about(EventType.SUCCEEDED, project="no-chat", subject="x", sequence=1, at=T0, data={})
    for number in range(2):
        main.notify(cloud_event(Leased(0, "notify", f"message-{number}", message_of(ended), iso(T0), 1)))
    assert main._courier() is main._courier()
    assert loaded == []
