"""Terraform's own plan of infra/terraform, made once for all tests: with what it cannot know yet as readable tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.terraform.running import EXECUTABLE, Plan, planned, workspace

VARIABLES = {
    "project_id": "lab-analyses", "region": "europe-west3", "domain": "iflow.lab.example",
    "image": f"europe-west3-docker.pkg.dev/lab-analyses/iflow/iflow@sha256:{'0' * 64}",
    "lab_projects": {"germline": {"title": "Germline"}, "tumour": {"title": "Tumour"}},
    "iap_members": ["group:lab@lab.example"], "publishers": ["serviceAccount:orders@lab-orders.example"],
    "cohort_readers": ["group:research@lab.example"],
    "alert_emails": ["ops@lab.example"], "billing_account": "012345-6789AB-CDEF01",
}


@pytest.fixture(scope="session")
def terraform() -> None:
    """Everything here asks Terraform itself. A machine without it skips, but not the one that decides."""
    if EXECUTABLE is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs terraform on its PATH: these tests are the only proof of infra/terraform")
        pytest.skip("terraform is not on the PATH")


@pytest.fixture
def where(terraform: None, tmp_path: Path) -> Path:
    """A copy of infra/terraform of one's own."""
    return workspace(tmp_path)


@pytest.fixture(scope="session")
def plan(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    yield planned(workspace(tmp_path_factory.mktemp("terraform")), VARIABLES, tokens=True)
