"""Every alert listens to something that is really said, reaches somebody, and is explained to whoever it wakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.logs import Line
from tests.unit.terraform.running import Plan

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "deploy.md"


def test_every_counted_line_is_one_that_the_code_writes(plan: Plan) -> None:
    sources = "\n".join(file.read_text() for room in ("services", "shared") for file in (ROOT / room).rglob("*.py"))
    said = {Line[name] for name in re.findall(r"\blog\.\w+\(\s*Line\.(\w+)", sources)}
    counted = {
        re.search(r'jsonPayload\.message="([^"]+)"', metric.values["filter"])[1]
        for metric in plan.all("google_logging_metric")
    }
    assert counted <= said
    assert len(counted) == 5


def test_every_alert_on_a_log_line_has_its_metric(plan: Plan) -> None:
    metrics = {metric.values["name"] for metric in plan.all("google_logging_metric")}
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
