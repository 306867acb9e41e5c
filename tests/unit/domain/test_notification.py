"""Where callbacks may go, what they say, how they are signed, what an answer means; and what is stuck."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.domain.analysis import FailureKind
from shared.domain.callback import AddressRefused, destination, problem_with_address
from shared.domain.events import EventType
from shared.domain.job import JobState
from shared.domain.lifecycle import Unchanged, request_cancel
from shared.domain.notification import (
    REASONS,
    Notifications,
    Outcome,
    SigningSecret,
    callback_body,
    chat_message,
    new_secret,
    outcome_of,
    signed_headers,
)
from shared.domain.policy import Policy
from shared.domain.stuck import mark_stuck
from tests.builders import QUEUED, RUNNING, SCHEDULED, T0, a_job, a_request, after, an_analysis, look
from tests.receiver import Received

URL = "https://lims.lab.example/iflow"
BAD = [
    ("http://lims.lab.example/", "https://"), ("ftp://lims.lab.example/", "https://"),
    ("//lims.lab.example", "https://"),
    ("javascript:alert(1)", "https://"), ("https:///path", "no host"), ("https://", "no host"), ("", "holds a blank"),
    ("https://ada:secret@lims.lab.example/", "user"), ("https://lims.lab.example@10.0.0.1/", "user"),
    ("https://lims.lab.example:22/", "port 22"), ("https://lims.lab.example:80/", "port 80"),
    ("https://lims.lab.example:0/", "port 0"), ("https://lims.lab.example:99999/", "no address"),
    ("https://lims.lab.example:/", "port"), ("https://lims.lab.example/#x", "fragment"),
    ("https://lims.lab.example\\@10.0.0.1/", "backslash"), ("https://lims.lab.example/a b", "blank"),
    ("https://lims.lab.example/\r\nX: y", "blank"), ("https://lìms.lab.example/", "ASCII"),
    ("https://localhost/", "own network"), ("https://a.localhost./", "own network"), ("https://lims/", "own network"),
    ("https://metadata.google.internal/computeMetadata/v1/", "own network"), ("https://nas.local/", "own network"),
    ("https://router.home.arpa/", "own network"),
    ("https://127.0.0.1/", "public Internet"), ("https://127.1/", "odd form"), ("https://0x7f.0.0.1/", "odd form"),
    ("https://2130706433/", "odd form"), ("https://0177.0.0.1/", "odd form"), ("https://1.2.3.4.5/", "odd form"),
    ("https://10.1.2.3/", "public Internet"), ("https://172.31.0.1/", "public Internet"),
    ("https://192.168.0.1/", "public Internet"), ("https://169.254.169.254/", "public Internet"),
    ("https://100.100.100.200/", "public Internet"), ("https://0.0.0.0/", "public Internet"),
    ("https://224.0.0.1/", "public Internet"), ("https://255.255.255.255/", "public Internet"),
    ("https://198.18.0.1/", "public Internet"), ("https://[::1]/", "public Internet"),
    ("https://[::]/", "public Internet"), ("https://[::ffff:169.254.169.254]/", "public Internet"),
    ("https://[::ffff:10.0.0.1]/", "public Internet"), ("https://[::127.0.0.1]/", "public Internet"),
    ("https://[64:ff9b::a9fe:a9fe]/", "public Internet"), ("https://[2002:7f00:1::]/", "public Internet"),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "public Internet"),
    ("https://[fd00:ec2::254]/", "public Internet"),
    ("https://[fe80::1]/", "public Internet"), ("https://[ff02::1]/", "public Internet"),
    ("https://[2606:4700::1%25eth0]/", "no host"), ("https://[fe80::1%25eth0]/", "no host"),
    ("https://lims.lab.example/" + "x" * 2_000, "2,000"),
]


@pytest.mark.parametrize(("url", "said"), BAD)
def test_an_address_that_leads_inside_somebodys_network_is_refused_with_what_to_do(url: str, said: str) -> None:
    """C92, third callback."""
    with pytest.raises(AddressRefused, match=said):
        destination(url)


@pytest.mark.parametrize("url", [
    URL, "https://lims.lab.example:8443/a?b=c", "https://8.8.8.8/", "https://[2606:4700:4700::1111]/",
    "HTTPS://LIMS.lab.example",
])
def test_an_address_of_a_public_server_is_taken(url: str) -> None:
    assert destination(url).scheme == "https"


def test_this_machine_is_allowed_only_where_a_setting_says_so() -> None:
    for url in ("http://127.0.0.1:8080/x", "http://localhost:1/", "http://[::1]:9/"):
        assert destination(url, loopback=True).port != 443
        with pytest.raises(AddressRefused):
            destination(url)
    for url in ("http://lims.lab.example/", "http://10.0.0.1/", "http://0.0.0.0:80/", "https://169.254.169.254/"):
        with pytest.raises(AddressRefused):
            destination(url, loopback=True)
    assert destination("http://[::1]:9/a?b", loopback=True).authority == "[::1]:9"
    assert problem_with_address("nonsense") is not None


def test_a_signature_is_that_of_standard_webhooks_by_each_secret_over_the_very_body() -> None:
    first, second = new_secret(b"a" * 32), new_secret(b"b" * 32)
    headers = signed_headers("msg_1", T0, b'{"x":1}', (second, first))
    assert headers["webhook-timestamp"] == str(int(T0.timestamp()))
    sent = Received("/", headers, b'{"x":1}')
    assert sent.is_signed_by(first)
    assert sent.is_signed_by(second)
    assert not sent.is_signed_by(new_secret(b"c" * 32))
    assert not Received("/", headers, b'{"x":2}').is_signed_by(first)
    assert not Received("/", {**headers, "webhook-timestamp": "1"}, sent.body).is_signed_by(first)


def test_the_example_of_standard_webhooks_has_the_signature_that_its_authors_give() -> None:
    """The test vector of the specification's own libraries (standard-webhooks, libraries/python)."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", T0.fromtimestamp(1614265330, T0.tzinfo), b'{"test": 2432232314}',
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_secret_signs_beside_the_old_one_for_as_long_as_was_said() -> None:
    settings = Notifications(project="lab", updated_at=T0, updated_by="ada")
    one, two, three = (SigningSecret(id=name, sealed="...", made_at=T0) for name in "123")
    settings = settings.with_secret(one, T0, timedelta(hours=24)).with_secret(two, T0, timedelta(hours=24))
    assert [each.id for each in settings.valid(T0)] == ["2", "1"]
    assert [each.id for each in settings.valid(T0 + timedelta(hours=25))] == ["2"]
    assert [each.id for each in settings.with_secret(three, T0, timedelta(0)).valid(T0)] == ["3"]


