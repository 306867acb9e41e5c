"""What Terraform plans from infra/topology.yaml is what shared/topology.py reads in it, resource by resource (C84)."""

from __future__ import annotations

from shared.topology import Index, topology
from tests.unit.terraform.running import Plan, Resource

TOPOLOGY = topology()
SUBSCRIPTIONS = TOPOLOGY.subscriptions
MOST_FILTER_BYTES = 256  # https://cloud.google.com/pubsub/quotas


def test_topics(plan: Plan) -> None:
    planned = {
        name: topic.values["message_retention_duration"]
        for name, topic in plan.named("google_pubsub_topic", "this").items()
    }
    assert planned == {name: f"{spec.retention_s}s" for name, spec in TOPOLOGY.topics.items()}


def test_subscriptions(plan: Plan) -> None:
    for name, resource in _subscriptions(plan).items():
        spec, planned = SUBSCRIPTIONS[name], resource.values
        assert planned["name"] == name
        assert planned["topic"] == f"google_pubsub_topic.{spec.topic}.id"
        assert planned["filter"] == spec.filter
        assert planned["enable_message_ordering"] is spec.ordering
        assert planned["ack_deadline_seconds"] == spec.ack_deadline_s
        assert planned["message_retention_duration"] == f"{TOPOLOGY.topics[spec.topic].retention_s}s"
        assert planned["expiration_policy"] == [{"ttl": ""}], "an idle subscription must not go away"


def test_filters_are_short_enough_for_pubsub() -> None:
    assert all(len(spec.filter.encode()) <= MOST_FILTER_BYTES for spec in SUBSCRIPTIONS.values())


def test_every_subscription_tries_again_with_growing_pauses(plan: Plan) -> None:
    """C86: what a function refuses with 500 comes again."""
    for name, resource in _subscriptions(plan).items():
        retry = SUBSCRIPTIONS[name].retry
        assert resource.values["retry_policy"] == [
            {"minimum_backoff": f"{retry.min_s:g}s", "maximum_backoff": f"{retry.max_s:g}s"}
        ]


def test_every_function_has_its_subscription_and_ends_before_the_message_comes_again(plan: Plan) -> None:
    functions = plan.named("google_cloud_run_v2_service", "function")
    assert set(functions) == set(SUBSCRIPTIONS)
    for name, resource in functions.items():
        spec = SUBSCRIPTIONS[name]
        assert spec.run is not None
        (template,) = resource.values["template"]
        (container,) = template["containers"]
        assert resource.values["labels"] == {"service": spec.service}, "what the bill is split by"
        module, _, target = spec.function.partition(":")
        assert container["args"] == [
            f"--source=/app/{module.replace('.', '/')}.py", f"--target={target}", "--signature-type=cloudevent",
        ]
        assert container["resources"][0]["limits"] == {"cpu": f"{spec.run.cpu}", "memory": f"{spec.run.memory_mib}Mi"}
        assert template["timeout"] == f"{spec.run.timeout_s}s"
        assert spec.run.timeout_s <= spec.ack_deadline_s
        assert template["max_instance_request_concurrency"] == spec.run.concurrency
        assert template["scaling"][0]["max_instance_count"] == spec.run.max_instances
        assert template["service_account"] == f"google_service_account.iflow-{spec.service.replace('_', '-')}.email"


