"""`python -m tests.unit.terraform FILE` writes the plan of infra/terraform, as the policy scan reads it (JSON)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.unit.terraform.conftest import VARIABLES
from tests.unit.terraform.running import plan_json, workspace

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_text(plan_json(workspace(Path(folder)), VARIABLES, tokens=True))
