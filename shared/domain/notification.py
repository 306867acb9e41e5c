"""What the product tells others of an analysis: callbacks to who asked for it, messages to its project's chat.

Pure: what is said, how it is signed, what an answer means, and what is recorded of a delivery. Signatures are those of
https://github.com/standard-webhooks/standard-webhooks (version 1); messages are Slack's, for incoming webhooks
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain import paths
from shared.domain.analysis import Analysis, FailureKind, IngestStatus, Output, Status
from shared.domain.clock import Time, iso
from shared.domain.events import EventType
from shared.domain.part import Part

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
MOST_SECRETS = 3
OLD_SECRET_HOURS = 24
"""How long a secret goes on signing beside the one that takes its place."""

LINKS_GOOD_FOR_S = 3_600
MOST_LINKED = 50
"""Outputs with an address in one callback; each is signed by a call to Google. The API lists the others."""

SENDING_S = 60
"""How long who is sending has it for itself: no sending takes longer."""

TEST = "notification.test"

CHAT_EVENTS = (
    EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELLED, EventType.INGESTED, EventType.INGEST_FAILED,
    EventType.STUCK,
)
CHAT_DEFAULT = (EventType.SUCCEEDED, EventType.FAILED, EventType.INGEST_FAILED, EventType.STUCK)

REASONS: Mapping[FailureKind, str] = {
    FailureKind.EXIT_CODE: "A task of the pipeline ended with an error.",
    FailureKind.OUT_OF_MEMORY: "A task used more memory than its machine had.",
    FailureKind.PREEMPTED: "Google took the machine away, as it may with spot machines.",
    FailureKind.TIMEOUT: "The run took longer than its pipeline allows.",
    FailureKind.VM_LOST: "The machine was lost while the task ran.",
    FailureKind.IMAGE: "The pipeline's container image could not be used.",
    FailureKind.PERMISSION: "An account lacked a right that the run needed.",
    FailureKind.QUOTA: "There was not enough quota for the machines.",
    FailureKind.OUTPUTS_MISSING: "The pipeline ended without a file that it must leave.",
    FailureKind.JOB_LOST: "The job was deleted before it ended.",
    FailureKind.REJECTED_BY_BATCH: "Google Batch refused the job.",
    FailureKind.UNKNOWN: "The job failed, and Google Batch gave no reason.",
}
"""A failure's own message may quote a log, and with it a patient's data: these never do."""


class Channel(StrEnum):
    CALLBACK = "callback"
    CHAT = "chat"


class Outcome(StrEnum):
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILING = "failing"
    """Not taken; the subscription tries again until its attempts are used up, and then keeps a dead letter."""
    REFUSED = "refused"
    """Not taken, and will not be if it is sent again; it is kept as a dead letter."""
    GONE = "gone"
    """The receiver answered 410: it wants no more of this analysis."""


class SigningSecret(Part):
    """`sealed` only the vault opens. `until` None: it signs until another takes its place."""

    id: str
    sealed: str
    made_at: Time
    until: Time | None = None


class Notifications(Part):
    """Document `projects/{project}/settings/notifications`. `chat_host` is what may be shown of the webhook's address,
    which is a secret."""

    project: str
    chat_sealed: str | None = None
    chat_host: str | None = None
    chat_on: tuple[EventType, ...] = CHAT_DEFAULT
    signing: tuple[SigningSecret, ...] = ()
    updated_at: Time
    updated_by: str

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def valid(self, now: datetime) -> tuple[SigningSecret, ...]:
        """Those that are valid, the newest first."""
        return tuple(secret for secret in self.signing if secret.until is None or secret.until > now)

    def with_secret(self, secret: SigningSecret, now: datetime, keep_old: timedelta) -> Notifications:
        """The new one signs from now on; those before it go on beside it for `keep_old` at most."""
        until = now + keep_old
        old = [
            each.model_copy(update={"until": min(each.until or until, until)}) for each in self.valid(now)
        ] if keep_old else []
        return self.model_copy(update={"signing": (secret, *old)[:MOST_SECRETS]})


class Delivery(Part):
    """Document `projects/{project}/deliveries/{channel}:{id}`: what became of one callback or message.

    `id` is what the receiver knows it by, `to` the host, `answer` a sentence on the last attempt. While it is `sending`
    it is one sender's until `until`.
    """

    id: str
    channel: Channel
    project: str
    analysis_id: str
    event: str
    to: str
    outcome: Outcome
    attempts: int
    answer: str | None = None
    first_at: Time
    last_at: Time
    until: Time
    expires_at: str

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @property
    def doc_path(self) -> str:
        return paths.delivery_doc(self.project, f"{self.channel}:{self.id}")

    @property
    def over(self) -> bool:
        """Nothing is to be sent again, not even when an operator plays the event again."""
        return self.outcome in (Outcome.DELIVERED, Outcome.GONE)


def outcome_of(status: int) -> Outcome:
    """What an HTTP status means. A redirect is not followed: it could lead anywhere."""
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status == 410:
        return Outcome.GONE
    if status in (408, 425, 429) or status >= 500:
        return Outcome.FAILING
    return Outcome.REFUSED


# -- callbacks ----------------------------------------------------------------------------------------------------


def new_secret(random: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(random).decode()


def signed_headers(delivery_id: str, now: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """With a signature of each secret, parted by blanks: whoever knows one of them can check."""
    timestamp = str(int(now.timestamp()))
    content = b".".join((delivery_id.encode(), timestamp.encode(), body))
    keys = (base64.b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in secrets)
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "Content-Type": "application/json", "webhook-id": delivery_id, "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def callback_body(
    analysis: Analysis, event: EventType, at: datetime, base: str, links: Mapping[str, str], links_until: datetime
) -> bytes:
    """`links` are the addresses of outputs by path, `base` our own address. It holds ids, and no sample's name."""
    failed = analysis.failure if analysis.status is Status.FAILED else None
    return _json({
        "type": event,
        "timestamp": iso(at),
        "data": {
            "project": analysis.project, "analysis_id": analysis.id, "display_id": analysis.display_id,
            "request_id": analysis.request_id, "order_id": analysis.order_id, "rerun_of": analysis.rerun_of,
            "status": analysis.status, "ingest": analysis.ingest.status,
            "failure": failed and {
                "kind": failed.kind, "exit_code": failed.exit_code, "task": failed.task,
                "reason": REASONS[failed.kind], "hint": failed.hint,
            },
            "page": page_of(analysis, base),
            "outputs": [_output(output, links.get(output.path)) for output in analysis.outputs[:MOST_LINKED]],
            "outputs_total": analysis.outputs_total,
            "outputs_url": f"{base}/api/v1/analyses/{analysis.id}/outputs",
            "links_until": iso(links_until) if links else None,
        },
    })


