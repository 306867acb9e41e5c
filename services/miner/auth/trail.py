"""What the audit trail is told of a request: who asked from where, and what they did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fastapi import Request

from services.miner.auth.permissions import API
from shared.domain import paths
from shared.domain.audit import Action, Actor
from shared.ports import Documents, Ports
from shared.steps.audit import Anchors, AuditedDocuments, note

AGAIN_AFTER_S = 600.0
"""The same person at the same address: a download in ranges, or a log that is followed, is one entry in that time."""

MOST_KEPT = 10_000


class Trail:
    def __init__(self, ports: Callable[[], Ports], proxies_before: int) -> None:
        self._ports, self.proxies_before = ports, proxies_before
        self._anchors = Anchors(lambda: ports().documents, lambda: ports().clock())
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, ...], float] = {}

    def audited(self, ports: Ports, actor: Actor) -> Documents:
        return AuditedDocuments(ports.documents, actor, ports.clock, self._anchors.tell)

    def note(self, request: Request, email: str, project: str, chain: str, action: Action) -> None:
        """Raises Transient: what cannot be noted is not done."""
        what = f"{request.method} {request.url.path}"
        if not self._is_new((email, project, what, action)):
            return
        ports = self._ports()
        note(ports.documents, project, chain, actor_of(request, email), action, ports.clock(), what)
        self._anchors.tell(project)

    def refused(self, request: Request, email: str, project: str | None) -> None:
        """In the trail of the project where they are a member, else of none that anybody owns."""
        self.note(request, email, project or paths.UNASSIGNED, f"people/{email}", Action.REFUSED)

    def _is_new(self, what: tuple[str, ...]) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get(what, float("-inf")) < AGAIN_AFTER_S:
                return False
            if len(self._noted) >= MOST_KEPT:
                self._noted.clear()
            self._noted[what] = now
            return True


def actor_of(request: Request, email: str) -> Actor:
    agent = request.headers.get("user-agent")
    channel = "cli" if (agent or "").startswith("iflow/") else "api" if request.url.path.startswith(API) else "page"
    return Actor(email, channel, _ip(request), agent)


def _ip(request: Request) -> str | None:
    """The address of whoever asked the outermost of the proxies that are ours; what stands before it anybody can
    make up."""
    trail: Trail = request.app.state.trail
    named = [each.strip() for each in request.headers.get("x-forwarded-for", "").split(",") if each.strip()]
    if trail.proxies_before and len(named) >= trail.proxies_before:
        return named[-trail.proxies_before][:64]
    return request.client.host if request.client else None
