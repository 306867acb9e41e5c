"""One cache, of an order or of an analysis alone: found in the bucket by its name, or joined and put there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shared.domain.cache import Built, Member, built_name, cache_path
from shared.domain.errors import Conflict, NotFound
from shared.domain.members import Plan, Source, members_of
from shared.ports import Ports
from shared.scratch import scratch
from shared.steps import seen
from shared.steps.seen import KeyFiles

Join = Callable[[Sequence[tuple[Member, Path]], Path, Path | None, Callable[[str], None]], Mapping[str, Any]]
"""Members with their tables as local files, where the joined table is to be (its index beside it), the counts of others
(or None), who is told how far it is -> the manifest, which has `rows`."""

FILES = ("parquet", "index")
"""Endings of what a join makes."""


def build(ports: Ports, bucket: str, wanted: Plan, keep: Callable[[str], None], join: Join, how: KeyFiles) -> Built:
    """Its objects have names that follow from what they are joined of: whoever builds it, it is the same.

    The manifest is written last: where it is, all of it is. `keep` is told how far it is, and may raise.
    """
    others = seen.others(ports, bucket, wanted, how)
    version = built_name(wanted.digest, others.version if others else None)
    path = cache_path(version)
    if not _taken_up(ports, bucket, f"{path}.json"):
        _join(ports, bucket, path, wanted, others, keep, join)
    manifest = json.loads(ports.objects.read(bucket, f"{path}.json"))
    names = dict.fromkeys(member.name for member in wanted.members if member.column is not None)
    return Built(
        version=version, table=f"{path}.parquet", index=f"{path}.index", manifest=f"{path}.json", rows=manifest["rows"],
        members_digest=wanted.digest, samples=tuple(names),
        missing=wanted.missing, seen=others.version if others else None, built_at=ports.clock(),
    )


def _taken_up(ports: Ports, bucket: str, manifest: str) -> bool:
    """Whether all of it is there. It may have been unused for a day: then its manifest, written anew, tells whoever
    would delete it (shared/steps/unused.py)."""
    seen = ports.objects.stat(bucket, manifest)
    if seen is None:
        return False
    try:
        ports.objects.write(bucket, manifest, ports.objects.read(bucket, manifest), if_generation=seen.generation)
    except NotFound:
        return False
    except Conflict:  # deleted, or taken up by somebody else
        return ports.objects.stat(bucket, manifest) is not None
    return True


def own_cache(ports: Ports, source: Source, keep: Callable[[str], None], join: Join, how: KeyFiles) -> Built | None:
    """Of an analysis alone, with the key files of its samples beside it; None where its tables are of several
    assemblies."""
    bucket, wanted = source.analysis.bucket, members_of(source)
    seen.write_key_files(ports, bucket, source.files, keep, how)
    if wanted.refusal or not wanted.members:
        return None
    return build(ports, bucket, wanted, keep, join, how)


def _join(
    ports: Ports, bucket: str, path: str, wanted: Plan, others: seen.Others | None, keep: Callable[[str], None],
    join: Join,
) -> None:
    with ExitStack() as held:
        folder = held.enter_context(scratch())
        names = sorted({member.table for member in wanted.members})
        tables = {name: held.enter_context(ports.objects.local(bucket, name)) for name in names}
        counts = None
        if others is not None:
            keep("Counting in which other analyses each variant was seen.")
            counts = folder / "seen.parquet"
            others.write(list(tables.values()), counts)
        keep(f"Joining {len(tables)} {'table' if len(tables) == 1 else 'tables'}.")
        out = folder / "cache.parquet"
        manifest = join([(member, tables[member.table]) for member in wanted.members], out, counts, keep)
        keep("Joined; putting it into the bucket.")
        for ending in FILES:  # where somebody else joined the very same, too: his may be about to be deleted
            ports.objects.upload(bucket, f"{path}.{ending}", out.with_suffix(f".{ending}"))
        ports.objects.write(bucket, f"{path}.json", json.dumps(manifest, separators=(",", ":")).encode())
