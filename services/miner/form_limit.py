"""How long a form may be, all its parts together: the framework reads it before anybody was asked who they are."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.miner.context import MOST_DISCARDED_BYTES
from shared.domain.request import MAX_REQUEST_BYTES

MOST_FORM_BYTES = 4 * MAX_REQUEST_BYTES
"""A request of the longest that there may be takes three times as many bytes in a form."""

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class FormLimit:
    """413 for a longer one; as much of it is thrown away as a client needs that is to see the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_form = scope["type"] == "http" and Headers(scope=scope).get("content-type", "").lower().startswith(FORMS)
        await self._app(scope, _limited(receive) if is_form else receive, send)


def _limited(receive: Receive) -> Receive:
    arrived = 0

    async def limited() -> Message:
        nonlocal arrived
        while True:
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived <= MOST_FORM_BYTES:
                return message
            if not message.get("more_body", False) or arrived > MOST_DISCARDED_BYTES:
                raise HTTPException(413, f"The form has more than the {MOST_FORM_BYTES:,} bytes that are allowed.")

    return limited
