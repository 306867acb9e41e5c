"""What Terraform hands to the services is what shared/runtime.py reads, and it leaves out nothing that it must say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shared.runtime import Settings
from tests.unit.terraform.running import Plan

LEFT_AS_THEY_ARE = {
    "state_dir", "port", "reconcile_every_s", "batch_address", "callbacks_to_loopback",  # of a stack on one machine
    "missing_grace_s", "silent_after_s", "unsent_after_s", "ingest_lease_s", "stuck_after_s",  # shared/domain/policy.py
    "push_certificates",  # Google's own
    "log_level", "log_json",
    "oidc_issuer", "oidc_audience", "oidc_keys_url", "oidc_algorithms", "superadmin_claim", "iap_keys_url",  # IAP it is
    "service_accounts", "rate_per_s", "rate_burst", "largest_upload",
}
OF_FUNCTIONS = {"push_account", "push_audience", "push_signature"}
OF_THE_WEB = {"iap_audience", "superadmins", "proxies_before", "session_key"}
OF_THE_NOTIFIER = {"notify_keys"}


def test_terraform_sets_only_what_is_read_and_all_that_has_no_good_default(plan: Plan) -> None:
    functions = plan.named("google_cloud_run_v2_service", "function").values()
    web = plan.one("google_cloud_run_v2_service.web")
    wanted = set(Settings.model_fields) - LEFT_AS_THEY_ARE
    for service in functions:
        others = OF_THE_WEB if service.values["labels"]["service"] == "notifier" else OF_THE_WEB | OF_THE_NOTIFIER
        assert _set(service.values) == wanted - others
    assert _set(web) == wanted - OF_FUNCTIONS


@pytest.mark.parametrize("name", sorted(LEFT_AS_THEY_ARE))
def test_what_is_left_as_it_is_exists(name: str) -> None:
    assert name in Settings.model_fields


def _set(values: Mapping[str, Any]) -> set[str]:
    (template,) = values["template"]
    return {
        variable["name"].removeprefix("IFLOW_").lower()
        for container in template["containers"] for variable in container["env"] or ()
    }
