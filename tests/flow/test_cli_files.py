"""`iflow`: fetching outputs, reading logs, and variants: of an analysis, and of files on one's own disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from services.cli.exits import Exit
from services.cli.main import app
from tests.flow.stack import Iflow, Stack, lines

GOOD_VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "1\t10\t.\tA\tC\t.\t.\t.\n"
)


def test_outputs_are_fetched_whole_and_not_twice(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    made = stack.submit("Fetched", inputs={"exit_code": 0, "runtime_seconds": 0, "log_lines": ["hello"]})
    document = stack.until_status(made["id"], "succeeded")
    first = iflow("analyses", "download", "Fetched", "--into", str(tmp_path), "--json")
    assert first.exit_code == Exit.DONE, first.stderr
    items = json.loads(first.stdout)["items"]
    assert {item["path"] for item in items} == {output["path"] for output in document["outputs"]}
    assert (tmp_path / "log.txt").read_text().startswith("hello")
    assert not list(tmp_path.rglob("*.part"))
    again = json.loads(iflow("analyses", "download", "Fetched", "log.txt", "-o", str(tmp_path), "--json").stdout)
    assert [(item["path"], item["fetched"]) for item in again["items"]] == [("analyses/fetched/log.txt", False)]
    assert iflow("analyses", "download", "Fetched", "none*").exit_code == Exit.BAD_DATA


def test_a_file_that_was_changed_since_is_no_good_copy(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    made = stack.submit("Changed")
    stack.until_status(made["id"], "succeeded")
    stack.ports.objects.write("demo", "analyses/changed/log.txt", b"something else")
    result = iflow("analyses", "download", "Changed", "--into", str(tmp_path))
    assert result.exit_code == Exit.PARTLY_DONE
    assert "changed after the run ended" in result.stderr
    assert not (tmp_path / "log.txt").exists()


def test_a_transfer_that_was_broken_off_goes_on_where_it_was(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    """What had come is not asked for again: bytes that differ there would be seen in the file, were it not checked."""
    made = stack.submit("Resumed", inputs={"exit_code": 0, "runtime_seconds": 0, "log_lines": ["hello", "world"]})
    document = stack.until_status(made["id"], "succeeded")
    (output,) = (each for each in document["outputs"] if each["path"].endswith("/log.txt"))
    part = tmp_path / f"log.txt.{output['generation']}.part"
    whole = stack.ports.objects.read("demo", output["path"])
    part.write_bytes(b"J" + whole[1:5])
    wrong = iflow("analyses", "download", "Resumed", "log.txt", "-o", str(tmp_path))
    assert (wrong.exit_code, part.exists()) == (Exit.BAD_DATA, False)
    part.write_bytes(whole[:5])
    assert iflow("analyses", "download", "Resumed", "log.txt", "-o", str(tmp_path)).exit_code == Exit.DONE
    assert (tmp_path / "log.txt").read_bytes() == whole
    assert not part.exists()


def test_all_outputs_of_several_analyses_are_fetched(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    for name in ("First of two", "Second of two"):
        stack.until_status(stack.submit(name)["id"], "succeeded")
    asked = ("analyses", "download", "--all", "First of two", "Second of two", "-o", str(tmp_path))
    assert iflow(*asked).exit_code == Exit.DONE
    assert {path.parent.name for path in tmp_path.glob("*/log.txt")} == {"first-of-two", "second-of-two"}
    partly = iflow(*asked, "Nobody's", "--json")
    assert partly.exit_code == Exit.PARTLY_DONE
    *there, missing = json.loads(partly.stdout)["items"]
    assert missing["path"] == "Nobody's"
    assert [item["fetched"] for item in there] == [False] * len(there)


def test_a_log_is_followed_to_its_end(stack: Stack, iflow: Iflow) -> None:
    made = stack.submit("Heard", inputs={"exit_code": 0, "runtime_seconds": 1, "log_lines": ["hello", "ERROR bye"]})
    followed = iflow("analyses", "logs", "Heard", "--follow")
    assert followed.exit_code == Exit.DONE
    assert stack.document(made["id"])["status"] == "succeeded"
    assert followed.stdout == iflow("analyses", "logs", "Heard").stdout
    assert iflow("analyses", "logs", "Heard", "--severity", "error").stdout == "ERROR bye\n"
    assert len(lines(iflow("analyses", "logs", "Heard", "--tail", "2").stdout)) == 2


def test_a_log_is_printed_and_its_cut_is_said(stack: Stack, iflow: Iflow) -> None:
    made = stack.submit("Logged", inputs={"exit_code": 0, "runtime_seconds": 0, "log_lines": ["hello"]})
    stack.until_status(made["id"], "succeeded")
    assert "hello" in iflow("analyses", "logs", "Logged").stdout
    tail = iflow("analyses", "logs", "Logged", "--tail-bytes", "6")
    assert len(tail.stdout) == 6
    assert "The last 6 of" in tail.stderr


def test_good_and_bad_files_are_checked_without_a_stack_and_none_stops_the_others(tmp_path: Path) -> None:
    good, bad, missing = tmp_path / "good.vcf", tmp_path / "bad.vcf", tmp_path / "missing.vcf"
    good.write_text(GOOD_VCF)
    bad.write_text(GOOD_VCF.replace("\t10\t", "\tTEN\t"))
    result = CliRunner().invoke(app, ["variants", "check", str(bad), str(missing), str(good), "--json"])
    found: list[dict[str, Any]] = [json.loads(line) for line in lines(result.stdout)]
    assert result.exit_code == Exit.BAD_DATA
    assert [("error" in each, each["file"]) for each in found] == [
        (True, str(bad)), (True, str(missing)), (False, str(good)),
    ]
    assert (found[0]["record"], found[0]["line"]) == (1, 4)
    assert {name: found[2][name] for name in ("records", "alleles", "rows", "samples")} == {
        "records": 1, "alleles": 1, "rows": 1, "samples": 0,
    }
    assert CliRunner().invoke(app, ["variants", "check", str(good)]).exit_code == Exit.DONE


def test_the_variants_of_an_analysis_are_shown_by_its_name_alone(stack: Stack, iflow: Iflow) -> None:
    stack.ports.objects.write("demo", "samples/x/uploads/x.vcf", GOOD_VCF.encode())
    made = json.loads(iflow("analyses", "submit", "-d", "V 1", "--pipeline", "vcf-normalize",
                            "-i", "vcf=samples/x/uploads/x.vcf", "--json").stdout)
    waited = iflow("analyses", "wait", "V 1", "--ingest", "--interval", "0.1", "--timeout", "30")
    assert waited.exit_code == Exit.DONE, waited.stderr
    assert "1 of 1 variants" in iflow("variants", "V 1").stdout
    found = json.loads(iflow("variants", made["id"], "--top", "1", "--json").stdout)
    assert [row["pos"] for row in found["rows"]] == [10]
    assert "0 of 1 variants" in iflow("variants", "V 1", "--filter", "region=chr2", "--facets").stdout
    refused = iflow("variants", "V 1", "--filter", "impact=HIHG")
    assert refused.exit_code == Exit.BAD_DATA
    assert "HIGH" in refused.stderr
    assert iflow("variants", "V 1", "--filter", "HIGH").exit_code == Exit.USAGE
    one = json.loads(iflow("variants", "V 1", "--key", found["rows"][0]["key"]).stdout)
    assert one["sources"][0]["fields"]["pos"] == 10
