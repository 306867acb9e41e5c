"""Callbacks and messages over hours that pass at once: a real receiver on loopback, memory for all the rest.

The bus keeps the retries and the dead letters of topology.yaml; a receiver's own faults are those of HTTP.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.notifier import handler
from services.reconciler.handler import reconcile
from shared.adapters.embedded.dispatcher import cloud_event
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.adapters.outside import Outside
from shared.adapters.vault import Vault
from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.callback import AddressRefused
from shared.domain.errors import Permanent, Transient, Unavailable
from shared.domain.job import JobSeen, JobState
from shared.domain.lifecycle import Rules
from shared.domain.notification import CHAT_DEFAULT, Outcome
from shared.domain.policy import Policy
from shared.domain.request import RequestRefused
from shared.ports import Courier, Ports, Query
from shared.receive import receive
from shared.steps.accept import accept
from shared.steps.announce import announce
from shared.steps.dead_letters import keep_forwarded, replay
from shared.steps.deliver import deliveries
from shared.steps.notifications import make_secret, set_chat
from shared.steps.register import register_pipeline, register_project
from shared.steps.store import as_stored, decide
from shared.topology import topology
from tests.builders import PROJECT, QUEUED, RUNNING, SCHEDULED, a_job, a_pipeline, a_request, look
from tests.contract.clock import FakeClock
from tests.receiver import Receiver, receiving

VAULT = Vault("k" * 32)


class QuietEngine:
    """Batch shows every job as queued."""

    def start(self, spec: Any) -> JobSeen:
        return self.describe(spec.name)

    def describe(self, name: str) -> JobSeen:
        return JobSeen(name, JobState.QUEUED, uid="uid")


@dataclass
class Lab:
    ports: Ports
    clock: FakeClock
    bus: MemoryBus
    courier: Courier
    secret: str
    refused: list[str] = field(default_factory=list)

    def submit(self, request: str, url: str | None) -> Analysis:
        return accept(self.ports, a_request(
            request_id=request, display_id=request, callback_url=url
        ), source="test").analysis

    def fails(self, analysis: Analysis) -> None:
        """Batch says so, and what follows is published; twice, as an outbox may."""
        job = a_job(JobState.FAILED, QUEUED, SCHEDULED, RUNNING)
        self._decide(analysis, lambda known: look(known, job))

    def _decide(self, analysis: Analysis, decision: Any) -> None:
        loaded, _ = decide(self.ports.documents, analysis.doc_path, decision)
        announce(self.ports.documents, self.bus, as_stored(loaded))

    def run(self, hours: float) -> None:
        """Every delivery of that time, at its moment."""
        handlers = {
            "callback": partial(handler.callback, courier=self.courier),
            "notify": partial(handler.notify, courier=self.courier), "keep-dead-letters": keep_forwarded,
        }
        end = self.clock() + timedelta(hours=hours)
        while (due := self.bus.next_due(list(handlers))) is not None and due <= end.timestamp():
            self.clock.pass_s(max(0.0, due - self.clock().timestamp()))
            for name, function in handlers.items():
                for leased in self.bus.lease(name, 10):
                    try:
                        receive(name, cloud_event(leased), function, self.ports)
                    except Transient as error:
                        self.refused.append(str(error))
                        self.bus.refuse(leased, str(error))
                    else:
                        self.bus.acknowledge(leased)
        self.clock.pass_s(max(0.0, (end - self.clock()).total_seconds()))

    def letters(self) -> list[dict[str, Any]]:
        return [dict(stored.data) for stored in self.ports.documents.query(Query("*/dead_letters")).items]


@pytest.fixture
def lab() -> Lab:
    clock = FakeClock()
    bus = MemoryBus(topology(), clock)
    ports = Ports(
        documents=MemoryDocuments(), bus=bus, objects=MemoryObjects(clock), uploads=None, logs=None,
        engine=QuietEngine(),
        clock=clock, rules=Rules(Policy(loopback_callbacks=True), {}), new_id=lambda: "id",
        launch=lambda subject, holder: 0, logs_url=str, notify_topic="batch-events",
    )
    register_project(ports, PROJECT)
    register_pipeline(ports, PROJECT.id, a_pipeline(), by="ada@lab.example")
    courier = Courier(
        post=Outside(loopback=True).post, seal=VAULT.seal, open=VAULT.open, address=lambda: "https://iflow.lab.example"
    )
    secret, _ = make_secret(ports, courier, PROJECT.id, keep_old=timedelta(0), by="ada@lab.example")
    return Lab(ports, clock, bus, courier, secret)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as up:
        yield up


def test_a_callback_that_fails_three_times_is_delivered_once_under_one_id(lab: Lab, receiver: Receiver) -> None:
    """C92, the first."""
    analysis = lab.submit("first", f"{receiver.url}/iflow?lab=1")
    receiver.answers = [500, 503, 429]
    lab.fails(analysis)
    lab.run(hours=1)
    assert [sent.path for sent in receiver.received] == ["/iflow?lab=1"] * 4
    (identity,) = {sent.headers["webhook-id"] for sent in receiver.received}
    assert all(sent.is_signed_by(lab.secret) for sent in receiver.received)
    assert len({sent.headers["webhook-timestamp"] for sent in receiver.received}) == 4, "signed anew"
    told = receiver.received[-1].json
    assert (told["type"], told["data"]["request_id"], told["data"]["status"]) == ("analysis.failed", "first", "failed")
    (kept,) = deliveries(lab.ports, PROJECT.id, analysis.id)
    assert (kept.id, kept.outcome, kept.attempts) == (identity, Outcome.DELIVERED, 4)
    assert kept.answer == "127.0.0.1 answered 200: as asked"
    assert lab.letters() == []


def test_a_receiver_that_is_down_for_a_day_is_an_operators_letter_and_hears_it_when_it_is_played_again(
    lab: Lab, receiver: Receiver
) -> None:
    """C92, the second; the analysis' status depends on none of it."""
    receiver.then = 503
    analysis = lab.submit("second", receiver.url)
    lab.fails(analysis)
    lab.run(hours=24)
    (letter,) = lab.letters()
    most = topology().subscriptions["callback"].max_attempts
    assert (letter["subscription"], letter["attempts"], len(receiver.received)) == ("callback", most, most)
    assert "127.0.0.1 answered 503" in letter["reason"]
    (kept,) = deliveries(lab.ports, PROJECT.id, analysis.id)
    assert (kept.outcome, kept.attempts) == (Outcome.FAILING, most)
    found = lab.ports.documents.get(analysis.doc_path)
    assert (found.data["status"], found.data["unsent"]) == ("failed", [])
    receiver.then = 200
    replay(lab.ports, PROJECT.id, letter["id"], "ada@lab.example")
    lab.run(hours=1)
    replay(lab.ports, PROJECT.id, letter["id"], "ada@lab.example")  # by mistake
    lab.run(hours=1)
    assert len(receiver.received) == most + 1
    assert len({sent.headers["webhook-id"] for sent in receiver.received}) == 1
    assert deliveries(lab.ports, PROJECT.id, analysis.id)[0].outcome is Outcome.DELIVERED


