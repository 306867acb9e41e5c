"""Pub/Sub's promises in one SQLite file: at least once, ordering keys, filters, back-off, dead letters after N.

A publish writes one row per subscription that takes the message, in one transaction. A delivery leases a row; an
acknowledgement deletes it; a refusal sets its next time; a lease that runs out makes it due again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from weakref import WeakValueDictionary

from shared.adapters.embedded.sqlite import Database
from shared.domain.clock import iso
from shared.domain.events import Topic
from shared.ports import LAST_ERROR, Clock, Message
from shared.topology import Topology

LONGEST_REASON = 1_000
"""Characters of an attribute, of which Pub/Sub allows 1,024 bytes."""

EXPIRY_S = 1.0
"""How much longer than its topic retains it a message may be delivered."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, message_id TEXT NOT NULL,
    data BLOB NOT NULL, attributes TEXT NOT NULL, ordering_key TEXT NOT NULL, published_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, expires_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS due ON queue (subscription, due_at);
CREATE INDEX IF NOT EXISTS keys ON queue (subscription, ordering_key, id) WHERE ordering_key <> '';
"""

_IN_TURN = (
    "(ordering_key = '' OR NOT EXISTS (SELECT 1 FROM queue AS earlier WHERE earlier.subscription = "
    "queue.subscription AND earlier.ordering_key = queue.ordering_key AND earlier.ordering_key <> '' "
    "AND earlier.id < queue.id))"
)
_COLUMNS = "id, message_id, data, attributes, ordering_key, published_at, attempts"


@dataclass(frozen=True)
class Leased:
    """One delivery of one message to one subscription. `attempt` counts from 1."""

    row: int
    subscription: str
    message_id: str
    message: Message
    published_at: str
    attempt: int


class SqliteBus:
    """ports.Bus, and the pulling side that the dispatcher uses."""

    def __init__(self, file: Path, topology: Topology, clock: Clock) -> None:
        self._db = Database(file, _SCHEMA)
        self._topology = topology
        self._clock = clock
        self._expired_until = 0.0
        self.published = _signal_of(file)

    def publish(self, topic: str, message: Message) -> str:
        (message_id,) = self.publish_all([(topic, message)])
        return message_id

    def publish_all(self, messages: Sequence[tuple[str, Message]]) -> list[str]:
        """Topics and messages, in one transaction."""
        identities = [uuid.uuid4().hex for _ in messages]
        with self._db.transaction() as connection:
            for (topic, message), message_id in zip(messages, identities, strict=True):
                self._put(connection, topic, message, message_id)
        self.published.set()
        return identities

    def _put(self, connection: sqlite3.Connection, topic: str, message: Message, message_id: str) -> None:
        now = self._clock()
        expires = now.timestamp() + self._topology.topics[Topic(topic)].retention_s
        attributes, published_at = json.dumps(dict(message.attributes)), iso(now)
        rows = [
            (name, message_id, message.data, attributes, message.ordering_key, published_at, now.timestamp(), expires)
            for name in self._topology.subscribers(topic, message.attributes.get("type"))
        ]
        connection.executemany(
            "INSERT INTO queue (subscription, message_id, data, attributes, ordering_key, published_at, due_at, "
            "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows,
        )

    def due(self, subscriptions: Sequence[str]) -> list[str]:
        """Those with a message whose time has come, in their turn among its key's or not: one look at all of them."""
        if not subscriptions:
            return []
        rows = self._db.connection().execute(
            f"WITH asked (name) AS (VALUES {', '.join(['(?)'] * len(subscriptions))}) SELECT name FROM asked "
            "WHERE EXISTS (SELECT 1 FROM queue WHERE subscription = name AND due_at <= ?)",
            [*subscriptions, self._clock().timestamp()],
        )
        return [name for (name,) in rows]

    def lease(self, subscription: str, limit: int) -> list[Leased]:
        """Up to `limit` messages that are due, each invisible to others until its acknowledgement deadline."""
        spec = self._topology.subscriptions[subscription]
        now = self._clock().timestamp()
        due = "SELECT 1 FROM queue WHERE subscription = ? AND due_at <= ? LIMIT 1"
        if self._db.connection().execute(due, (subscription, now)).fetchone() is None:
            return []  # most looks find nothing, and need not wait for the write lock to say so
        in_turn = f" AND {_IN_TURN}" if spec.ordering else ""
        with self._db.transaction(on_disk=False) as connection:  # if undone, it is delivered once more
            self._drop_expired(connection, now)
            rows = connection.execute(
                "UPDATE queue SET due_at = ?, attempts = attempts + 1 WHERE id IN (SELECT id FROM queue "
                f"WHERE subscription = ? AND due_at <= ?{in_turn} ORDER BY due_at, id LIMIT ?) RETURNING {_COLUMNS}",
                (now + spec.ack_deadline_s, subscription, now, limit),
            ).fetchall()
            leased = [_leased(subscription, row) for row in sorted(rows)]
            return [each for each in leased if not self._is_given_up(connection, each)]

    def _drop_expired(self, connection: sqlite3.Connection, now: float) -> None:
        """Looks through the whole queue, and so not at every lease."""
        if now >= self._expired_until + EXPIRY_S:
            self._expired_until = now
            connection.execute("DELETE FROM queue WHERE expires_at < ?", (now,))

    def _is_given_up(self, connection: sqlite3.Connection, leased: Leased) -> bool:
        """A lease that ran out was an attempt, too: what kills its process each time must not go on for ever."""
        most = self._topology.subscriptions[leased.subscription].max_attempts
        if most is None or leased.attempt <= most:
            return False
        self._give_up(connection, replace(leased, attempt=leased.attempt - 1))
        return True

    def _give_up(self, connection: sqlite3.Connection, leased: Leased, reason: str = "") -> None:
        """Nothing, when the message was acknowledged meanwhile by another delivery of it."""
        if connection.execute("DELETE FROM queue WHERE id = ?", (leased.row,)).rowcount:
            self._put(connection, self._topology.dead_letter_topic, dead_letter(leased, reason), uuid.uuid4().hex)

    def acknowledge(self, leased: Leased) -> None:
        with self._db.transaction(on_disk=False) as connection:  # if undone, it is delivered once more
            connection.execute("DELETE FROM queue WHERE id = ?", (leased.row,))
        self.published.set()

    def refuse(self, leased: Leased, reason: str = "") -> None:
        """Due again after the back-off; a dead letter, with the reason, once the attempts are used up."""
        spec = self._topology.subscriptions[leased.subscription]
        with self._db.transaction() as connection:
            if spec.max_attempts is not None and leased.attempt >= spec.max_attempts:
                self._give_up(connection, leased, reason)
            else:
                due = self._clock().timestamp() + spec.retry.pause_s(leased.attempt)
                connection.execute("UPDATE queue SET due_at = ? WHERE id = ?", (due, leased.row))
        self.published.set()

    def take_back_leases(self) -> None:
        """For the only consumer, at its start: what its killed predecessor held is due at once."""
        now = self._clock().timestamp()
        with self._db.transaction() as connection:
            connection.execute("UPDATE queue SET due_at = ? WHERE attempts > 0 AND due_at > ?", (now, now))

    def next_due(self, subscriptions: Sequence[str]) -> float | None:
        """When the next message of these is due, in seconds since the epoch; None when nothing waits.

        A message that waits for an earlier one of its key is not due, whatever its time says.
        """
        unordered = [name for name in subscriptions if not self._topology.subscriptions[name].ordering]
        found: float | None = self._db.connection().execute(
            f"SELECT MIN(due_at) FROM queue WHERE subscription IN ({_marks(subscriptions)}) "
            f"AND (subscription IN ({_marks(unordered)}) OR {_IN_TURN})",
            [*subscriptions, *unordered],
        ).fetchone()[0]
        return found

    def depth(self) -> Mapping[str, tuple[int, datetime]]:
        """Waiting messages by subscription: how many, and when the oldest was published."""
        rows = self._db.connection().execute(
            "SELECT subscription, COUNT(*), MIN(published_at) FROM queue GROUP BY subscription"
        )
        return {name: (count, datetime.fromisoformat(oldest)) for name, count, oldest in rows}


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


