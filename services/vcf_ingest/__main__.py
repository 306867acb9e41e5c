"""`python -m services.vcf_ingest PROJECT ANALYSIS HOLDER`: the work of one ingest, in a process of its own."""

from __future__ import annotations

import logging
import sys

from services.vcf_ingest.work import work
from shared.domain.errors import Transient
from shared.logs import log_as_json
from shared.runtime import ports

if __name__ == "__main__":
    log_as_json()
    project, analysis, holder = sys.argv[1:]
    try:
        work(ports(), project, analysis, holder)
    except Transient as error:  # the stack was stopped, or a service does not answer
        logging.getLogger(__name__).warning(
            "left until the lease runs out", extra={"analysis_id": analysis, "project": project, "reason": str(error)}
        )
        sys.exit(1)
