"""Who may do what, in the plan: nobody calls a function but the push account; no account has more than it needs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from shared.runtime import Settings
from shared.topology import topology
from shared.variants.cohort import FOLDER, bigquery_schema
from tests.unit.terraform.conftest import VARIABLES
from tests.unit.terraform.running import Plan

TOPOLOGY = topology()
PUSH = "google_service_account.iflow-push"
ASKED_FOR = {"IFLOW_SESSION_KEY"}
"""Settings that the services do not read yet."""

SERVICES = Path(__file__).parents[3] / "services"


def test_every_push_carries_a_token_of_the_push_account_that_its_function_accepts(plan: Plan) -> None:
    """C76."""
    functions = plan.named("google_cloud_run_v2_service", "function")
    audiences = set()
    for name, subscription in plan.named("google_pubsub_subscription", "this").items():
        (push,) = subscription.values["push_config"]
        (token,) = push["oidc_token"]
        assert token["service_account_email"] == f"{PUSH}.email"
        assert functions[name].values["custom_audiences"] == [token["audience"]]
        assert push["push_endpoint"] == f"google_cloud_run_v2_service.iflow-{name}.uri"
        variables = _environment(functions[name].values)
        assert variables["IFLOW_PUSH_ACCOUNT"] == token["service_account_email"]
        assert variables["IFLOW_PUSH_AUDIENCE"] == token["audience"]
        audiences.add(token["audience"])
    assert len(audiences) == len(TOPOLOGY.subscriptions), "a token for one function is none for another"


def test_every_setting_that_a_service_is_given_is_one_that_it_reads(plan: Plan) -> None:
    known = {f"IFLOW_{name.upper()}" for name in Settings.model_fields}
    for service in plan.all("google_cloud_run_v2_service"):
        given = _environment(service.values)
        assert set(given) - known <= ASKED_FOR
        settings = {name.removeprefix("IFLOW_").lower(): value for name, value in given.items() if name in known}
        assert Settings(**settings).backend == "google"


def test_only_the_push_account_calls_a_function_and_only_iap_calls_the_web_service(plan: Plan) -> None:
    """C76. Bindings, so that whoever was let in by hand is put out again."""
    assert plan.all("google_cloud_run_v2_service_iam_member") == []
    allowed = {
        binding.values["name"]: (binding.values["role"], binding.values["members"])
        for binding in plan.all("google_cloud_run_v2_service_iam_binding")
    }
    push = ("roles/run.invoker", [f"{PUSH}.member"])
    iap = "serviceAccount:service-123456789012@gcp-sa-iap.iam.gserviceaccount.com"
    assert allowed == {
        **{f"iflow-{name}": push for name in TOPOLOGY.subscriptions}, "iflow-web": ("roles/run.invoker", [iap]),
    }


def test_no_service_can_be_reached_around_its_guard(plan: Plan) -> None:
    services = {service.values["name"]: service.values for service in plan.all("google_cloud_run_v2_service")}
    assert set(services) == {*(f"iflow-{name}" for name in TOPOLOGY.subscriptions), "iflow-web"}
    for name, service in services.items():
        assert service["invoker_iam_disabled"] is False
        inside = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" if name == "iflow-web" else "INGRESS_TRAFFIC_INTERNAL_ONLY"
        assert service["ingress"] == inside


def test_the_web_service_stands_behind_iap_and_cloud_armor(plan: Plan) -> None:
    backend = plan.one("google_compute_backend_service.web")
    assert backend["iap"][0]["enabled"] is True
    assert backend["security_policy"] == "google_compute_security_policy.iflow-web.id"
    assert plan.one("google_iap_web_backend_service_iam_binding.visitors")["members"] == VARIABLES["iap_members"]
    assert {proxy.values["ssl_policy"] for proxy in plan.all("google_compute_target_https_proxy")} == {
        "google_compute_ssl_policy.iflow-web.id"
    }


def test_nothing_is_open_to_everybody_and_no_account_has_a_key(plan: Plan) -> None:
    assert plan.all("google_service_account_key") == []
    text = json.dumps([resource.values for resource in plan.resources])
    assert "allUsers" not in text
    assert "allAuthenticatedUsers" not in text


def test_every_deployable_has_one_account_and_nothing_but_what_topology_says(plan: Plan) -> None:
    grants = _grants(plan)
    folders = {main.parent.name for main in SERVICES.glob("*/*.py") if main.name in ("main.py", "app.py")} - {"cli"}
    assert set(TOPOLOGY.services) == folders
    buckets = {bucket.values["name"] for bucket in plan.all("google_storage_bucket")}
    for name, spec in TOPOLOGY.services.items():
        account = f"google_service_account.iflow-{name.replace('_', '-')}"
        me = {"self"} if "self" in spec.runs_jobs_as else set()
        jobs = {f"jobs-{project}" for project in VARIABLES["lab_projects"]} if "jobs" in spec.runs_jobs_as else set()
        expected = {
            *(("project", role) for role in spec.roles),
            *((f"topic {topic}", "roles/pubsub.publisher") for topic in spec.publish),
            *((f"bucket {bucket}", spec.objects) for bucket in buckets),
            *((f"account {account}", "roles/iam.serviceAccountUser") for _ in me),
            *((f"account google_service_account.{job}", "roles/iam.serviceAccountUser") for job in jobs),
            *(((f"account {account}", "roles/iam.serviceAccountTokenCreator"),) if spec.signs else ()),
            *((f"secret iflow-{secret}", "roles/secretmanager.secretAccessor") for secret in spec.secrets),
            *((("repository iflow", "roles/artifactregistry.reader"),) if me else ()),
        }
        assert grants[f"{account}.member"] == expected, name


def test_a_job_may_report_log_say_that_it_changed_and_use_its_own_bucket(plan: Plan) -> None:
    """And so a pipeline of one lab project reads nothing of another's."""
    grants = _grants(plan)
    for project in VARIABLES["lab_projects"]:
        assert grants[f"google_service_account.jobs-{project}.member"] == {
            ("project", "roles/batch.agentReporter"), ("project", "roles/logging.logWriter"),
            ("topic batch-events", "roles/pubsub.publisher"),
            (f"bucket lab-analyses-{project}", "roles/storage.objectUser"),
            ("repository iflow", "roles/artifactregistry.reader"),
        }