def test_every_dead_letter_policy_has_both_rights_and_a_subscription_that_keeps_the_letters(plan: Plan) -> None:
    """C84: without them Pub/Sub delivers for ever and says nothing."""
    agent = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    letters = f"google_pubsub_topic.{TOPOLOGY.dead_letter_topic}.id"
    publishes = {
        (grant.values["topic"], grant.values["member"]) for grant in plan.all("google_pubsub_topic_iam_member")
        if grant.values["role"] == "roles/pubsub.publisher"
    }
    subscribes = {
        (grant.values["subscription"], grant.values["member"])
        for grant in plan.all("google_pubsub_subscription_iam_member")
        if grant.values["role"] == "roles/pubsub.subscriber"
    }
    with_policy = set()
    for name, resource in _subscriptions(plan).items():
        attempts = SUBSCRIPTIONS[name].max_attempts
        policy = resource.values["dead_letter_policy"]
        if attempts is None:
            assert policy == []
            continue
        with_policy.add(name)
        assert policy == [{"dead_letter_topic": letters, "max_delivery_attempts": attempts}]
        assert (letters, agent) in publishes
        assert (name, agent) in subscribes
    assert len(with_policy) >= 6
    keepers = [
        name for name, resource in _subscriptions(plan).items()
        if resource.values["topic"] == letters and resource.values["filter"] == ""
    ]
    assert keepers == ["keep-dead-letters"]
    assert keepers[0] not in with_policy, "a letter that cannot be kept must not be moved to where it is"


def test_schedules(plan: Plan) -> None:
    jobs = plan.named("google_cloud_scheduler_job", "this")
    assert set(jobs) == set(TOPOLOGY.schedules)
    for name, spec in TOPOLOGY.schedules.items():
        assert jobs[name].values["schedule"] == f"*/{spec.every_s // 60} * * * *"
        assert jobs[name].values["pubsub_target"][0]["topic_name"] == f"google_pubsub_topic.{spec.topic}.id"


def test_composite_indexes(plan: Plan) -> None:
    planned = {
        (
            index.values["collection"], index.values["query_scope"],
            tuple((field["field_path"], field["order"] or field["array_config"]) for field in index.values["fields"]),
        ) for index in plan.all("google_firestore_index")
    }
    assert planned == {_composite(index) for index in TOPOLOGY.every_index if len(index.fields) > 1}


def test_exempt_fields_are_in_no_index_and_fields_that_expire_say_so(plan: Plan) -> None:
    fields = plan.named("google_firestore_field", "this")
    exempt = {f"{one.collection}/{field}" for one in TOPOLOGY.exemptions for field in one.fields}
    expiring = {f"{one.collection}/{one.field}" for one in TOPOLOGY.ttl}
    unindexed = {name for name, field in fields.items() if field.values["index_config"] == [{"indexes": []}]}
    assert unindexed == exempt | expiring
    assert {name for name, field in fields.items() if field.values["ttl_config"]} == expiring


def test_fields_that_are_asked_for_in_groups_or_inside_an_exempt_one_have_their_own_indexes(plan: Plan) -> None:
    """Firestore makes single-field indexes by itself, but none over a group, and none inside an exempt field."""
    both = {("COLLECTION", "ASCENDING"), ("COLLECTION", "DESCENDING")}
    exempt = [f"{one.collection}/{field}." for one in TOPOLOGY.exemptions for field in one.fields]
    wanted: dict[str, set[tuple[str, str]]] = {}
    for index in TOPOLOGY.every_index:
        if len(index.fields) == 1:
            _, scope, ((field, order),) = _composite(index)
            name = f"{index.collection}/{field}"
            if index.group or name.startswith(tuple(exempt)):
                wanted.setdefault(name, set(both)).add((scope, order))
    planned = {
        name: {(index["query_scope"], index["order"]) for index in field.values["index_config"][0]["indexes"]}
        for name, field in plan.named("google_firestore_field", "this").items()
        if field.values["index_config"] != [{"indexes": []}]
    }
    assert planned == wanted
    assert "analyses/metrics.run_seconds" in planned


def _subscriptions(plan: Plan) -> dict[str, Resource]:
    planned = dict(plan.named("google_pubsub_subscription", "this"))
    assert set(planned) == set(SUBSCRIPTIONS)
    return planned


def _composite(index: Index) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    kinds = {"": "ASCENDING", "desc": "DESCENDING", "contains": "CONTAINS"}
    fields = tuple((name, kinds[kind]) for name, _, kind in (field.partition(" ") for field in index.fields))
    return index.collection, "COLLECTION_GROUP" if index.group else "COLLECTION", fields