def test_an_inner_address_is_refused_when_it_is_asked_for_and_again_when_it_is_sent_to(lab: Lab) -> None:
    """C92, the third: by its text at once; by what its name resolves to, whenever something is sent."""
    with pytest.raises(RequestRefused) as refused:
        lab.submit("third", "https://10.0.0.5/hook?token=x")
    (reason,) = refused.value.reasons
    assert reason.field == "callback_url"
    assert reason.message == (
        '"https://10.0.0.5/hook" leads to 10.0.0.5, which is not on the public Internet; '
        "give an https address of a public server"
    )
    lab.courier = replace(lab.courier, post=Outside(resolve=lambda host, port: ["93.184.215.14", "10.0.0.5"]).post)
    analysis = lab.submit("third", "https://lims.lab.example/hook")
    lab.fails(analysis)
    lab.run(hours=1)
    (letter,) = lab.letters()
    assert letter["attempts"] == 1, "not tried again"
    assert "lims.lab.example leads to 10.0.0.5" in letter["reason"]
    assert deliveries(lab.ports, PROJECT.id, analysis.id)[0].outcome is Outcome.REFUSED


def test_without_a_secret_nobody_can_ask_to_be_called_back(lab: Lab) -> None:
    stored = lab.ports.documents.get(paths.notifications_doc(PROJECT.id))
    assert lab.secret not in str(stored.data)
    register_project(lab.ports, PROJECT.model_copy(update={"id": "new", "bucket": "new"}))
    register_pipeline(lab.ports, "new", a_pipeline(), by="ada@lab.example")
    with pytest.raises(RequestRefused, match="iflow notifications secret"):
        accept(lab.ports, a_request(project="new", callback_url="https://lims.lab.example/"), source="test")
    with pytest.raises(Permanent, match="no longer holds its key"):
        Vault("x" * 32).open(VAULT.seal("whsec_"))
    assert Vault(f"{'x' * 32},{'k' * 32}").open(VAULT.seal("whsec_")) == "whsec_"