def _output(output: Output, url: str | None) -> dict[str, Any]:
    return {"path": output.path, "kind": output.kind, "size": output.size, "crc32c": output.crc32c, "url": url}


def wants_links(analysis: Analysis, event: EventType) -> bool:
    """Whether the callback gives addresses of files: when there are results, and not again for the ingest's end."""
    return event is EventType.SUCCEEDED and analysis.status is Status.SUCCEEDED


def trial_body(project: str, at: datetime) -> bytes:
    return _json({"type": TEST, "timestamp": iso(at), "data": {"project": project}})


def page_of(analysis: Analysis, base: str) -> str:
    return f"{base}/analyses/{analysis.id}?project={analysis.project}"


# -- messages -----------------------------------------------------------------------------------------------------

_VERBS: Mapping[EventType, str] = {
    EventType.SUCCEEDED: "has succeeded", EventType.FAILED: "has failed", EventType.CANCELLED: "was cancelled",
    EventType.INGESTED: "has variants to browse", EventType.INGEST_FAILED: "has succeeded, but its ingest failed",
    EventType.STUCK: "is stuck",
}
_ICONS: Mapping[EventType, str] = {
    EventType.SUCCEEDED: ":white_check_mark:", EventType.FAILED: ":x:", EventType.CANCELLED: ":no_entry_sign:",
    EventType.INGESTED: ":dna:", EventType.INGEST_FAILED: ":x:", EventType.STUCK: ":hourglass:",
}


def chat_message(analysis: Analysis, event: EventType, base: str) -> bytes:
    """`text` is what a notification on a telephone shows; the blocks are the message."""
    page, name, verb = page_of(analysis, base), _escaped(analysis.display_id), _VERBS[event]
    said = _why(analysis, event)
    pipeline = f"{analysis.pipeline.slug} {analysis.pipeline.version}"
    return _json({
        "text": f"{name} {verb}.{' ' + _escaped(said) if said else ''} {page}",
        "blocks": [
            {"type": "section", "text": {
                "type": "mrkdwn",
                "text": f"{_ICONS[event]} *<{page}|{name}>* {verb}." + (f"\n{_escaped(said)}" if said else ""),
            }},
            {"type": "context", "elements": [
                {"type": "mrkdwn", "text": _escaped(f"{analysis.project} · {pipeline} · {analysis.status}")},
            ]},
        ],
    })


def chat_trial(project: str, base: str) -> bytes:
    text = f"iflow writes here of the analyses of project {_escaped(project)}. {base}"
    return _json({"text": text, "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]})


def _why(analysis: Analysis, event: EventType) -> str:
    if event is EventType.FAILED and analysis.failure:
        return f"{REASONS[analysis.failure.kind]} {analysis.failure.hint}"
    if event is EventType.STUCK and analysis.stuck:
        return analysis.stuck.reason
    if event is EventType.SUCCEEDED and analysis.ingest.status in (IngestStatus.PENDING, IngestStatus.RUNNING):
        return "Its variants are being ingested."
    return ""


def _escaped(text: str) -> str:
    """Slack's three characters (https://docs.slack.dev/messaging/formatting-message-text#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
