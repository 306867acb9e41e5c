"""How a line is written: for Cloud Logging, for a person, and without what no log may hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from shared.domain.about import about, about_document, about_request
from shared.logs import bound, log_lines

ID = "6071cb41-0fcf-555b-9b4e-83389ef245ed"
MARK = "Zebrafinch77"
log = logging.getLogger(__name__)


class Sample(BaseModel):
    age: int


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


def say_all() -> None:
    with bound(analysis_id=ID, project="demo"):
        log.info("transition", extra={"from_status": "queued", "to_status": "running", "seconds": 1.5})
        reason = f"no gs://lab/samples/{MARK}/a.vcf, https://x.example/a?X-Goog-Signature={MARK}, Bearer {MARK}"
        log.warning("refused for %s", f"https://x.example/?q={MARK}", extra={"reason": reason, "inputs": MARK})
        try:
            Sample.model_validate({"age": MARK})
        except ValueError:
            log.exception("a request failed")


def test_json_lines_have_the_fields_by_which_cloud_logging_finds_their_trace(tmp_path: Path) -> None:
    log_lines(tmp_path / "log", google_project="lab")
    say_all()
    first, *_ = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert first["logging.googleapis.com/trace"] == f"projects/lab/traces/{ID.replace('-', '')}"
    assert (first["severity"], first["message"], first["project"]) == ("INFO", "transition", "demo")
    assert (first["from_status"], first["to_status"], first["seconds"]) == ("queued", "running", 1.5)


def test_lines_for_a_person_are_one_line_with_the_same_fields(tmp_path: Path) -> None:
    log_lines(tmp_path / "log")
    say_all()
    first = (tmp_path / "log").read_text().splitlines()[0]
    assert first.endswith(
        f"INFO    transition  analysis_id={ID} project=demo from_status=queued to_status=running seconds=1.5"
    )


@pytest.mark.parametrize("google_project", [None, "lab"])
def test_paths_by_name_parameters_tokens_and_what_pydantic_quotes_are_not_written(
    tmp_path: Path, google_project: str | None
) -> None:
    log_lines(tmp_path / "log", google_project=google_project)
    say_all()
    text = (tmp_path / "log").read_text()
    assert MARK not in text
    assert "pydantic_core._pydantic_core.ValidationError" in text
    assert "Bearer ..." in text


def test_what_a_message_a_document_and_a_request_are_about() -> None:
    attributes = {"id": f"{ID}.3", "subject": ID, "project": "demo"}
    told = {"project": "demo", "event_id": f"{ID}.3"}
    assert about({**attributes, "type": "analysis.running"}, b"") == {**told, "analysis_id": ID}
    assert about({**attributes, "type": "order.cached"}, b"") == {**told, "order_id": ID}
    assert about({"JobName": f"projects/p/locations/l/jobs/a-{ID}"}, b"") == {"analysis_id": ID}
    assert about({"subject": MARK}, b"[" * 100_000) == {}
    half = b'{"type": "analysis.submit", "project": "p", "data": {"request_id": "\\udfff"}}'
    assert about({"type": "analysis.submit", "id": "e"}, half) == {"event_id": "e"}
    assert about_document(f"projects/demo/orders/{ID}") == {"order_id": ID, "project": "demo"}
    assert about_document(f"projects/demo/analyses/{MARK}") == {}
    assert about_request("demo", f"/api/v1/analyses/{ID}/cancel") == {"analysis_id": ID, "project": "demo"}
    assert about_request(f"{MARK}/", "/api/v1/files") == {}
