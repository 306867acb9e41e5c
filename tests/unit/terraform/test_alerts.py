"""Every alert listens to something that is really said, reaches somebody, and is explained to whoever it wakes."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from shared.logs import FIELDS, Line
from shared.steps.transitions import log_transitions
from tests.builders import an_analysis, running
from tests.unit.terraform.running import Plan

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "deploy.md"


def test_the_counted_lines_are_those_that_the_code_names_and_writes(plan: Plan) -> None:
    counted = [
        re.search(r'jsonPayload\.message="([^"]+)"', metric.values["filter"])[1]
        for metric in plan.all("google_logging_metric")
    ]
    assert sorted(counted) == sorted(Line)
    sources = "\n".join(file.read_text() for room in ("services", "shared") for file in (ROOT / room).rglob("*.py"))
    written = set(re.findall(r"\((?:after, )?Line\.([A-Z_]+)", sources))
    assert written == set(Line.__members__)


def test_what_is_taken_out_of_a_line_is_a_field_that_it_has(plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_transitions(None, an_analysis())
    log_transitions(an_analysis(), running())
    fields = [record.__dict__.keys() & set(FIELDS) for record in caplog.records]
    assert len(fields) == 2
    for metric in plan.named("google_logging_metric", "transitions").values():
        values = metric.values
        extractors = " ".join([values["value_extractor"], *values["label_extractors"].values()])
        extracted = re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", extractors)
        assert sorted(extracted) == ["from_status", "seconds", "to_status"]
        assert all(set(extracted) <= found for found in fields)
        assert {label["key"] for label in values["metric_descriptor"][0]["labels"]} == set(values["label_extractors"])


def test_every_alert_on_a_log_line_has_its_metric(plan: Plan) -> None:
    metrics = {metric.values["name"] for metric in plan.named("google_logging_metric", "this").values()}
    text = " ".join(
        condition["condition_threshold"][0]["filter"]
        for alert in plan.named("google_monitoring_alert_policy", "over").values()
        for condition in alert.values["conditions"]
    )
    listened_to = set(re.findall(r"logging\.googleapis\.com/user/([\w/]+)", text))
    assert listened_to == metrics


@pytest.mark.parametrize("alert", [
    "dead-letters", "dead-letters-kept", "oldest-message", "ingest-failures", "silent-analyses",
    "documents-not-understood", "publishes-delayed", "error-ratio", "no-rounds",
])
def test_every_alert_reaches_somebody_and_is_explained(plan: Plan, alert: str) -> None:
    (policy,) = [
        one.values for one in plan.all("google_monitoring_alert_policy") if one.values["user_labels"]["alert"] == alert
    ]
    assert policy["notification_channels"]
    assert f"`{alert}`" in policy["documentation"][0]["content"]
    assert f"| `{alert}` |" in GUIDE.read_text(), "docs/deploy.md does not say what to do"


def test_there_is_no_alert_beside_these(plan: Plan) -> None:
    assert len(plan.all("google_monitoring_alert_policy")) == 9
