"""`Emulated`: the product on Google's emulators, with a consumer, and with proxies that can fail before each server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.emulator_stack import Servers, running
from infra.local.emulators import EmulatorMissing
from infra.local.layout import subscriber_client
from infra.local.setup import register_demo
from shared import runtime
from shared.ports import Bus
from shared.runtime import LOCAL_PROJECT, Settings
from shared.steps.register import register_pipeline
from shared.topology import Retry, topology
from tests.flow.proxy import Proxy
from tests.flow.stack import ACCESS, bearer
from tests.flow.stacks import CONSUMER, ENDS, PROJECT, WAITS, Lab

FUNCTIONS = "tests.flow.emulated_functions"
FAST = Retry(min_s=0.2, max_s=1)
"""The deployed pauses are of 1 to 600 s. (The emulator's own least is 0.1 s.)"""

ATTEMPTS = 5
"""The fewest that Pub/Sub takes before a dead letter."""

INGEST_AS_JOB_OVER = 20_000


@dataclass(frozen=True)
class Emulated(Lab):
    """As `Lab`; its queue cannot be looked into, so what is at rest shows in the documents."""

    bus: Bus = field(kw_only=True)  # type: ignore[assignment]
    proxies: Mapping[str, Proxy] = field(kw_only=True)
    folder: Path = field(kw_only=True)

    def waiting(self) -> Mapping[str, int]:
        return {}

    def events(self, subject: str) -> list[str]:
        seen = dict(line.split()[1:] for line in _lines(self.folder / "events") if line.split()[0] == subject)
        return [kind.removeprefix("analysis.") for kind in seen.values()]

    def endpoint(self, subscription: str) -> str:
        """Where Pub/Sub pushes to."""
        with subscriber_client(os.environ["PUBSUB_EMULATOR_HOST"]) as subscriber:
            name = f"projects/{LOCAL_PROJECT}/subscriptions/{subscription}"
            found: str = subscriber.get_subscription(subscription=name).push_config.push_endpoint
        return found

    def push(self, subscription: str, message: Mapping[str, Any]) -> httpx.Response:
        """A push as Pub/Sub makes it, by us."""
        return httpx.post(self.endpoint(subscription), timeout=30, json={
            "message": message, "subscription": f"projects/{LOCAL_PROJECT}/subscriptions/{subscription}",
        })

    def kill_at(self, point: str, number: int) -> None:
        part = self.folder / "kill-at.part"
        part.write_text(f"{point}\n{number}")
        part.replace(self.folder / "kill-at")

    @contextmanager
    def log_of(self, process: str) -> Iterator[Callable[[], str]]:
        """What a process of the stack writes from now on."""
        file = self.settings.home / "logs" / f"{process}.log"
        begun = file.stat().st_size
        yield lambda: file.read_bytes()[begun:].decode(errors="replace")

    def was_killed(self) -> bool:
        return not (self.folder / "kill-at").exists()

    @contextmanager
    def recorded(self) -> Iterator[list[str]]:
        """The points that functions pass within the context."""
        file = self.folder / "points"
        file.write_text("")
        points: list[str] = []
        yield points
        points += dict.fromkeys(_lines(file))
        file.unlink()


@contextmanager
def emulated_over(state_dir: Path, **settings: Any) -> Iterator[Emulated]:
    """Heals within a second or two. Where an emulator is missing: a skip that says how to get it; on CI a failure."""
    chosen = Settings(**{
        "backend": "emulators", "state_dir": state_dir, "port": 0, "reconcile_every_s": 1, "silent_after_s": 1,
        "unsent_after_s": 1, "ingest_as_job_over": INGEST_AS_JOB_OVER, **ACCESS, **settings,
    })
    proxies: dict[str, Proxy] = {}

    def between(servers: Servers) -> Servers:
        for name in ("pubsub", "firestore", "batch"):
            proxies[name] = Proxy(getattr(servers, name))
        return replace(servers, **{name: proxy.address for name, proxy in proxies.items()})

    folder = state_dir / "test"
    folder.mkdir(parents=True)
    told = {"KILL_AT": "kill-at", "POINTS": "points", "EVENTS": "events"}
    with pytest.MonkeyPatch.context() as patch, _fast_topology():
        for name, file in told.items():
            patch.setenv(f"IFLOW_TEST_{name}", str(folder / file))
        try:
            stack = running(chosen, between)
            up = stack.__enter__()
        except EmulatorMissing as missing:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
        try:
            ports = runtime.ports()
            register_demo(ports)
            for pipeline in (WAITS, ENDS):
                register_pipeline(ports, PROJECT, pipeline, by="test")
            headers = {"X-Project-ID": PROJECT, **bearer(chosen)}
            with httpx.Client(base_url=f"{up.api}/api/v1", headers=headers, timeout=30) as client:
                yield Emulated(
                    up.api, client, ports, chosen, bus=ports.bus, proxies=proxies, folder=folder,
                )
        finally:
            stack.__exit__(None, None, None)
            for proxy in proxies.values():
                proxy.close()


@contextmanager
def _fast_topology() -> Iterator[None]:
    """Short pauses, few attempts for `cancel` (made to fail on purpose), the consumer, functions that can be killed."""
    subscriptions = topology().subscriptions
    before = dict(subscriptions)
    for name, spec in {**before, "consumer": CONSUMER}.items():
        target = spec.function.rpartition(":")[2]
        subscriptions[name] = spec.model_copy(update={
            "function": f"{FUNCTIONS}:{target}", "retry": FAST,
            "max_attempts": ATTEMPTS if name == "cancel" else spec.max_attempts,
        })
    try:
        yield
    finally:
        subscriptions.clear()
        subscriptions.update(before)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
