"""`python -m infra.local.batch`: the server as a process of its own."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from google.cloud import pubsub_v1  # type: ignore[attr-defined]

from infra.local.batch.notifier import Publish
from infra.local.batch.server import BatchServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.batch", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="jobs, logs and fault rules")
    parser.add_argument("--buckets-dir", type=Path, required=True, help="a folder for each bucket")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--slots", type=int, help="tasks at once; four a processor if not given")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = BatchServer(
        state_dir=options.state_dir,
        buckets_dir=options.buckets_dir,
        publish=_publisher(),
        port=options.port,
        slots=options.slots,
    )
    sys.stdout.write(f"{server.start()}\n")
    sys.stdout.flush()
    signal.sigwait(signals)
    server.stop()


def _publisher() -> Publish:
    """To the Pub/Sub emulator if there is one; otherwise nobody listens, as for a job without notifications."""
    if not os.environ.get("PUBSUB_EMULATOR_HOST"):
        return lambda _topic, _data, _attributes: None
    client = pubsub_v1.PublisherClient()

    def publish(topic: str, data: bytes, attributes: dict[str, str]) -> None:
        client.publish(topic, data, **attributes).result(timeout=10)

    return publish


if __name__ == "__main__":
    main()
