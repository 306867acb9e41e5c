"""The product on Google's emulators: as deployed, with a process for each function, and Pub/Sub pushing to it.

Pub/Sub and Firestore emulators, a Cloud Storage server over a folder, the Batch server, a functions-framework process
for each subscription of topology.yaml, the REST API, and the reconciler's clock. The emulators keep nothing: a stack
begins empty. Linux only, for what ends its processes when it is killed (guardian.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from infra.local.emulators import HOST, firestore_emulator, free_port, pubsub_emulator, storage_server
from infra.local.guardian import VARIABLE, guarded
from infra.local.layout import lay_out
from infra.local.processes import Processes, begun
from infra.local.setup import DEMO
from infra.local.stack import Running, Ticker, own, restored_environment
from shared import runtime
from shared.runtime import EMULATORS, Settings
from shared.topology import SubscriptionSpec, topology

THREADS = 4
"""Requests at once of a function, as instances would take them. (With one, gunicorn's worker waits for 2 s on each
connection that Pub/Sub's emulator opens before it has something to send.)"""


@dataclass(frozen=True)
class Servers:
    """`HOST:PORT` of each; what the functions are told of them."""

    pubsub: str
    firestore: str
    storage: str
    batch: str

    def environment(self) -> dict[str, str]:
        return {
            EMULATORS["pubsub"]: self.pubsub, EMULATORS["firestore"]: self.firestore,
            EMULATORS["storage"]: f"http://{self.storage}", "IFLOW_BATCH_ADDRESS": self.batch,
        }


def directly(servers: Servers) -> Servers:
    """Nothing stands between the functions and the servers."""
    return servers


@contextmanager
def running(settings: Settings, between: Callable[[Servers], Servers] = directly) -> Iterator[Running]:
    """The stack, for as long as the context lasts; this process's `runtime.ports()` are on it, too.

    `between` is given where the servers will listen and answers what everybody is told: proxies that can fail, in
    tests. Raises StackRunning, EmulatorMissing, EmulatorFailed, ProcessFailed.
    """
    mark = uuid.uuid4().hex
    with ExitStack() as up:
        up.enter_context(own(settings.state_dir))
        real = Servers(*(f"{HOST}:{free_port()}" for _ in range(4)))
        told = between(real)
        up.enter_context(restored_environment({**settings.environment(), **told.environment(), VARIABLE: mark}))
        up.enter_context(guarded(mark))
        emulators = [up.enter_context(begun(each)) for each in (
            pubsub_emulator(_port(real.pubsub)), firestore_emulator(_port(real.firestore)),
            storage_server(_port(real.storage), settings.objects_dir),
        )]
        for bucket in (DEMO, settings.unassigned_bucket):
            (settings.objects_dir / bucket).mkdir(parents=True, exist_ok=True)
        processes = Processes(settings.home / "logs")
        up.callback(processes.stop)
        endpoints = _start_functions(processes)
        api = _start_api(processes, settings)
        for emulator in emulators:
            emulator()
        lay_out(topology(), endpoints, project=settings.google_project, emulator=real.pubsub)
        _start_batch(processes, settings, real)  # behind the topics: its first notifications may be those of old jobs
        processes.until_ready()
        settings.stack_file.write_text(json.dumps({"api": api, "batch": real.batch, "pid": os.getpid()}))
        up.callback(settings.stack_file.unlink, missing_ok=True)
        ticker = Ticker(runtime.ports().bus, settings)
        ticker.start()
        up.callback(ticker.stop)
        yield Running(api=api, batch=real.batch)


def _start_functions(processes: Processes) -> Mapping[str, str]:
    """The address of each subscription's function."""
    endpoints = {}
    for name, spec in topology().subscriptions.items():
        port = free_port()
        processes.start(name, _functions_framework(spec, port), port, {"WORKERS": "1", "THREADS": str(THREADS)})
        endpoints[name] = f"http://{HOST}:{port}/"
    return endpoints


def _functions_framework(spec: SubscriptionSpec, port: int) -> list[str]:
    module, _, target = spec.function.partition(":")
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise LookupError(f"topology.yaml names the function {spec.function}, but there is no module {module}")
    return [
        sys.executable, "-m", "functions_framework", "--source", found.origin, "--target", target,
        "--host", HOST, "--port", str(port),
    ]


def _start_api(processes: Processes, settings: Settings) -> str:
    port = settings.port or free_port()
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "services.miner.app:create_service", "--host", HOST,
        "--port", str(port), "--no-access-log", "--timeout-graceful-shutdown", "1",
    ]
    processes.start("api", command, port, {})
    return f"http://{HOST}:{port}"


def _start_batch(processes: Processes, settings: Settings, real: Servers) -> None:
    command = [
        sys.executable, "-m", "infra.local.batch", "--state-dir", str(settings.batch_dir),
        "--buckets-dir", str(settings.objects_dir), "--port", str(_port(real.batch)),
    ]
    processes.start("batch", command, _port(real.batch), {})


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
