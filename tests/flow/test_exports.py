"""Every row of a list as a file: counts, order, what breaks off, the command; and the cohort copies."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from services.cli.exits import Exit
from services.cli.main import app
from shared.steps.cohort import sync
from shared.variants.cohort import FOLDER, ask
from tests.examples import whole_or
from tests.flow.proxy import RESET
from tests.flow.stacks import PROJECT, Lab, ingesting_here, lab_over
from tests.flow.test_orders import TRIO, create, ingest
from tests.flow.test_real_files import COPY

ROWS = 12_345


def text() -> bytes:
    head = [
        "##fileformat=VCFv4.3", "##contig=<ID=chr1,length=248956422>",
        '##INFO=<ID=NOTE,Number=1,Type=String,Description="n">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "S1", "S2", "S3"]),
    ]
    body = (f"chr1\t{pos}\t.\tG\tA\t{pos % 97}\tPASS\tNOTE=p.Ala42%3D\tGT:DP\t0/1:{pos % 50}\t0/0:9\t0/1:7"
            for pos in range(1, ROWS + 1))
    return ("\n".join([*head, *body]) + "\n").encode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("exports")) as up, ingesting_here():
        up.register(COPY)
        ingest(up, "exported", text(), TRIO)
        create(up, "Exported", analyses=["exported"])
        yield up


def export(lab: Lab, file_format: str, of: str = "orders/exported", **parameters: Any) -> httpx.Response:
    answer = lab.client.get(f"/{of}/variants/export", params={"format": file_format, **parameters})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("of", ["orders/exported", "analyses/exported"])
def test_every_row_is_there_whatever_the_format(lab: Lab, of: str) -> None:
    """C47, C60: as many rows as the list says, without a cap."""
    total = lab.client.get(f"/{of}/variants", params={"limit": 1}).json()["total"]
    assert total == ROWS
    counts = {
        "tsv": lambda c: sum(not line.startswith(b"#") for line in c.splitlines()) - 1,
        "csv": lambda c: sum(not row[0].startswith("# ") for row in csv.reader(io.StringIO(c.decode()))) - 1,
        "jsonl": lambda c: len(c.splitlines()) - 1,
        "parquet": lambda c: pq.read_table(io.BytesIO(c)).num_rows,
        "xlsx": lambda c: openpyxl.load_workbook(io.BytesIO(c))["Variants"].max_row - 1,
        "vcf.gz": lambda c: sum(not line.startswith(b"#") for line in gzip.decompress(c).splitlines()),
    }
    few = () if of.startswith("orders") else ("csv", "jsonl", "parquet", "xlsx")[: whole_or(0, 4)]
    for file_format in (each for each in counts if each not in few):
        answer, count = export(lab, file_format, of), counts[file_format]
        assert int(answer.headers["X-Row-Count"]) == count(answer.content) == ROWS, file_format


def test_the_vcf_is_the_original(lab: Lab) -> None:
    """C52: but for the lines that say what it is of."""
    content = export(lab, "vcf").content
    assert re.sub(rb"##iflow_export_.*\n", b"", content) == text()
    said = dict(re.findall(r"##iflow_export_(\w+)=(.*)", content.decode()))
    assert said["rows"] == f"{ROWS} of {ROWS}"
    assert said["of"] == f"Exported (project {PROJECT})"


def test_filter_order_and_columns_are_the_lists(lab: Lab) -> None:
    """C61."""
    asked = {"depth_min": 40, "sort": "-proband_dp,-qual"}
    page = lab.client.get("/orders/exported/variants", params={**asked, "limit": 1000}).json()
    answer = export(lab, "tsv", **asked, columns="key,proband_dp")
    assert int(answer.headers["X-Row-Count"]) == page["total"] > 1000
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert lines[0] == "key\tproband_dp"
    assert [line.split("\t")[0] for line in lines[1:1001]] == [row["key"] for row in page["rows"]]
    assert f"# rows: {page['total']} of {ROWS}" in answer.text


@pytest.mark.parametrize(("parameters", "said"), [
    ({"format": "doc"}, "'doc' is unknown; it is one of vcf, vcf.gz"),
    ({"format": "tsv", "columns": "pos,genee"}, "genee"),
    ({"format": "tsv", "depht_min": 3}, "is 'depth_min' meant?"),
    ({"format": "tsv", "sort": "qaul"}, "is 'qual' meant?"),
])
def test_what_cannot_be_exported_is_refused_before_the_first_byte(
    lab: Lab, parameters: dict[str, Any], said: str
) -> None:
    answer = lab.client.get("/orders/exported/variants/export", params=parameters)
    assert answer.status_code == 400
    assert said in answer.text


def test_an_export_that_breaks_off_is_an_error_and_not_a_shorter_file(lab: Lab, tmp_path: Path) -> None:
    """C62: here what it reads is broken. The client's library raises, and the command leaves no file."""
    ingest(lab, "broken", text().replace(b"GT:DP\t0/1", b"GT:DP\t1/1"), TRIO)
    built = create(lab, "Broken", analyses=["broken"])["cache"]["built"]
    with lab.ports.objects.local(PROJECT, built["table"]) as file:
        whole = file.read_bytes()
        file.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            export(lab, "tsv", "orders/broken")
        result = iflow(lab, "variants", "Broken", "--export", str(tmp_path / "x.tsv"))
        assert result.exit_code == Exit.NOT_REACHABLE
        assert "broke off" in result.stderr
        assert list(tmp_path.iterdir()) == []
    finally:
        with lab.ports.objects.local(PROJECT, built["table"]) as file:
            file.write_bytes(whole)


