"""The local Batch server: a folder, a port on loopback, and whom to send notifications to."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from infra.local.batch.faults import Faults
from infra.local.batch.loop import Loop
from infra.local.batch.notifier import Notifier, Publish
from infra.local.batch.rpc import make_server
from infra.local.batch.runner import Runner
from infra.local.batch.scheduler import Scheduler
from infra.local.batch.service import Service
from infra.local.batch.store import Store

_LOCK_S = 1.0
_CALLS_END_S = 1.0  # for calls under way at a stop


class BatchServer:
    """google.cloud.batch.v1.BatchService on 127.0.0.1, its jobs on disk, its tasks as processes of this host.

    `publish(topic, data, attributes)` gets every JobNotification, from one thread, with the topic as the job names it
    (`projects/P/topics/T`). `slots` tasks run at once (by default four a processor); a task that is ended has
    `grace_s` seconds between SIGTERM and SIGKILL. `port` 0 is a free one.

    Tasks outlive the server, however it ends: the next one on the same `state_dir` goes on with them.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        buckets_dir: Path,
        publish: Publish,
        port: int = 0,
        slots: int | None = None,
        grace_s: float = 2.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state_dir, self._port = state_dir.resolve(), port
        self._state_dir.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(self._state_dir / "lock")
        self._store = Store(self._state_dir / "batch.db")
        self._loop = Loop()
        self._faults = Faults(self._state_dir)
        self._notifier = Notifier(publish, self._faults)
        self._runner = Runner(self._state_dir, grace_s)
        self._scheduler = Scheduler(
            self._store,
            self._runner,
            self._loop,
            self._notifier,
            self._faults,
            clock=clock,
            buckets_dir=buckets_dir.resolve(),
            slots=slots or 4 * (os.cpu_count() or 1),
            grace_s=grace_s,
        )
        self._service = Service(self._store, self._scheduler, self._faults, clock)

    def start(self) -> str:
        """The address, `127.0.0.1:PORT`. Raises RuntimeError if the port is taken."""
        self._rpc, port = make_server(self._service, self._port)
        self._notifier.start()
        self._scheduler.recover()
        self._loop.start()
        self._rpc.start()
        return f"127.0.0.1:{port}"

    def stop(self, *, end_tasks: bool = False) -> None:
        """Notifications that are due are still sent. With `end_tasks` no process is left behind; their attempts
        begin anew, uncounted, should the folder be served again."""
        self._rpc.stop(grace=_CALLS_END_S).wait()
        self._loop.stop()
        if end_tasks:
            self._scheduler.end_all()
        self._runner.close()
        self._notifier.stop()
        self._store.close()
        self._lock_file.close()


def _lock(path: Path) -> IO[str]:
    """Two servers on one folder would each start every task. A server that was killed while it started a process may
    hold its lock for a moment longer: until that process has become another program."""
    file = path.open("w")
    give_up = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < give_up:
                time.sleep(0.01)
                continue
            file.close()
            raise RuntimeError(f"another Batch server is at work in {path.parent}") from None
        return file
