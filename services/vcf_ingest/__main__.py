"""`python -m services.vcf_ingest PROJECT ANALYSIS HOLDER`: the work of one ingest, in a process of its own."""

from __future__ import annotations

import sys

from services.vcf_ingest.process import run_as_process
from services.vcf_ingest.work import work
from shared.runtime import ports

if __name__ == "__main__":
    project, analysis, holder = sys.argv[1:]
    run_as_process(
        "ingest work", {"analysis_id": analysis, "project": project}, lambda: work(ports(), project, analysis, holder)
    )
