"""Others are told what became of an analysis: who asked for it by callback, its project's chat by webhook.

Each has a subscription of its own, so that one which does not answer holds up nothing else. What is not taken comes
again, and after all attempts is a dead letter, which an operator can play again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

from services.notifier.settled import chat_of
from shared.delivery import Delivery, event_of
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.event_data import CallBack
from shared.domain.events import Event
from shared.domain.notification import (
    LINKS_GOOD_FOR_S,
    MOST_LINKED,
    Channel,
    Outcome,
    callback_body,
    chat_message,
    signed_headers,
    wants_links,
)
from shared.ports import Answered, Courier, Ports
from shared.steps.deliver import Parcel, deliver, deliveries
from shared.steps.notifications import opened_secrets
from shared.steps.store import load

log = logging.getLogger(__name__)


def callback(delivery: Delivery, ports: Ports, *, courier: Courier) -> None:
    """The command is committed only where a `callback_url` was given."""
    event = event_of(delivery)
    asked = CallBack.model_validate(event.data)
    analysis = load(ports.documents, paths.analysis_doc(event.project, asked.analysis_id)).analysis
    if analysis.callback_url is None or _is_gone(ports, analysis):
        log.info("no callback is wanted", extra={"analysis_id": analysis.id})
        return
    url = analysis.callback_url
    parcel = Parcel(
        asked.event_id, Channel.CALLBACK, analysis.project, analysis.id, asked.type, _host(url)
    )
    deliver(ports, parcel, lambda: _call_back(ports, courier, analysis, asked, event, url))


def _call_back(
    ports: Ports, courier: Courier, analysis: Analysis, asked: CallBack, event: Event, url: str
) -> Answered:
    """Signed anew for each attempt: the receiver refuses what is old."""
    secrets, now = opened_secrets(ports, courier, analysis.project), ports.clock()
    base = courier.address()
    links = _links(ports, analysis, base) if wants_links(analysis, asked.type) else {}
    body = callback_body(
        analysis, asked.type, event.time, base, links, now + timedelta(seconds=LINKS_GOOD_FOR_S)
    )
    return courier.post(url, signed_headers(asked.event_id, now, body, secrets), body)


def _links(ports: Ports, analysis: Analysis, base: str) -> Mapping[str, str]:
    return {
        output.path: urljoin(
            base, ports.objects.url(analysis.bucket, output.path, expires_in_s=LINKS_GOOD_FOR_S)
        )
        for output in analysis.outputs[:MOST_LINKED]
    }


def _is_gone(ports: Ports, analysis: Analysis) -> bool:
    """The receiver has answered 410 to another callback of this analysis."""
    return any(
        each.outcome is Outcome.GONE and each.channel is Channel.CALLBACK
        for each in deliveries(ports, analysis.project, analysis.id)
    )


def notify(delivery: Delivery, ports: Ports, *, courier: Courier) -> None:
    """Nothing is read of an analysis whose project has no chat, and of the project only now and then."""
    event = event_of(delivery)
    chat = chat_of(ports, event.project)
    if chat is None or chat.chat_sealed is None or event.type not in chat.chat_on:
        return
    analysis = load(ports.documents, paths.analysis_doc(event.project, event.subject)).analysis
    url = courier.open(chat.chat_sealed)
    parcel = Parcel(event.id, Channel.CHAT, analysis.project, analysis.id, event.type, _host(url))
    deliver(ports, parcel, lambda: courier.post(
        url, {"Content-Type": "application/json"}, chat_message(analysis, event.type, courier.address())
    ))


def _host(url: str) -> str:
    """What may be shown of an address: the rest of it may be a secret."""
    return urlsplit(url).hostname or "?"
