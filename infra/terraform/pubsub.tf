resource "google_pubsub_topic" "this" {
  #checkov:skip=CKV_GCP_83: Google's own keys unless the laboratory gives `kms_key`: a key of one's own is a duty to keep it
  for_each = local.topics

  name                       = each.key
  message_retention_duration = "${each.value.retention_s}s"
  kms_key_name               = var.kms_key

  # Commands carry sample names: they are kept in the region, wherever the publisher is.
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this]
}

# A push of its own to each function, and not an Eventarc trigger: Eventarc makes the subscription itself, without
# ordering, without a filter on our attributes, and without our dead letters.
resource "google_pubsub_subscription" "this" {
  for_each = local.subscriptions

  name                       = each.key
  topic                      = google_pubsub_topic.this[each.value.topic].id
  filter                     = each.value.filter
  enable_message_ordering    = each.value.ordering
  ack_deadline_seconds       = each.value.ack_deadline_s
  message_retention_duration = "${local.topics[each.value.topic].retention_s}s"

  push_config {
    push_endpoint = google_cloud_run_v2_service.function[each.key].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = each.value.audience
    }
  }

  retry_policy {
    minimum_backoff = "${each.value.retry.min_s}s"
    maximum_backoff = "${each.value.retry.max_s}s"
  }

  # The subscription that keeps the dead letters has none: it tries until the document is written.
  dynamic "dead_letter_policy" {
    for_each = each.value.max_attempts == null ? [] : [each.value.max_attempts]

    content {
      dead_letter_topic     = google_pubsub_topic.this[local.topology.dead_letter_topic].id
      max_delivery_attempts = dead_letter_policy.value
    }
  }

  # Without this, a subscription that was idle for 31 days is gone, and with it whatever is published then.
  expiration_policy {
    ttl = ""
  }

  # The first push would be refused, and count as an attempt.
  depends_on = [google_cloud_run_v2_service_iam_binding.only_push_invokes]
}

# Pub/Sub moves a dead letter itself: it publishes it there and acknowledges it here. Without either right the message
# is delivered for ever, and no error says why.
resource "google_pubsub_topic_iam_member" "pubsub_publishes_dead_letters" {
  topic  = google_pubsub_topic.this[local.topology.dead_letter_topic].id
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "pubsub_takes_dead_letters" {
  for_each = local.dead_lettered

  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_cloud_scheduler_job" "this" {
  for_each = local.schedules

  name        = "iflow-${each.key}"
  description = "Publishes to ${each.value.topic} every ${each.value.every_s} s"
  region      = var.region
  schedule    = each.value.cron
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.this[each.value.topic].id
    data       = base64encode("{}")
  }

  depends_on = [google_project_service.this]
}
