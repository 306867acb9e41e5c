"""The cohort copies of a project, made to agree with its ingested analyses.

Done as often as wanted: what is right stays, what is missing is made, and of what no analysis has any more an empty
file is left. The index in the bucket says which table each copy is of, and is written last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from shared.domain.analysis import Analysis, IngestedFile
from shared.ports import Ports
from shared.scratch import scratch
from shared.steps.ingested import every_file
from shared.steps.projects import all_analyses, bucket_of
from shared.variants.cohort import INDEX, cohort_path, write_cohort


def sync(ports: Ports, project: str, *, most: int | None = None) -> int:
    """How many files were written, at most `most`; the rest is left to the next time. Tables of no known assembly, and
    those without samples, have no copy.

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
    changed = changed[: None if most is None else most - len(gone)]
    for path in changed:
        analysis, file = wanted[path]
        with scratch() as folder, ports.objects.local(bucket, str(file.table)) as table:
            write_cohort(table, analysis.id, file.samples, folder / "copy.parquet")
            ports.objects.upload(bucket, path, folder / "copy.parquet")
    for path in gone:
        with scratch() as folder:
            write_cohort(folder, "", (), folder / "copy.parquet")
            ports.objects.upload(bucket, path, folder / "copy.parquet")
    if changed or gone:
        after = {path: table for path, table in index.items() if path not in gone}
        after |= {path: str(wanted[path][1].table) for path in changed}
        text = json.dumps(after, sort_keys=True).encode()
        ports.objects.write(bucket, INDEX, text, if_generation=seen.generation if seen else 0)
    return len(changed) + len(gone)


def _files(ports: Ports, analysis: Analysis) -> Iterator[tuple[str, IngestedFile]]:
    for number, file in enumerate(every_file(ports, analysis)):
        if file.table and file.assembly and file.samples:
            yield cohort_path(analysis.project, file.assembly, analysis.id, number), file
