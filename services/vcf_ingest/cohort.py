"""`python -m services.vcf_ingest.cohort PROJECT`: its cohort copies, made to agree with its ingested analyses.

Run as often as wanted, such as every night: what is right stays, what is missing is made, and of what no analysis has
any more an empty file is left. The index in the bucket says which table each copy is of, and is written last.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

from services.vcf_ingest.process import run_as_process
from shared.domain import paths
from shared.domain.analysis import Analysis, IngestedFile
from shared.ports import Order, Ports, Query
from shared.runtime import ports as the_ports
from shared.scratch import scratch
from shared.steps.ingested import every_file
from shared.steps.projects import bucket_of
from shared.variants.cohort import INDEX, cohort_path, write_cohort

log = logging.getLogger(__name__)
AT_A_TIME = 200


def main(project: str) -> None:
    written = sync(the_ports(), project)
    log.info("the cohort copies agree with the analyses", extra={"project": project, "written": written})


def sync(ports: Ports, project: str) -> int:
    """How many files were written. Tables of no known assembly, and those without samples, have no copy.

    Raises Conflict where another run of the same project was faster; Transient when a service does not answer.
    """
    bucket = bucket_of(ports, project)
    seen = ports.objects.stat(bucket, INDEX)
    index: dict[str, str] = json.loads(ports.objects.read(bucket, INDEX)) if seen else {}
    wanted = {
        path: (analysis, file) for analysis in _analyses(ports, project) for path, file in _files(ports, analysis)
    }
    changed = [path for path, (_, file) in wanted.items() if index.get(path) != file.table]
    gone = sorted(set(index) - set(wanted))
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
        after = {path: str(file.table) for path, (_, file) in wanted.items()}
        text = json.dumps(after, sort_keys=True).encode()
        ports.objects.write(bucket, INDEX, text, if_generation=seen.generation if seen else 0)
    return len(changed) + len(gone)


def _analyses(ports: Ports, project: str) -> Iterator[Analysis]:
    after = None
    while True:
        page = ports.documents.query(Query(
            paths.analyses(project), order=(Order("created_at", descending=True),), limit=AT_A_TIME, after=after
        ))
        yield from (Analysis.from_document(stored.data) for stored in page.items)
        if page.next is None:
            return
        after = page.next


def _files(ports: Ports, analysis: Analysis) -> Iterator[tuple[str, IngestedFile]]:
    for number, file in enumerate(every_file(ports, analysis)):
        if file.table and file.assembly and file.samples:
            yield cohort_path(analysis.project, file.assembly, analysis.id, number), file


if __name__ == "__main__":
    (named,) = sys.argv[1:]
    run_as_process("cohort copies", {"project": named}, lambda: main(named))
