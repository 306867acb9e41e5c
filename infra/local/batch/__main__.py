"""`python -m infra.local.batch`: the server as a process of its own."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from google.cloud import pubsub_v1  # type: ignore[attr-defined]

from infra.local.batch.child import ToParent
from infra.local.batch.notifier import Publish
from infra.local.batch.server import BatchServer

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.batch", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="jobs, logs and fault rules")
    parser.add_argument("--buckets-dir", type=Path, required=True, help="a folder for each bucket")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--slots", type=int, help="tasks at once; four a processor if not given")
    parser.add_argument("--of-parent", action="store_true", help="pipes to whoever began it are its life (child.py)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    if options.of_parent:
        parent = ToParent()
        server = _server(options, parent.publish)
        parent.tell(server.start())
        parent.until_told_to_stop()
        server.stop()
        return
    with _publisher() as publish:
        server = _server(options, publish)
        sys.stdout.write(f"{server.start()}\n")
        sys.stdout.flush()
        signal.sigwait(signals)
        server.stop()


def _server(options: argparse.Namespace, publish: Publish) -> BatchServer:
    return BatchServer(
        state_dir=options.state_dir, buckets_dir=options.buckets_dir, publish=publish, port=options.port,
        slots=options.slots,
    )


@contextmanager
def _publisher() -> Iterator[Publish]:
    """To the Pub/Sub emulator if there is one; otherwise nobody listens, as for a job without notifications."""
    if not os.environ.get("PUBSUB_EMULATOR_HOST"):
        yield lambda _topic, _data, _attributes: None
        return
    with pubsub_v1.PublisherClient() as client:

        def publish(topic: str, data: bytes, attributes: dict[str, str]) -> None:
            client.publish(topic, data, **attributes).add_done_callback(partial(_tell_loss, topic))

        yield publish


def _tell_loss(topic: str, sent: Future[str]) -> None:
    error = sent.exception()
    if error is not None:
        log.warning("a notification for %s is lost: %s", topic, error)


if __name__ == "__main__":
    main()
