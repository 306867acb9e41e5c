"""A whole stack in this process, for tests of the ways in: REST, CLI, and what comes of what they ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from typer.testing import CliRunner, Result

from infra.local.stack import running
from infra.pipelines.catalogue import read_catalogue
from services.cli.main import app
from services.miner.auth.local_issuer import LocalIssuer
from shared import runtime
from shared.domain import paths
from shared.domain.project import Project
from shared.ports import Ports
from shared.runtime import Settings
from shared.steps.register import register_pipeline, register_project
from tests.flow.pulled import Emulators, pulled

T = TypeVar("T")
Iflow = Callable[..., Result]
"""The fixture `iflow`: a command's arguments, and environment variables by keyword."""

DEADLINE_S = 60.0
"""How long a condition may take that nothing hinders: the machine may be loaded, and a notification that met others is
given again after seconds. Nobody waits for it where things work."""

ADA = "ada@lab.example"
ACCESS: dict[str, Any] = {"superadmins": ADA, "rate_per_s": 100_000, "rate_burst": 100_000}
"""Who works on the stacks of tests; and they ask for more than a person does."""


def bearer(settings: Settings, email: str = ADA) -> dict[str, str]:
    return {"Authorization": f"Bearer {LocalIssuer(settings).token(email)}"}


@dataclass(frozen=True)
class Stack:
    """`api` is its address, `client` speaks to `{api}/api/v1` as project `demo`."""

    api: str
    client: httpx.Client
    ports: Ports
    settings: Settings
    project: str = "demo"

    @property
    def state_dir(self) -> Path:
        return self.settings.state_dir

    @property
    def batch_dir(self) -> Path:
        """Where `infra.local.batch.write_faults` puts its rules."""
        return self.settings.batch_dir

    def iflow(self, *arguments: str, **environment: str) -> Result:
        """The command in this process, as ada in project demo, unless told else."""
        asked = {"IFLOW_API": self.api, "IFLOW_PROJECT": "demo", "IFLOW_TOKEN": self.token(), **environment}
        return CliRunner().invoke(app, list(arguments), env=asked, catch_exceptions=False)

    def token(self, email: str = ADA) -> str:
        return LocalIssuer(self.settings).token(email)

    def client_of(self, email: str, project: str = "demo") -> httpx.Client:
        """Somebody else's, to be closed by whoever asked for it."""
        headers = {"X-Project-ID": project, **bearer(self.settings, email)}
        return httpx.Client(base_url=f"{self.api}/api/v1", headers=headers, timeout=30)

    def add_project(self, name: str) -> str:
        """Another tenant, with the shipped pipelines and a bucket."""
        (self.settings.objects_dir / name).mkdir(parents=True, exist_ok=True)
        _register(self.ports, name)
        return name

    def until(self, probe: Callable[[], T | None], within_s: float = DEADLINE_S) -> T:
        """The first answer of `probe` that says something (is true). AssertionError when none came in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            found = probe()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not so within {within_s:.0f} s; the last answer was {probe()!r}")

    def document(self, analysis: str, project: str = "demo") -> Mapping[str, Any]:
        stored = self.ports.documents.get(paths.analysis_doc(project, analysis))
        assert stored is not None, analysis
        return stored.data

    def until_status(self, analysis: str, *statuses: str, within_s: float = DEADLINE_S) -> Mapping[str, Any]:
        """The document once it has one of `statuses`, its events all published."""

        def probe() -> Mapping[str, Any] | None:
            found = self.document(analysis)
            return found if found["status"] in statuses and not found["unsent"] else None

        return self.until(probe, within_s)

    def submit(self, display_id: str, **fields: Any) -> dict[str, Any]:
        """POSTs an analysis that runs for `runtime_seconds` (0) and ends with `exit_code` (0), unless told else."""
        inputs = {"exit_code": fields.pop("exit_code", 0), "runtime_seconds": fields.pop("runtime_seconds", 0)}
        body = {"display_id": display_id, "pipeline": "fail-on-request", "inputs": inputs, **fields}
        answer = self.client.post("/analyses", json=body)
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        return found


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@contextmanager
def stack_over(state_dir: Path, emulators: Emulators | None = None, **changes: Any) -> Iterator[Stack]:
    """Heals within a second or two, where the deployed one takes a minute. Embedded, or on `emulators`."""
    settings = Settings(**{
        "state_dir": state_dir, "port": 0, "reconcile_every_s": 1, "silent_after_s": 1, "unsent_after_s": 1, **ACCESS,
        **changes,
    })
    with ExitStack() as running_now:
        if emulators is None:
            up = running_now.enter_context(running(settings))
        else:
            up, settings, _ = running_now.enter_context(pulled(settings, emulators))
        ports = runtime.ports()
        _register(ports, "demo")
        headers = {"X-Project-ID": "demo", **bearer(settings)}
        with httpx.Client(base_url=f"{up.api}/api/v1", headers=headers, timeout=30) as client:
            yield Stack(up.api, client, ports, settings)


def _register(ports: Ports, name: str) -> None:
    register_project(ports, Project(
        id=name, title=name, bucket=name, google_project="local", region="us-central1",
        created_at=ports.clock(),
    ))
    for pipeline in read_catalogue().values():
        register_pipeline(ports, name, pipeline, by="tests")