@pytest.mark.parametrize(("statuses", "outcome"), [
    ((200, 202, 204), Outcome.DELIVERED), ((410,), Outcome.GONE), ((301, 302, 307, 400, 401, 404), Outcome.REFUSED),
    ((408, 425, 429, 500, 502, 503), Outcome.FAILING),
])
def test_what_an_answer_means(statuses: tuple[int, ...], outcome: Outcome) -> None:
    assert {outcome_of(status) for status in statuses} == {outcome}


def test_a_callback_tells_ids_and_a_reason_and_no_line_of_a_log() -> None:
    assert set(REASONS) == set(FailureKind)
    failed = after(look(an_analysis(callback_url=URL), a_job(JobState.FAILED, QUEUED)))
    failure = failed.failure.model_copy(update={"message": "Its last line was: Jane Doe, born 1970"})
    failed = failed.changed(failure=failure)
    body = json.loads(callback_body(failed, EventType.FAILED, T0, "https://iflow.lab.example", {}, T0))
    assert body["type"] == "analysis.failed"
    assert body["data"]["failure"]["reason"] == REASONS[failure.kind]
    assert body["data"]["request_id"] == "r-1"
    assert body["data"]["page"] == f"https://iflow.lab.example/analyses/{failed.id}?project=lab"
    message = chat_message(failed, EventType.FAILED, "https://iflow.lab.example")
    for text in (json.dumps(body), message.decode()):
        assert "Jane Doe" not in text
    assert json.loads(message)["text"].startswith("WGS 12/A has failed. ")


def test_a_name_cannot_write_into_a_message_what_slack_would_follow() -> None:
    odd = an_analysis(display_id="<!channel> & <https://evil.example|x>")
    text = chat_message(odd, EventType.SUCCEEDED, "https://iflow.lab.example").decode()
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|x&gt;" in text


def test_a_callback_is_committed_with_what_it_tells_of_and_only_where_one_was_asked_for() -> None:
    """C92: each end of it once, under the id of the event that it tells of."""
    job = a_job(JobState.FAILED, QUEUED)
    plain, asked = after(look(an_analysis(), job)), after(look(an_analysis(callback_url=URL), job))
    assert EventType.CALLBACK not in [event.type for event in plain.unsent]
    *_, told, call = asked.unsent
    assert (told.type, call.type, call.data["event_id"]) == (EventType.FAILED, EventType.CALLBACK, told.id)


def test_a_request_without_a_callback_is_the_same_request_as_before_there_were_any() -> None:
    """A repeated one, that straddles the release, must find its own document."""
    assert a_request().digest() == "3e84b779328f5ca676be8bf31adc7a11737e69ce56181bb7bcd0779c691825e7"
    assert a_request(callback_url=URL).digest() != a_request().digest()


def test_what_waits_runs_or_is_cancelled_for_too_long_is_stuck_once_and_no_longer_when_it_moves_on() -> None:
    policy, late = Policy(), timedelta(seconds=Policy.stuck_after_s, minutes=1)
    queued = an_analysis()
    assert isinstance(mark_stuck(queued, T0 + timedelta(hours=5), policy), Unchanged)
    stuck = after(mark_stuck(queued, T0 + late, policy))
    assert stuck.unsent[-1].type is EventType.STUCK
    assert stuck.stuck.reason == "It has waited for a machine for 6 hours."
    assert stuck.to_document()["listed"]["attention"] is True
    assert isinstance(mark_stuck(stuck, T0 + 2 * late, policy), Unchanged)
    running = after(look(stuck, a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING)))
    assert running.stuck is None
    allowed = timedelta(seconds=3600)  # the pipeline's max_run_seconds, without a retry
    over = running.started_at + allowed + late
    assert isinstance(mark_stuck(running, over - timedelta(minutes=2), policy), Unchanged)
    assert after(mark_stuck(running, over, policy)).stuck.reason == (
        "It has run for 7 hours; its pipeline allows 60 minutes with every retry."
    )
    asked = after(request_cancel(running, "ada@lab.example", T0))
    assert "not confirmed" in after(mark_stuck(asked, T0 + late, policy)).stuck.reason
    done = after(look(running, a_job(JobState.FAILED, QUEUED)))
    assert isinstance(mark_stuck(done, T0 + timedelta(days=9), policy), Unchanged)
