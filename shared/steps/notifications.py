"""How a project wants to be told: its chat's webhook, and the secrets that its callbacks are signed with."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

from shared.domain import paths
from shared.domain.callback import AddressRefused, destination
from shared.domain.errors import Conflict, Permanent
from shared.domain.events import EventType
from shared.domain.notification import SECRET_BYTES, Notifications, SigningSecret, new_secret
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.ports import Courier, Create, Documents, Ports, Update
from shared.steps.store import ATTEMPTS

NO_SECRET = (
    "cannot be used: project {project!r} has no secret to sign callbacks with; an admin makes one by "
    "`iflow notifications secret`"
)


def notifications(documents: Documents, project: str) -> Notifications | None:
    stored = documents.get(paths.notifications_doc(project))
    return None if stored is None else Notifications.model_validate(stored.data)


def callback_faults(ports: Ports, project: str, url: str | None) -> list[Reason]:
    """Why a request with this `callback_url` can never be answered. One read, and none without one."""
    if url is None:
        return []
    try:
        destination(url, loopback=ports.rules.policy.loopback_callbacks)
    except AddressRefused as error:
        return [Reason(field="callback_url", message=str(error))]
    found = notifications(ports.documents, project)
    if found is None or not found.valid(ports.clock()):
        return [Reason(field="callback_url", message=NO_SECRET.format(project=project))]
    return []


def opened_secrets(ports: Ports, courier: Courier, project: str) -> tuple[str, ...]:
    """Those that sign now, the newest first. Raises Permanent where there is none."""
    found = notifications(ports.documents, project)
    valid = found.valid(ports.clock()) if found else ()
    if not valid:
        raise Permanent(f"callback_url {NO_SECRET.format(project=project)}")
    return tuple(courier.open(secret.sealed) for secret in valid)


def set_chat(
    ports: Ports, courier: Courier, project: str, *, url: str | None, keep_url: bool, on: tuple[EventType, ...], by: str
) -> Notifications:
    """Raises RequestRefused for an address that nothing may be sent to."""
    host, sealed = None, None
    if url is not None:
        try:
            host = destination(url, loopback=ports.rules.policy.loopback_callbacks).host
        except AddressRefused as error:
            raise RequestRefused((Reason(field="chat_url", message=str(error)),)) from None
        sealed = courier.seal(url)
    changes = {} if keep_url else {"chat_sealed": sealed, "chat_host": host}
    return _change(ports, project, by, lambda known: known.model_copy(update={**changes, "chat_on": on}))


def make_secret(
    ports: Ports, courier: Courier, project: str, *, keep_old: timedelta, by: str
) -> tuple[str, Notifications]:
    """The new secret, which is shown this once, and the settings with it."""
    now, secret = ports.clock(), new_secret(secrets.token_bytes(SECRET_BYTES))
    kept = SigningSecret(id=secrets.token_hex(4), sealed=courier.seal(secret), made_at=now)
    return secret, _change(ports, project, by, lambda known: known.with_secret(kept, now, keep_old))


def _change(
    ports: Ports, project: str, by: str, change: Callable[[Notifications], Notifications]
) -> Notifications:
    path, now = paths.notifications_doc(project), ports.clock()
    for _ in range(ATTEMPTS):
        stored = ports.documents.get(path)
        known = (
            Notifications.model_validate(stored.data) if stored
            else Notifications(project=project, updated_at=now, updated_by=by)
        )
        wanted = change(known).model_copy(update={"updated_at": now, "updated_by": by})
        data = wanted.to_document()
        try:
            ports.documents.commit([Update(path, data, stored.version) if stored else Create(path, data)])
        except Conflict:
            continue
        return wanted
    raise Conflict(path)