def test_who_asks_the_cohort_reads_its_tables_and_no_bucket(plan: Plan) -> None:
    """The connection's account reads for them: the cohort copies of each lab project, and nothing beside them."""
    grants = _grants(plan)
    assert grants[VARIABLES["cohort_readers"][0]] == {
        ("project", "roles/bigquery.jobUser"), ("dataset iflow_cohort", "roles/bigquery.dataViewer"),
    }
    reading = plan.named("google_storage_bucket_iam_member", "cohort")
    for project in VARIABLES["lab_projects"]:
        bucket = f"lab-analyses-{project}"
        values = reading[project].values
        assert (values["bucket"], values["role"]) == (bucket, "roles/storage.objectViewer")
        allowed = f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/cohort/")'
        assert [condition["expression"] for condition in values["condition"]] == [allowed]
        (table,) = plan.named("google_bigquery_table", "cohort")[project].values["external_data_configuration"]
        assert table["source_uris"] == [f"gs://{bucket}/{FOLDER}*"]
        (folders,) = table["hive_partitioning_options"]
        assert folders["source_uri_prefix"] == f"gs://{bucket}/{FOLDER}{{project:STRING}}/{{assembly:STRING}}"
        assert json.loads(table["schema"]) == bigquery_schema()


def test_the_push_account_may_do_nothing_but_call(plan: Plan) -> None:
    assert f"{PUSH}.member" not in _grants(plan)


def test_the_right_to_documents_is_for_the_one_database(plan: Plan) -> None:
    granted = [one.values for one in plan.all("google_project_iam_member")]
    documents = [one for one in granted if one["role"] == "roles/datastore.user"]
    assert len(documents) == len(TOPOLOGY.services)
    for one in documents:
        assert one["condition"][0]["expression"] == 'resource.name == "projects/lab-analyses/databases/(default)"'


def test_buckets_are_private_and_keep_what_was_deleted(plan: Plan) -> None:
    buckets = [bucket.values for bucket in plan.all("google_storage_bucket")]
    assert len(buckets) == len(VARIABLES["lab_projects"]) + 1
    for bucket in buckets:
        assert bucket["uniform_bucket_level_access"] is True
        assert bucket["public_access_prevention"] == "enforced"
        assert bucket["versioning"] == [{"enabled": True}]
        assert bucket["soft_delete_policy"][0]["retention_duration_seconds"] == 30 * 86_400
        assert bucket["force_destroy"] is False


def test_a_jobs_machine_reaches_googles_services_and_nothing_else(plan: Plan) -> None:
    assert plan.one("google_compute_network.batch")["delete_default_routes_on_create"] is True
    assert plan.one("google_compute_subnetwork.batch")["private_ip_google_access"] is True
    rules = sorted((rule.values for rule in plan.all("google_compute_firewall")), key=lambda rule: rule["priority"])
    assert [rule["name"] for rule in rules if rule["allow"]] == ["iflow-batch-google-out"]
    assert rules[0]["destination_ranges"] == ["199.36.153.8/30"]
    assert {(rule["direction"], rule["deny"][0]["protocol"]) for rule in rules[1:]} == {
        ("INGRESS", "all"), ("EGRESS", "all"),
    }


def _environment(service: dict[str, object]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in service["template"][0]["containers"][0]["env"]}


def _grants(plan: Plan) -> dict[str, set[tuple[str, str]]]:
    """Of each member: on what, and which role."""
    places = {
        "google_project_iam_member": lambda values: "project",
        "google_pubsub_topic_iam_member": lambda v: f"topic {v['topic'].split('.')[1]}",
        "google_pubsub_subscription_iam_member": lambda v: f"subscription {v['subscription']}",
        "google_storage_bucket_iam_member": lambda v: f"bucket {v['bucket']}",
        "google_service_account_iam_member": lambda v: f"account {v['service_account_id'].removesuffix('.name')}",
        "google_secret_manager_secret_iam_member": lambda v: f"secret {v['secret_id']}",
        "google_artifact_registry_repository_iam_member": lambda v: f"repository {v['repository'].split('.')[1]}",
        "google_bigquery_dataset_iam_member": lambda v: f"dataset {v['dataset_id']}",
    }
    members = [r for r in plan.resources if r.type.endswith("_iam_member")]
    assert {resource.type for resource in members} <= set(places), "a grant that these tests do not look at"
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for resource in members:
        found[resource.values["member"]].add((places[resource.type](resource.values), resource.values["role"]))
    return found
