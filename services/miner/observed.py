"""Every request's log lines say whose they are, and its span goes on from the caller's."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import tracing
from shared.domain.about import about_request
from shared.logs import bound


class Observed:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        found = about_request(headers.get("x-project-id"), scope["path"])
        carried = headers.get(tracing.TRACEPARENT)
        with bound(**found), tracing.span(f"request {scope['method']}", found, carried=carried, kind="server"):
            await self._app(scope, receive, send)
