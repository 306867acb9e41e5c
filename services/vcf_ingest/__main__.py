"""`python -m services.vcf_ingest PROJECT ANALYSIS HOLDER`: the work of one ingest, in a process of its own."""

from __future__ import annotations

import sys

from services.vcf_ingest.work import work
from shared.logs import log_as_json
from shared.runtime import ports

if __name__ == "__main__":
    log_as_json()
    project, analysis, holder = sys.argv[1:]
    work(ports(), project, analysis, holder)
