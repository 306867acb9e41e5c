"""The image: what its Dockerfile copies and installs is all that a service needs, and none of it is for development."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from shared.topology import topology

ROOT = Path(__file__).parents[3]
FUNCTION_APPS = [
    f"functions_framework.create_app(target={name!r}, source={module.replace('.', '/') + '.py'!r}, "
    "signature_type='cloudevent')"
    for module, name in sorted({tuple(s.function.split(":")) for s in topology().subscriptions.values()})
]
PROGRAM = """
import sys
class NotInTheImage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(name + " is not in the image")
sys.meta_path.insert(0, NotInTheImage())
import functions_framework
{statement}
"""


def _locked(name: str) -> dict[str, str]:
    lines = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "infra" / name).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in lines}


def test_the_image_has_the_tested_versions_and_no_tool_of_development() -> None:
    image, all_of_them = _locked("production.lock"), _locked("requirements.lock")
    assert image.items() <= all_of_them.items()
    assert not {"pytest", "hypothesis", "ruff", "mypy", "uv", "greenlet", "hatchling"} & image.keys()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Dockerfile copies."""
    app = tmp_path_factory.mktemp("app")
    copies = re.findall(r"^COPY (?!--from)(.+) (\S+)$", (ROOT / "infra/terraform/Dockerfile").read_text(), re.MULTILINE)
    assert copies
    for sources, to in copies:
        for source in (ROOT / name for name in sources.split()):
            target = app / to / source.name if to.endswith("/") else app / to
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copy(source, target)
    return app


def test_the_stage_before_the_image_makes_the_kernels_that_the_image_copies(image: Path) -> None:
    docker = (ROOT / "infra/terraform/Dockerfile").read_text()
    command = re.search(r"^RUN python (\S+)$", docker, re.MULTILINE)
    made = re.search(r"^COPY --from=kernels /app/(\S+) \1$", docker, re.MULTILINE)
    assert command and made
    (image / made[1]).unlink(missing_ok=True)
    subprocess.run([sys.executable, "-I", command[1]], cwd=image, check=True)
    assert (image / made[1]).exists()


@pytest.mark.parametrize("statement", [
    *FUNCTION_APPS, "import services.vcf_ingest.__main__", "import services.miner.app",
    "import services.vcf_ingest.table_join",
])
def test_every_entry_point_loads_from_the_image_alone(image: Path, statement: str) -> None:
    packages = packages_distributions()
    locked = _locked("production.lock")
    absent = {
        module for module, owners in packages.items()
        if not any(re.sub(r"[-_.]+", "-", owner).lower() in locked for owner in owners)
    } - {"services", "shared", "infra"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=absent, statement=statement)], cwd=image, check=False,
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(image), "IFLOW_BACKEND": "google"},
    )
    assert ran.returncode == 0, ran.stderr
