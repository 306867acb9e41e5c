"""How a project is told of its analyses: its chat's webhook, the secrets of callbacks, and what was delivered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from services.miner.bodies import NewSecret, NotificationsTest, NotificationsWanted
from services.miner.context import TheAnalysis, TheBody, TheCaller, TheKey, TheOptionalBody, ThePorts, TheProject, parse
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented
from shared.domain.clock import Time
from shared.domain.errors import Permanent, Transient
from shared.domain.events import EventType
from shared.domain.notification import (
    CHAT_DEFAULT,
    TEST,
    Delivery,
    Notifications,
    Outcome,
    chat_trial,
    outcome_of,
    signed_headers,
    trial_body,
)
from shared.ports import Answered, Courier, Ports
from shared.steps.deliver import deliveries
from shared.steps.notifications import make_secret, notifications, opened_secrets, set_chat

router = APIRouter(prefix="/notifications", tags=["notifications"])
delivered = APIRouter(prefix="/analyses/{analysis}/deliveries", tags=["notifications"])


class Secret(BaseModel):
    """A secret that signs callbacks; the text of it is shown once, when it is made."""

    id: str
    made_at: Time
    until: Time | None = Field(description="null: until another takes its place.")


class Settings(BaseModel):
    chat_host: str | None = Field(description="Where messages go; the address itself is a secret. null: nowhere.")
    chat_on: list[EventType]
    signing: list[Secret] = Field(description="Secrets that sign now, the newest first; none: no callbacks.")


class SecretMade(BaseModel):
    secret: str = Field(description="Shown this once: give it to whoever receives the callbacks.")
    settings: Settings


class Tried(BaseModel):
    outcome: Outcome
    answer: str = Field(description="What the receiver answered, or why it could not be asked.")


class DeliveryList(BaseModel):
    items: list[Delivery]


def the_courier(request: Request) -> Courier:
    found: Courier = request.app.state.courier
    return found


TheCourier = Annotated[Courier, Depends(the_courier)]


@router.get("", responses=documented(400, 404, 503))
def get_notifications(project: TheProject, ports: ThePorts) -> Settings:
    """As they are set; no secret is among them."""
    return _shown(notifications(ports.documents, project.id), ports.clock())


@router.put("", openapi_extra=request_body("NotificationsWanted", {
    "chat_url": "https://hooks.slack.com/services/T0/B0/xyz", "chat_on": ["analysis.failed", "analysis.stuck"],
}), responses=documented(400, 404, 409, 413, 422, 503))
def set_notifications(
    project: TheProject, ports: ThePorts, caller: TheCaller, courier: TheCourier, _: TheKey, body: TheBody
) -> Settings:
    """Sets the chat's webhook and what is told there. Without `chat_url` the address stays; null takes it away."""
    wanted = parse(NotificationsWanted, body)
    found = set_chat(
        ports, courier, project.id, url=wanted.chat_url, keep_url="chat_url" not in wanted.model_fields_set,
        on=wanted.chat_on, by=caller,
    )
    return _shown(found, ports.clock())


@router.post(
    "/signing", status_code=201, openapi_extra=request_body("NewSecret", {"keep_old_hours": 24}, required=False),
    responses=documented(400, 404, 409, 413, 422, 503),
)
def new_secret(
    project: TheProject, ports: ThePorts, caller: TheCaller, courier: TheCourier, _: TheKey, body: TheOptionalBody
) -> SecretMade:
    """Makes the secret that signs callbacks from now on. Those before it sign beside it for `keep_old_hours`, so that
    receivers can change over in their own time; 0 ends them at once."""
    keep_old = timedelta(hours=parse(NewSecret, body).keep_old_hours)
    secret, found = make_secret(ports, courier, project.id, keep_old=keep_old, by=caller)
    return SecretMade(secret=secret, settings=_shown(found, ports.clock()))


@router.post("/test", openapi_extra=request_body("NotificationsTest", {}, required=False),
             responses=documented(400, 404, 409, 413, 422, 503))
def test_notifications(
    project: TheProject, ports: ThePorts, courier: TheCourier, _: TheKey, body: TheOptionalBody
) -> Tried:
    """Sends a message to the chat, or, with `callback_url`, a callback of type `notification.test` there; and says
    what came back."""
    url = parse(NotificationsTest, body).callback_url
    try:
        if url is None:
            answered = _try_chat(ports, courier, project.id)
        else:
            answered = _try_callback(ports, courier, project.id, url)
    except Transient as error:
        return Tried(outcome=Outcome.FAILING, answer=str(error))
    except Permanent as error:
        return Tried(outcome=Outcome.REFUSED, answer=str(error))
    return Tried(outcome=outcome_of(answered.status), answer=f"{answered.status} {answered.head}".strip())


@delivered.get("", responses=documented(400, 404, 503))
def get_deliveries(project: TheProject, stored: TheAnalysis, ports: ThePorts) -> DeliveryList:
    """What was sent of the analysis to others, and what they answered; in order of time."""
    return DeliveryList(items=deliveries(ports, project.id, stored.id))


def _try_chat(ports: Ports, courier: Courier, project: str) -> Answered:
    found = notifications(ports.documents, project)
    if found is None or found.chat_sealed is None:
        raise Refusal(409, "no-chat", "The project has no chat_url; set one, or give a callback_url to try.")
    message = chat_trial(project, courier.address())
    return courier.post(courier.open(found.chat_sealed), {"Content-Type": "application/json"}, message)


def _try_callback(ports: Ports, courier: Courier, project: str, url: str) -> Answered:
    now, secrets = ports.clock(), opened_secrets(ports, courier, project)
    body = trial_body(project, now)
    return courier.post(url, signed_headers(f"{TEST}.{ports.new_id()}", now, body, secrets), body)


def _shown(found: Notifications | None, now: datetime) -> Settings:
    if found is None:
        return Settings(chat_host=None, chat_on=list(CHAT_DEFAULT), signing=[])
    secrets: list[dict[str, Any]] = [secret.model_dump(exclude={"sealed"}) for secret in found.valid(now)]
    return Settings(
        chat_host=found.chat_host, chat_on=list(found.chat_on), signing=[Secret(**each) for each in secrets]
    )
