"""`iflow`: for operators, for who sets up projects, and what every command does with its settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli.exits import Exit
from services.cli.main import app
from shared.domain import paths
from tests.flow.stack import Iflow, Stack, lines


def test_what_was_refused_can_be_found_and_read_c80(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text("{broken")
    message = json.loads(iflow("events", "publish", str(file), "--json").stdout)["message_id"]
    stack.until(lambda: message in iflow("ops", "rejections", "list").stdout)
    assert "{broken" in iflow("ops", "rejections", "show", message).stdout
    assert iflow("ops", "rejections", "show", "none").exit_code == Exit.BAD_DATA


def test_a_dead_letter_is_replayed_c80(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    nowhere = paths.analysis_id("demo", "cli-nowhere")
    file = tmp_path / "start.json"
    file.write_text(json.dumps({
        "id": "cli-start", "type": "analysis.start", "subject": nowhere, "time": "2026-11-25T08:00:00Z",
        "project": "demo", "data": {"analysis_id": nowhere},
    }))
    message = json.loads(iflow("events", "publish", str(file), "--json").stdout)["message_id"]
    stack.until(lambda: message in iflow("ops", "dead-letters", "list").stdout)
    assert "analysis.start" in iflow("ops", "dead-letters", "show", message).stdout
    assert iflow("ops", "dead-letters", "replay", message).exit_code == Exit.DONE
    letters = stack.until(
        lambda: len(found := json.loads(iflow("ops", "dead-letters", "list", "--json").stdout)["items"]) == 2 and found
    )
    assert {letter["replayed_by"] for letter in letters} == {"ada@lab.example", None}


def test_projects_and_pipelines_are_registered_from_the_command_line(iflow: Iflow, tmp_path: Path) -> None:
    assert iflow("projects", "register", "ward-9", "--title", "Ward 9").exit_code == Exit.DONE
    assert "ward-9" in iflow("projects", "list").stdout
    shipped = Path(__file__).parents[2] / "infra/pipelines/vcf-normalize.yaml"
    assert iflow("pipelines", "register", str(shipped), "-p", "ward-9").exit_code == Exit.DONE
    assert len(lines(iflow("pipelines", "list", "-p", "ward-9").stdout)) == 2
    spoilt = tmp_path / "spoilt.yaml"
    spoilt.write_text(shipped.read_text().replace("cpu_milli: 1000", "cpu_milli: -1"))
    result = iflow("pipelines", "register", str(spoilt), "-p", "ward-9")
    assert (result.exit_code, "resources.cpu_milli" in result.stderr) == (Exit.BAD_DATA, True)


def test_which_project_is_asked_when_there_are_several(stack: Stack, iflow: Iflow) -> None:
    stack.add_project("second")
    result = iflow("analyses", "list", IFLOW_PROJECT="")
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "demo" in result.stderr
    assert "second" in result.stderr


def test_the_running_stack_is_found_by_its_folder(stack: Stack, iflow: Iflow) -> None:
    assert iflow("projects", "list", IFLOW_API="", IFLOW_STATE_DIR=str(stack.state_dir)).exit_code == Exit.DONE


@pytest.mark.parametrize(("api", "code", "said"), [
    ("http://127.0.0.1:9", Exit.NOT_REACHABLE, "make serve"),
    ("nonsense", Exit.USAGE, "http://"),
])
def test_a_service_that_is_not_there_is_said_with_what_to_do(iflow: Iflow, api: str, code: Exit, said: str) -> None:
    result = iflow("analyses", "list", IFLOW_API=api)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_help_lists_the_exit_codes_and_loads_nothing_heavy() -> None:
    heavy = ("grpc", "pyarrow", "duckdb", "httpx", "fastapi", "pydantic", "numpy")
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom services.cli.main import app\n"
        "print(CliRunner().invoke(app, ['--help']).stdout)\n"
        f"print('HEAVY', [name for name in {heavy} if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "HEAVY []" in printed
    for code in Exit:
        assert f"{code.value} " in printed


def _commands(group: Any, words: tuple[str, ...]) -> list[str]:
    found = getattr(group, "commands", None)
    if found is None:
        return [" ".join(words)]
    return [command for name, one in found.items() for command in _commands(one, (*words, name))]


def test_the_page_about_the_command_line_names_every_command_and_code() -> None:
    page = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    commands = _commands(typer.main.get_command(app), ("iflow",))
    assert len(commands) > 20
    missing = [command for command in commands if command.removesuffix(" show") not in page]
    assert missing == []
    assert all(f"| {code.value} |" in page for code in Exit)
