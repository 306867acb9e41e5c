"""Terraform validates and plans infra/terraform, by the schema of google's provider 6.50.0; and it is formatted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.terraform.conftest import VARIABLES
from tests.unit.terraform.extract_schema import PROVIDER, SCHEMA, TERRAFORM, used_types
from tests.unit.terraform.running import planned, validated
from tests.unit.terraform.running import terraform as run


def test_it_plans_while_nothing_is_made_yet(where: Path) -> None:
    """With all that the provider would only know afterwards unknown, as in a first apply."""
    plan = planned(where, VARIABLES, tokens=False)
    assert len(plan.resources) > 200


def test_it_plans_with_a_key_of_ones_own_and_without_a_budget(where: Path) -> None:
    key = "projects/keys/locations/europe-west3/keyRings/lab/cryptoKeys/iflow"
    plan = planned(where, {**VARIABLES, "kms_key": key, "billing_account": None}, tokens=True)
    assert plan.all("google_billing_budget") == []
    assert all(topic.values["kms_key_name"] == key for topic in plan.all("google_pubsub_topic"))
    buckets = [bucket.values["encryption"] for bucket in plan.all("google_storage_bucket")]
    assert buckets == [[{"default_kms_key_name": key}]] * 3


@pytest.mark.parametrize(("good", "bad", "said"), [
    ("enable_message_ordering    =", "enable_ordering =", 'An argument named "enable_ordering" is not expected here.'),
    ("dead_letter_topic     =", "topic =", 'An argument named "topic" is not expected here.'),
    ("oidc_token {", "oidc {", 'Blocks of type "oidc" are not expected here.'),
    ('"google_pubsub_topic_iam_member" "pubsub', '"google_pubsub_topic_member" "pubsub', "Invalid resource type"),
    ("push_endpoint = ", "# push_endpoint = ", 'The argument "push_endpoint" is required'),
    ("seconds       = each.value.ack_deadline_s", 'seconds = "a minute"', "a number is required"),
    ("google_service_account.push.email", "google_service_account.push.mail", "Unsupported attribute"),
    ('subscription" "this" {', 'subscription" "this" {\n  no_such_block {}', "Unsupported block type"),
])
def test_what_the_provider_does_not_know_is_refused(where: Path, good: str, bad: str, said: str) -> None:
    """That the stand-in's schema is a schema: each of these goes through `terraform fmt`."""
    file = where / "pubsub.tf"
    text = file.read_text()
    assert good in text
    file.write_text(text.replace(good, bad, 1))
    with pytest.raises(AssertionError) as refused:
        validated(where)
    assert said in " ".join(str(refused.value).replace("│", " ").split())


def test_a_value_that_an_argument_cannot_have_is_refused(where: Path) -> None:
    file = where / "firestore.tf"
    file.write_text(file.read_text().replace('"OPTIMISTIC"', '"HOPEFUL"'))
    with pytest.raises(AssertionError, match="expected concurrency_mode to be one of"):
        validated(where)


@pytest.mark.parametrize("wrong", [
    {"project_id": "Lab"}, {"region": "europe"}, {"image": "iflow:latest"}, {"domain": "https://lab.example"},
    {"lab_projects": {"unassigned": {"title": "x"}}}, {"lab_projects": {"UPPER": {"title": "x"}}},
    {"iap_members": ["allUsers"]}, {"iap_members": ["domain:lab.example"]}, {"publishers": ["allAuthenticatedUsers"]},
    {"alert_emails": []}, {"monthly_budget": 0.5}, {"kms_key": "key"}, {"deleted_files_kept_days": 1},
    {"audit_logs_kept_days": 30},
], ids=str)
def test_a_variable_that_would_do_harm_is_refused(terraform: None, tmp_path: Path, wrong: Mapping[str, Any]) -> None:
    shutil.copy(TERRAFORM / "variables.tf", tmp_path)
    (tmp_path / "test.auto.tfvars.json").write_text(json.dumps({**VARIABLES, **wrong}))
    refused = run(tmp_path, "plan", "-no-color")
    assert "Invalid value for variable" in refused.stderr
    assert refused.stderr.count("Error:") == 1


def test_the_files_are_formatted(where: Path) -> None:
    checked = run(where, "fmt", "-check", "-diff", "-no-color", str(TERRAFORM))
    assert checked.returncode == 0, checked.stdout


def test_the_kept_schema_has_what_is_used_and_no_more() -> None:
    schema = json.loads(SCHEMA.read_text())["provider_schemas"][PROVIDER]
    kept = {("resource", name) for name in schema["resource_schemas"]}
    kept |= {("data", name) for name in schema["data_source_schemas"]}
    assert kept == used_types(), "make it anew: extract_schema.py says how"


def test_every_variable_and_output_says_what_it_is() -> None:
    for file in ("variables.tf", "outputs.tf"):
        for block in (TERRAFORM / file).read_text().split("\n}\n"):
            if block.strip():
                assert "\n  description = " in block, block
