"""Settings, and the adapters that they choose: the only place that knows which backend is in use."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.pipelines.catalogue import read_price_tables
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.documents import SqliteDocuments
from shared.adapters.embedded.launcher import ProcessLauncher
from shared.adapters.embedded.logs import FileLogs
from shared.adapters.embedded.objects import DirectoryObjects
from shared.adapters.google.batch import BatchEngine, local_client
from shared.domain.errors import Unavailable
from shared.domain.events import Topic
from shared.domain.lifecycle import Rules
from shared.domain.policy import Policy
from shared.ports import Ports
from shared.topology import topology

LOCAL_PROJECT = "local"
"""The Google project that the local Batch server plays."""


class Settings(BaseSettings):
    """From the environment, `IFLOW_` before each name. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="IFLOW_", frozen=True, extra="ignore")

    backend: Literal["embedded"] = "embedded"
    state_dir: Path = Path(".iflow")
    port: int = 8000
    reconcile_every_s: float | None = None
    missing_grace_s: float = Policy.missing_grace_s
    silent_after_s: float = Policy.silent_after_s
    unsent_after_s: float = Policy.unsent_after_s
    ingest_lease_s: float = Policy.ingest_lease_s

    @property
    def policy(self) -> Policy:
        return Policy(
            missing_grace_s=self.missing_grace_s, silent_after_s=self.silent_after_s,
            unsent_after_s=self.unsent_after_s, ingest_lease_s=self.ingest_lease_s,
        )

    @property
    def batch_dir(self) -> Path:
        return self.state_dir / "batch"

    @property
    def objects_dir(self) -> Path:
        return self.state_dir / "objects"

    def environment(self) -> dict[str, str]:
        """These settings as variables, for another `Settings()` to read, here or in a process begun here."""
        values = {**self.model_dump(), "state_dir": self.state_dir.resolve()}
        return {f"IFLOW_{name.upper()}": str(value) for name, value in values.items() if value is not None}

    @property
    def stack_file(self) -> Path:
        """What the running stack says of itself: where its Batch server and its API listen."""
        return self.state_dir / "stack.json"


def now_utc() -> datetime:
    return datetime.now(UTC)


def embedded_bus(settings: Settings) -> SqliteBus:
    return SqliteBus(settings.state_dir / "bus.db", topology(), now_utc)


@lru_cache(maxsize=1)
def ports() -> Ports:
    """This process's adapters, built once, at the first event and not at import."""
    return build(Settings())


def build(settings: Settings) -> Ports:
    """Raises Unavailable when the stack that the settings name is not running."""
    return Ports(
        documents=SqliteDocuments(settings.state_dir / "documents.db", topology().indexes),
        bus=embedded_bus(settings),
        objects=DirectoryObjects(settings.objects_dir),
        engine=BatchEngine(local_client(_batch_address(settings))),
        logs=FileLogs(settings.batch_dir),
        clock=now_utc,
        rules=Rules(settings.policy, read_price_tables()),
        new_id=lambda: str(uuid.uuid4()),
        launch=ProcessLauncher(settings.state_dir).launch,
        logs_url=lambda uid: (settings.batch_dir / "logs" / uid).resolve().as_uri(),
        notify_topic=f"projects/{LOCAL_PROJECT}/topics/{Topic.BATCH}",
    )


def _batch_address(settings: Settings) -> str:
    try:
        return str(json.loads(settings.stack_file.read_text())["batch"])
    except FileNotFoundError:
        raise Unavailable(f"no stack runs over {settings.state_dir}; start one with `make serve`") from None
