"""The files that ship are sound, and a file that is not says where."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from infra.pipelines.catalogue import FOLDER, CatalogueError, read_catalogue, read_pipeline, read_price_tables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in FOLDER.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


def test_three_pipelines_ship_and_their_modules_exist() -> None:
    pipelines = read_catalogue()
    assert set(pipelines) == {"germline-calls@1.0.0", "vcf-normalize@1.0.0", "fail-on-request@1.0.0"}
    for pipeline in pipelines.values():
        (runnable,) = pipeline.runnables
        assert runnable.command[:2] == ("python", "-m")
        assert importlib.util.find_spec(runnable.command[2])


def test_every_machine_that_ships_has_a_price_in_every_region() -> None:
    tables = read_price_tables()
    for pipeline in read_catalogue().values():
        for machines in tables[pipeline.price_table].regions.values():
            assert machines[pipeline.resources.machine_type].spot_per_hour


def test_a_fault_names_file_and_field(folder: Path) -> None:
    change(folder, "vcf-normalize.yaml", "cpu_milli: 1000", "cpu_milli: one")
    change(folder, "germline-calls.yaml", "slug: germline-calls", "slug: Germline Calls")
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(folder)
    germline, normalize = str(caught.value).splitlines()
    assert germline.startswith("germline-calls.yaml: slug: ")
    assert normalize.startswith("vcf-normalize.yaml: resources.cpu_milli: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("price_table: list-prices-example", "price_table: none", "price_table: none is not in prices.yaml"),
        ("task_count: 1", "task_count: 1\ntask_count: 2", "the key task_count stands twice"),
        ("task_count: 1", "task_count: [", "no valid YAML"),
        ("version: 1.0.0", "version: 1.0", "version: "),
        ("slug: vcf-normalize", "slug: germline-calls", "germline-calls@1.0.0 stands in another file too"),
    ],
)
def test_a_fault_of_one_file(folder: Path, old: str, new: str, message: str) -> None:
    change(folder, "vcf-normalize.yaml", old, new)
    with pytest.raises(CatalogueError, match=r"^vcf-normalize\.yaml: ") as caught:
        read_catalogue(folder)
    assert message in str(caught.value)


def test_a_missing_or_empty_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"absent\.yaml: cannot be read"):
        read_pipeline(tmp_path / "absent.yaml")
    (tmp_path / "empty.yaml").touch()
    with pytest.raises(CatalogueError, match=r"empty\.yaml: the whole: "):
        read_pipeline(tmp_path / "empty.yaml")