_signals: WeakValueDictionary[Path, threading.Event] = WeakValueDictionary()
_signals_lock = threading.Lock()


def _signal_of(file: Path) -> threading.Event:
    """One for each file in this process: a publish by a function, through a bus of its own, wakes the dispatcher, which
    clears it before it looks."""
    with _signals_lock:
        return _signals.setdefault(file.resolve(), threading.Event())


def _leased(subscription: str, row: tuple[int, str, bytes, str, str, str, int]) -> Leased:
    identity, message_id, data, attributes, key, published_at, attempts = row
    return Leased(
        identity, subscription, message_id, Message(data, json.loads(attributes), key), published_at, attempts
    )


def dead_letter(leased: Leased, reason: str = "") -> Message:
    """As Pub/Sub forwards it: the original, whole, with where it came from (and why) beside its own attributes.

    It keeps its ordering key, so that a replay takes its right place.
    """
    return Message(
        leased.message.data,
        {
            **leased.message.attributes,
            "CloudPubSubDeadLetterSourceSubscription": leased.subscription,
            "CloudPubSubDeadLetterSourceTopicPublishTime": leased.published_at,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(leased.attempt),
            **({LAST_ERROR: reason[:LONGEST_REASON]} if reason else {}),
        },
        leased.message.ordering_key,
    )