def test_an_index_of_another_release_is_said_to_be_one(lab: Lab) -> None:
    """C65: never rows that are read wrongly."""
    ingest(lab, "older", text().replace(b"GT:DP\t0/1", b"GT:DP\t1/0"), TRIO)
    built = create(lab, "Older", analyses=["older"])["cache"]["built"]
    with lab.ports.objects.local(PROJECT, built["index"]) as file:
        whole = file.read_bytes()
        file.write_bytes(b"IFLOWIX1" + whole[8:-8] + b"IFLOWIX1")
    answer = lab.client.get("/orders/older/variants/export", params={"format": "tsv"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-built")
    assert "another release" in answer.json()["detail"] and "iflow orders rebuild" in answer.json()["detail"]


@contextmanager
def cut_behind(address: str, size: int, *, reset: bool) -> Iterator[str]:
    """The address of one connection to a server that ends behind so many bytes of the answer: by a reset, or closed as
    if that had been all."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def once() -> None:
            near, _ = listener.accept()
            with near, socket.create_connection((host, int(port))) as far:
                while b"\r\n\r\n" not in (asked := near.recv(1 << 16)):
                    far.sendall(asked)
                far.sendall(asked)
                left = size
                while left and (data := far.recv(min(left, 1 << 16))):
                    near.sendall(data)
                    left -= len(data)
                if reset:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

        thread = threading.Thread(target=once)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize(("file_format", "reset"), [
    ("tsv", True), ("vcf.gz", False), ("xlsx", True), ("tsv", False), ("vcf.gz", True), ("xlsx", False),
][:whole_or(6, 3)])
def test_a_connection_that_is_cut_at_half_is_an_error_and_not_a_shorter_file(
    lab: Lab, tmp_path: Path, file_format: str, reset: bool
) -> None:
    """C62: the client's library raises, the command leaves no file, and the server answers the next one in full."""
    whole = len(export(lab, file_format).content)
    asked = f"/api/v1/orders/exported/variants/export?format={file_format}"
    with cut_behind(lab.api, whole // 2, reset=reset) as api, pytest.raises(httpx.TransportError) as raised:
        httpx.get(f"{api}{asked}", headers=lab.client.headers, timeout=30)
    assert isinstance(raised.value, httpx.ReadError if reset else httpx.RemoteProtocolError)
    with cut_behind(lab.api, whole // 2, reset=reset) as api:
        result = iflow(replace(lab, api=api), "variants", "Exported", "--export", str(tmp_path / f"x.{file_format}"))
    assert result.exit_code == Exit.NOT_REACHABLE, result.stderr
    assert list(tmp_path.iterdir()) == []
    assert abs(len(export(lab, file_format).content) - whole) < 100


@pytest.mark.parametrize("ending", ["vcf.gz", "vcf", "tsv", "csv", "xlsx", "parquet", "jsonl"])
def test_the_command_writes_the_file_and_counts_it(lab: Lab, tmp_path: Path, ending: str) -> None:
    """C47, C60."""
    file = tmp_path / f"out.{ending}"
    result = iflow(lab, "variants", "Exported", "--filter", "depth_min=40", "--export", str(file), "--json")
    assert result.exit_code == Exit.DONE, result.stderr
    page = lab.client.get("/orders/exported/variants", params={"depth_min": 40, "limit": 1}).json()
    assert json.loads(result.stdout) == {"file": str(file), "rows": page["total"]}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_ending_that_is_no_format_is_refused(lab: Lab, tmp_path: Path) -> None:
    result = iflow(lab, "variants", "Exported", "--export", str(tmp_path / "x.doc"))
    assert result.exit_code == Exit.USAGE
    assert ".vcf.gz" in result.stderr


def iflow(lab: Lab, *arguments: str) -> Any:
    known = {"IFLOW_TOKEN": lab.token()}
    return CliRunner().invoke(app, [*arguments, "--api", lab.api, "--project", PROJECT], env=known)


def test_cohort_copies_follow_the_ingests(lab: Lab) -> None:
    """A second run has nothing to do; a new analysis is the next run's."""
    sync(lab.ports, PROJECT)
    assert sync(lab.ports, PROJECT) == 0
    ingest(lab, "cohort more", text().replace(b"\nchr1", b"\nchr2"), TRIO)
    assert sync(lab.ports, PROJECT) == 1
    paths = [seen.path for seen in lab.ports.objects.list(PROJECT, FOLDER)]
    folder = f"{FOLDER}project={PROJECT}/assembly=GRCh38/"
    assert paths and all(re.fullmatch(rf"{folder}[0-9a-f-]{{36}}-0\.parquet", path) for path in paths)
    with lab.ports.objects.local(PROJECT, paths[0]) as file:
        found = ask([file.parents[2]], "allele_count", {"key": "2-7-G-A"})
    assert found == [{"assembly": "GRCh38", "carriers": 2, "alleles": 2, "homozygous": 0}]
