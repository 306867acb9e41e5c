"""The audit trail: who did what, when and from where, to which document; before and after. It is only added to.

The entries about one document are a chain: each holds the hash of the one before it, so one that is changed, taken out
or put in is found. Anchors, a chain of their own in each project, hold the heads of the other chains: with them a chain
that is cut short, or taken away whole, is found, too (docs/decisions/0020-the-audit-trail.md).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import Field

from shared.domain.clock import Time
from shared.domain.part import Part, shorten

ANCHORS = "anchors"
FIRST = "0" * 64
"""In the place of the hash before the first entry."""

UNTOLD = frozenset({
    "unsent", "unsent_since", "events_total", "history", "history_total", "updated_at", "updated_by", "request_digest",
    "listed", "schema_version",
})
"""Fields that say nothing of what somebody did."""

TOLD: Mapping[str, frozenset[str]] = {
    "analyses": frozenset({"status", "display_id", "slug", "cancel_requested", "origin", "order_id", "rerun_of"}),
    "orders": frozenset({"status", "display_id", "slug", "mode", "priority", "analyses"}),
    "pipelines": frozenset({"slug", "version", "title", "digest"}),
    "samples": frozenset({"slug", "name"}),
    "uploads": frozenset({"sample", "path", "size", "crc32c", "status"}),
    "panels": frozenset({"slug", "version", "title", "kind"}),
    "saved_filters": frozenset({"slug", "name"}),
    "members": frozenset({"email", "role"}),
    "settings": frozenset({"chat_host", "chat_on"}),
    "dead_letters": frozenset({"replayed_at", "replayed_by"}),
}
"""By family of documents: fields whose values an entry has. Of all others it says only that they were changed: no
patient's data beyond ids are in the trail, which is kept longer than they are."""


class Action(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    READ = "read"
    SIGNED_IN = "signed_in"
    REFUSED = "refused"
    ANCHORED = "anchored"


@dataclass(frozen=True)
class Actor:
    """Who, and from where: `channel` is `page`, `api` or `cli`."""

    by: str
    channel: str
    ip: str | None
    user_agent: str | None


class Entry(Part):
    """Document `projects/{project}/audit/{chain}.{seq}`. `chain` names what it is about, such as `analyses/{id}`."""

    project: str
    chain: str
    seq: int
    at: Time
    by: str
    channel: str
    ip: str | None
    user_agent: str | None
    action: Action
    changed: tuple[str, ...] = ()
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] = Field(default_factory=dict)
    detail: str | None = None
    previous: str
    hash: str = ""

    @property
    def doc_path(self) -> str:
        return f"projects/{self.project}/audit/{self.chain.replace('/', ':')}.{self.seq:08d}"

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)


def entry_after(
    last: Entry | None, project: str, chain: str, actor: Actor, action: Action, at: datetime, *,
    changed: tuple[str, ...] = (), before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None,
    detail: str | None = None,
) -> Entry:
    """The next of the chain whose last one is given."""
    entry = Entry(
        project=project, chain=chain, seq=last.seq + 1 if last else 1, at=at, by=actor.by, channel=actor.channel,
        ip=actor.ip, user_agent=shorten(actor.user_agent, 200) if actor.user_agent else None, action=action,
        changed=changed, before=dict(before or {}), after=dict(after or {}), detail=shorten(detail, 500) if detail else
        None, previous=last.hash if last else FIRST,
    )
    return entry.model_copy(update={"hash": hash_of(entry.to_document())})


def hash_of(data: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON (sorted keys, no blanks, ASCII) of all but the hash itself."""
    told = {name: value for name, value in data.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def difference(
    family: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]:
    """Names of the fields that differ, and the values of those that may be told."""
    old, new = before or {}, after or {}
    names = tuple(sorted(
        name for name in (old.keys() | new.keys()) - UNTOLD if old.get(name) != new.get(name)
    ))
    told = [name for name in names if name in TOLD.get(family, frozenset())]
    return (
        names, {name: old[name] for name in told if name in old}, {name: new[name] for name in told if name in new}
    )


def faults_in(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is wrong with a project's trail, as it was exported, a sentence each; in any order."""
    chains: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    faults: list[str] = []
    for entry in entries:
        if entry["seq"] in chains[entry["chain"]]:
            faults.append(f"{entry['chain']}: entry {entry['seq']} is there twice")
        chains[entry["chain"]][entry["seq"]] = entry
    for name, chain in sorted(chains.items()):
        faults += _faults_of(name, chain)
    for anchor in chains[ANCHORS].values():
        for name, (seq, found) in sorted(anchor["after"].items()):
            there = chains[name].get(seq)
            if there is None:
                faults.append(f"{name}: entry {seq} is missing, which anchor {anchor['seq']} has seen")
            elif there["hash"] != found:
                faults.append(f"{name}: entry {seq} is another than anchor {anchor['seq']} has seen")
    return faults


def _faults_of(name: str, chain: Mapping[int, Mapping[str, Any]]) -> list[str]:
    faults: list[str] = []
    previous = FIRST
    for seq in range(1, max(chain, default=0) + 1):
        entry = chain.get(seq)
        if entry is None:
            faults.append(f"{name}: entry {seq} is missing")
            previous = ""
            continue
        if hash_of(entry) != entry["hash"]:
            faults.append(f"{name}: entry {seq} was changed")
        if previous and entry["previous"] != previous:
            faults.append(f"{name}: entry {seq} does not follow the one before it")
        previous = str(entry["hash"])
    return faults
