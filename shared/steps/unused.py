"""Caches that no order and no analysis shows any more are deleted, a day after that was first seen.

`cache/unused.json` in the bucket says since when each is unused: pages that are open and exports that are under way
have a day to end. Of what is taken up again meanwhile the manifest is written anew (services/vcf_ingest/joining.py), so
that its generation is another and all of it stays. The manifest goes first: where it is, all of a cache is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta

from shared.domain.cache import Built
from shared.domain.clock import iso
from shared.domain.errors import Conflict
from shared.domain.files import FileSeen
from shared.ports import Ports
from shared.steps.projects import all_analyses, all_orders, bucket_of

CACHES = "cache/orders/"
NOTED = "cache/unused.json"
UNUSED_FOR = timedelta(days=1)


def delete_unused(ports: Ports, project: str) -> int:
    """How many caches were deleted. Raises Conflict where another run of the same project was faster."""
    bucket, now = bucket_of(ports, project), ports.clock()
    there = _caches(ports, bucket)  # before the documents are read: what comes later is not in question
    seen = ports.objects.stat(bucket, NOTED)
    noted: dict[str, str] = json.loads(ports.objects.read(bucket, NOTED)) if seen else {}
    used = {path for built in _shown(ports, project) for path in (built.table, built.index, built.manifest)}
    unused = [name for name, files in there.items() if not used & {file.path for file in files}]
    since = {name: noted.get(name, iso(now)) for name in unused}
    due = [name for name in unused if datetime.fromisoformat(since[name]) + UNUSED_FOR <= now]
    deleted = [name for name in due if _delete(ports, bucket, there[name])]
    left = {name: at for name, at in since.items() if name not in due}
    if left != noted:
        ports.objects.write(bucket, NOTED, json.dumps(left, sort_keys=True).encode(),
                            if_generation=seen.generation if seen else 0)
    return len(deleted)


def _caches(ports: Ports, bucket: str) -> dict[str, list[FileSeen]]:
    """Path without its ending -> files."""
    found: dict[str, list[FileSeen]] = defaultdict(list)
    for file in ports.objects.list(bucket, CACHES):
        found[file.path.rpartition(".")[0]].append(file)
    return found


def _shown(ports: Ports, project: str) -> list[Built]:
    built = [order.cache.built for order in all_orders(ports, project)]
    built += [analysis.ingest.cache for analysis in all_analyses(ports, project)]
    return [each for each in built if each is not None]


def _delete(ports: Ports, bucket: str, files: list[FileSeen]) -> bool:
    """False where it has been taken up again."""
    for file in sorted(files, key=lambda file: not file.path.endswith(".json")):
        try:
            ports.objects.delete(bucket, file.path, file.generation)
        except Conflict:
            return False
    return True
