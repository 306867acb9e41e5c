"""The cohort copies of a project, made to agree with its ingested analyses.

Done as often as wanted: what is right stays, what is missing is made, and of what no analysis has any more an empty
file is left. The index in the bucket says which table each copy is of, and is written last.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.errors import NotFound
from shared.logs import why
from shared.ports import Ports
from shared.scratch import scratch
from shared.steps.ingested import every_file
from shared.steps.projects import all_analyses, bucket_of
from shared.variants.cohort import INDEX, TableBroken, cohort_path, write_cohort

Write = Callable[[Path, str, Sequence[str], Path], None]
"""As `write_cohort`."""

log = logging.getLogger(__name__)


def sync(ports: Ports, project: str, *, most: int | None = None, write: Write = write_cohort) -> int:
    """How many files were written, at most `most`; the rest is left to the next time. Tables of no known assembly, and
    those without samples, have no copy; nor has one that cannot be read, which is said in the log.

    Raises Conflict where another run of the same project was faster; Transient when a service does not answer.
    """
    bucket = bucket_of(ports, project)
    seen = ports.objects.stat(bucket, INDEX)
    index: dict[str, str] = json.loads(ports.objects.read(bucket, INDEX)) if seen else {}
    wanted = {
        path: (analysis, file) for analysis in all_analyses(ports, project) for path, file in _files(ports, analysis)
    }
    gone = sorted(set(index) - set(wanted))[:most]
    changed = [path for path, (_, file) in wanted.items() if index.get(path) != file.table]
    made = islice((path for path in changed if _copied(ports, bucket, path, *wanted[path], write)),
                  None if most is None else most - len(gone))
    after = {path: table for path, table in index.items() if path not in gone}
    after |= {path: str(wanted[path][1].table) for path in made}
    for path in gone:
        with scratch() as folder:
            write(folder, "", (), folder / "copy.parquet")
            ports.objects.upload(bucket, path, folder / "copy.parquet")
    if after != index:
        text = json.dumps(after, sort_keys=True).encode()
        ports.objects.write(bucket, INDEX, text, if_generation=seen.generation if seen else 0)
    return len(gone) + sum(index.get(path) != table for path, table in after.items())


def _copied(ports: Ports, bucket: str, path: str, analysis: Analysis, file: IngestedFile, write: Write) -> bool:
    try:
        with scratch() as folder, ports.objects.local(bucket, str(file.table)) as table:
            write(table, analysis.id, file.samples, folder / "copy.parquet")
            ports.objects.upload(bucket, path, folder / "copy.parquet")
    except (TableBroken, NotFound) as error:
        log.warning("a variant table cannot be read", extra={"analysis_id": analysis.id, "reason": why(error)})
        return False
    return True


def _files(ports: Ports, analysis: Analysis) -> Iterator[tuple[str, IngestedFile]]:
    for number, file in enumerate(every_file(ports, analysis)):
        if file.table and file.assembly and file.samples:
            yield cohort_path(analysis.project, file.assembly, analysis.id, number), file
