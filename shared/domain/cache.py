"""What readers of variants follow: one joined table over some samples, of an order or of one analysis alone.

`Built` is immutable: its files have names that follow from what they were made of, and the one conditional write that
puts it into the document shows the whole of it. Building has a lease, as an ingest has. `wanted_at` is set while there
is something to build, so that a trigger that was lost and a build that died are one query for the reconciler.

    pending -> building -> ready | failed        (`built` stays what it was until a better one takes its place)
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from shared.domain.clock import Time
from shared.domain.part import Lease, Part
from shared.domain.request import Role, Sex

CACHE_VERSION = 2
"""Of how tables are joined: another one gives every cache another name."""


class CacheStatus(StrEnum):
    """`pending`: no sample has variants yet, or the build has not begun."""

    PENDING = "pending"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Member(Part):
    """One sample's columns in one variant table: `column` counts from 0, `table` is relative to the project bucket.

    `column` None: the table has no samples (a VCF of sites alone), and neither has this a name.
    """

    name: str
    role: Role
    sex: Sex
    table: str
    column: int | None
    analysis: str


class Missing(Part):
    """A sample of the order that no table has yet, and why (C49)."""

    name: str
    reason: str


class Built(Part):
    """`version` is the ETag of everything that is read from it. `members_digest` says what it was joined of, `seen`
    which state of the laboratory's counts it holds (None: none are kept for its assembly)."""

    version: str
    table: str
    index: str
    manifest: str
    rows: int
    members_digest: str
    samples: tuple[str, ...]
    missing: tuple[Missing, ...] = ()
    seen: str | None = None
    built_at: Time


class Cache(Part):
    """`again`: a trigger came while somebody was building, so that there is more to do after that.

    `refresh_at`: from when on the counts of other analyses are old. `attempts` counts leases since the last end;
    `rows_to_join` are those of the tables, while it is being built.
    """

    status: CacheStatus = CacheStatus.PENDING
    built: Built | None = None
    missing: tuple[Missing, ...] = ()
    lease: Lease | None = None
    attempts: int = 0
    rows_to_join: int = 0
    again: bool = False
    wanted_at: Time | None = None
    refresh_at: Time | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    progress: str | None = None
    failure: str | None = Field(default=None, description="Why the last build failed; `built` is what it was.")

    def held_by(self, holder: str) -> bool:
        return self.lease is not None and self.lease.holder == holder

    def busy(self, now: datetime) -> bool:
        return self.lease is not None and self.lease.until > now


def members_digest(members: tuple[Member, ...]) -> str:
    """64 hex digits: the same samples in the same roles over the same tables, in whatever order they are named."""
    parts = sorted(json.dumps(member.model_dump(mode="json"), sort_keys=True) for member in members)
    return hashlib.sha256("\n".join([f"v{CACHE_VERSION}", *parts]).encode()).hexdigest()


def built_name(digest: str, seen: str | None) -> str:
    """Version of a cache: 32 hex digits, from what it is joined of and from the counts it holds."""
    return hashlib.sha256(f"{digest}\n{seen or ''}".encode()).hexdigest()[:32]


def cache_path(version: str) -> str:
    """Without its ending: `.parquet` is the table, `.index` what queries read of it, `.json` its manifest. Relative to
    the project bucket."""
    return f"cache/orders/v{CACHE_VERSION}/{version}"
