"""`python -m services.vcf_ingest.cohort PROJECT`: its cohort copies, made to agree with its ingested analyses at once.

The reconciler does the same every hour, a few at a time (shared/steps/cohort.py).
"""

from __future__ import annotations

import logging
import sys

from services.vcf_ingest.process import run_as_process
from shared.runtime import ports as the_ports
from shared.steps.cohort import sync

log = logging.getLogger(__name__)


def main(project: str) -> None:
    written = sync(the_ports(), project)
    log.info("the cohort copies agree with the analyses", extra={"project": project, "written": written})


if __name__ == "__main__":
    (named,) = sys.argv[1:]
    run_as_process("cohort copies", {"project": named}, lambda: main(named))
