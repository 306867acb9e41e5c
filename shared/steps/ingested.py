"""All ingested files of an analysis: the document holds the head of a long list, and the path of the whole."""

from __future__ import annotations

import json
from contextlib import suppress

from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.errors import Conflict
from shared.domain.ingested import Report, files_file
from shared.ports import Ports


def every_file(ports: Ports, analysis: Analysis) -> tuple[IngestedFile, ...]:
    ingest = analysis.ingest
    if ingest.files_path is None or len(ingest.files) == ingest.files_total:
        return ingest.files
    whole = json.loads(ports.objects.read(analysis.bucket, ingest.files_path))
    return tuple(IngestedFile.model_validate(file) for file in whole["files"])


def keep_whole(ports: Ports, analysis: Analysis, files: tuple[IngestedFile, ...], report: Report) -> None:
    """Before the document shows them: where they do not fit into it, they lie in the bucket."""
    if whole := files_file(analysis.id, files, report):
        with suppress(Conflict):  # its name says what is in it
            ports.objects.write(analysis.bucket, whole.path, whole.content, if_generation=0)