@pytest.mark.parametrize(("status", "letters", "outcome"), [
    (302, 1, Outcome.REFUSED), (404, 1, Outcome.REFUSED), (410, 0, Outcome.GONE),
])
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    lab: Lab, receiver: Receiver, status: int, letters: int, outcome: Outcome
) -> None:
    receiver.then = status
    analysis = lab.submit("once", receiver.url)
    lab.fails(analysis)
    lab.run(hours=24)
    assert [sent.path for sent in receiver.received] == ["/"], "no redirect was followed"
    assert len(lab.letters()) == letters
    assert deliveries(lab.ports, PROJECT.id, analysis.id)[0].outcome is outcome


def test_a_chat_hears_of_each_state_once_however_often_it_is_delivered(lab: Lab, receiver: Receiver) -> None:
    """Two deliveries at once among them: one sends, the other comes again, and finds that it is done."""
    set_chat(lab.ports, lab.courier, PROJECT.id, url=f"{receiver.url}/T0/B0", keep_url=False,
             on=CHAT_DEFAULT, by="ada@lab.example")
    analysis = lab.submit("told", None)
    loaded, _ = decide(
        lab.ports.documents, analysis.doc_path, lambda known: look(known, a_job(JobState.FAILED, QUEUED))
    )
    for _ in range(3):
        announce(lab.ports.documents, lab.bus, as_stored(loaded))
    event = loaded.analysis.unsent[-1]
    delivery = Delivery("m", event.to_bytes(), event.attributes(), "", "")

    def notify(_: int) -> str:
        try:
            handler.notify(delivery, lab.ports, courier=lab.courier)
        except Unavailable as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(notify, range(4)))
    lab.run(hours=2)
    (sent,) = receiver.received
    assert sent.path == "/T0/B0"
    assert sent.json["text"].startswith("told has failed. The job failed")
    page = f"https://iflow.lab.example/analyses/{analysis.id}?project={PROJECT.id}"
    assert f"*<{page}|told>*" in sent.json["blocks"][0]["text"]["text"]
    stored = lab.ports.documents.get(paths.notifications_doc(PROJECT.id))
    assert "/T0/B0" not in str(stored.data), "the webhook's address is a secret"


def test_what_is_stuck_is_told_to_the_chat_once(lab: Lab, receiver: Receiver) -> None:
    set_chat(lab.ports, lab.courier, PROJECT.id, url=receiver.url, keep_url=False, on=CHAT_DEFAULT, by="ada")
    analysis = lab.submit("waits", None)
    for _ in range(20):
        reconcile(Delivery("tick", b"{}", {}, "", ""), lab.ports)
        lab.run(hours=0.5)
    (sent,) = receiver.received
    assert "waits is stuck. It has waited for a machine for 6 hours." in sent.json["text"]
    stored = lab.ports.documents.get(analysis.doc_path)
    assert stored.data["stuck"]["reason"] == "It has waited for a machine for 6 hours."


