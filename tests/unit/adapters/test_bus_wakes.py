"""Several adapters over one queue, in one process: who waits for a message hears of each at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from shared.adapters.embedded.bus import SqliteBus
from shared.domain.events import Topic
from shared.ports import Message
from shared.topology import topology


def test_a_publish_through_another_adapter_of_the_same_file_wakes_whoever_waits(tmp_path: Path) -> None:
    one, two = (SqliteBus(tmp_path / "bus.db", topology(), lambda: datetime.now(UTC)) for _ in range(2))
    threading.Thread(target=two.publish, args=(Topic.TICKS, Message(b"{}", {}))).start()
    assert one.published.wait(timeout=60)