def test_who_dies_while_sending_leaves_it_to_the_next(lab: Lab, receiver: Receiver) -> None:
    analysis = lab.submit("dies", receiver.url)

    def dies(*_: Any) -> Any:
        raise RuntimeError("killed")

    lab.fails(analysis)
    (leased,) = lab.bus.lease("callback", 1)
    with pytest.raises(RuntimeError):
        receive("callback", cloud_event(leased), partial(
            handler.callback, courier=replace(lab.courier, post=dies)
        ), lab.ports)
    lab.run(hours=1)
    assert len(receiver.received) == 1
    assert deliveries(lab.ports, PROJECT.id, analysis.id)[0].attempts == 2


# -- the way out --------------------------------------------------------------------------------------------------


def test_the_connection_goes_to_the_address_that_was_looked_at_though_the_name_moves_on(tmp_path: Path) -> None:
    """DNS rebinding: a name is resolved once for each sending, and TLS is still checked against the name."""
    name = "lims.lab.example"
    server, client = _tls(tmp_path, name)
    answers = [["93.184.215.14"], ["169.254.169.254"], ["93.184.215.14", "::ffff:10.0.0.1"], ["93.184.215.14"]]
    connected: list[tuple[str, int]] = []
    with receiving(server) as receiver:

        def connect(to: tuple[str, int], timeout_s: float) -> socket.socket:
            connected.append(to)
            return socket.create_connection(("127.0.0.1", int(receiver.url.rpartition(":")[2])), timeout_s)

        outside = Outside(resolve=lambda host, port: answers.pop(0), connect=connect, tls=client)
        assert outside.post(f"https://{name}/hook?a=b", {"webhook-id": "1"}, b"{}").status == 200
        assert (connected, len(answers)) == ([("93.184.215.14", 443)], 3)
        (sent,) = receiver.received
        assert (sent.path, sent.headers["host"], sent.headers["webhook-id"]) == ("/hook?a=b", name, "1")
        for inner in ("169.254.169.254", "::ffff:10.0.0.1"):
            with pytest.raises(AddressRefused, match=f"leads to {re.escape(inner)}"):
                outside.post(f"https://{name}/hook", {}, b"{}")
        with pytest.raises(Unavailable, match="certificate"):
            outside.post("https://other.lab.example/hook", {}, b"{}")
        assert (len(connected), len(receiver.received)) == (2, 1)


@pytest.mark.parametrize(("says", "sentence"), [
    (b"", "did not answer within"), (b"HTTP/1.1 200 OK\r\nX: ", "did not answer within"),
    (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not speak HTTP"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000, "200"),
])
def test_a_server_that_drips_babbles_or_never_ends_costs_a_bounded_time_and_memory(says: bytes, sentence: str) -> None:
    """It says this much, and then keeps the connection open."""
    outside = Outside(loopback=True, answer_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(_say, server, says)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        if sentence == "200":
            answered = outside.post(url, {}, b"{}")
            assert (answered.status, len(answered.head)) == (200, len("x" * 200 + " … (2,000 characters in all)"))
            return
        with pytest.raises(Unavailable, match=sentence):
            outside.post(url, {}, b"{}")


def test_who_is_not_there_is_asked_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="cannot be reached"):
        Outside(loopback=True).post(f"http://127.0.0.1:{port}/", {}, b"{}")

    def no_such_name(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(Unavailable, match=r"the name lims\.lab\.example does not resolve"):
        Outside(resolve=no_such_name).post("https://lims.lab.example/", {}, b"{}")


def _say(server: socket.socket, says: bytes) -> None:
    connected, _ = server.accept()
    with connected, suppress(OSError):
        connected.sendall(says)
        while connected.recv(65_536):
            pass


def _tls(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server that is `name`, by a certificate of its own, and a client that trusts it."""
    key, subject, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(certificate + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=certificate.decode())
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return server, client
