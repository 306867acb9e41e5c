# What each alert means and what to do about it stands in docs/deploy.md, under the alert's own name.

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "iflow: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
}

# Lines that the code writes, counted. The messages are those of shared/logs.py: tests/unit/terraform/test_alerts.py.
locals {
  our_logs = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^iflow-\""

  log_metrics = {
    dead_letters_kept = {
      message     = "kept as a dead letter"
      description = "Messages that could never be handled and were kept at once, without attempts"
    }
    ingests_failed = {
      message     = "ingest failed"
      description = "Succeeded runs whose VCF could not become a table"
    }
    left_to_the_next_round = {
      message     = "left to the next round"
      description = "Analyses that the reconciler could not look at, publish for or ingest again"
    }
    documents_not_understood = {
      message     = "not a document that this version understands"
      description = "Documents that the running version cannot read: an upgrade went wrong"
    }
    publishes_delayed = {
      message     = "not published, left to the reconciler"
      description = "Events that were committed and that Pub/Sub did not take"
    }
  }
}

locals {
  # Each transition, and the seconds that were spent in the status that was left.
  transitions = {
    transitions = {
      message     = "transition"
      description = "Seconds in the status that was left, by transition"
    }
    ingest_transitions = {
      message     = "ingest transition"
      description = "Seconds that an ingest took, by transition"
    }
  }
}

resource "google_logging_metric" "transitions" {
  for_each = local.transitions

  name            = "iflow/${each.key}"
  description     = each.value.description
  filter          = "${local.our_logs} AND jsonPayload.message=\"${each.value.message}\""
  value_extractor = "EXTRACT(jsonPayload.seconds)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "s"

    labels {
      key        = "from_status"
      value_type = "STRING"
    }

    labels {
      key        = "to_status"
      value_type = "STRING"
    }
  }

  label_extractors = {
    from_status = "EXTRACT(jsonPayload.from_status)"
    to_status   = "EXTRACT(jsonPayload.to_status)"
  }

  # Up to 2^24 * 0.01 s, which is two days.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 24
      growth_factor      = 2
      scale              = 0.01
    }
  }
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  name        = "iflow/${each.key}"
  description = each.value.description
  filter      = "${local.our_logs} AND jsonPayload.message=\"${each.value.message}\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key        = "service"
      value_type = "STRING"
    }
  }

  label_extractors = { service = "EXTRACT(resource.labels.service_name)" }
}

locals {
  subscription = "resource.type=\"pubsub_subscription\""
  ours         = "${local.subscription} AND resource.labels.subscription_id!=\"callback\" AND resource.labels.subscription_id!=\"notify\""
  service      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"iflow-.*\")"
  logged       = { for name, _ in local.log_metrics : name => "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/iflow/${name}\"" }

  # `over`: opens when the value stays above `threshold` for `for_s`. `aligned` makes one value of each `every_s`.
  alerts = {
    dead-letters = {
      severity = "CRITICAL", title = "a message was given up after all attempts"
      filter   = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      aligned  = "ALIGN_DELTA", every_s = 60, for_s = 0, threshold = 0, by = ["resource.label.subscription_id"]
    }
    dead-letters-kept = {
      severity = "CRITICAL", title = "a message could never be handled"
      filter   = local.logged.dead_letters_kept
      aligned  = "ALIGN_DELTA", every_s = 60, for_s = 0, threshold = 0, by = ["metric.label.service"]
    }
    # A callback waits for hours where its receiver does not answer, and holds up nothing.
    oldest-message = {
      severity = "CRITICAL", title = "a message has been waiting for ten minutes"
      filter   = "${local.ours} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      aligned  = "ALIGN_MAX", every_s = 60, for_s = 300, threshold = 600, by = ["resource.label.subscription_id"]
    }
    ingest-failures = {
      severity = "ERROR", title = "an ingest failed"
      filter   = local.logged.ingests_failed
      aligned  = "ALIGN_DELTA", every_s = 300, for_s = 0, threshold = 0, by = []
    }
    silent-analyses = {
      severity = "CRITICAL", title = "analyses could not be looked at for a quarter of an hour"
      filter   = local.logged.left_to_the_next_round
      aligned  = "ALIGN_DELTA", every_s = 300, for_s = 900, threshold = 0, by = []
    }
    documents-not-understood = {
      severity = "CRITICAL", title = "a document cannot be read by this version"
      filter   = local.logged.documents_not_understood
      aligned  = "ALIGN_DELTA", every_s = 300, for_s = 0, threshold = 0, by = ["metric.label.service"]
    }
    publishes-delayed = {
      severity = "WARNING", title = "Pub/Sub has not taken events for ten minutes"
      filter   = local.logged.publishes_delayed
      aligned  = "ALIGN_DELTA", every_s = 300, for_s = 600, threshold = 0, by = []
    }
  }
}

resource "google_monitoring_alert_policy" "over" {
  for_each = local.alerts

  display_name          = "iflow ${var.environment}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
  user_labels           = merge(local.labels, { alert = each.key })

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "${each.value.for_s}s"

      aggregations {
        alignment_period     = "${each.value.every_s}s"
        per_series_aligner   = each.value.aligned
        cross_series_reducer = each.value.aligned == "ALIGN_MAX" ? "REDUCE_MAX" : "REDUCE_SUM"
        group_by_fields      = each.value.by
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "See docs/deploy.md, \"Alerts\", `${each.key}`."
  }

  depends_on = [google_logging_metric.this]
}

# A function that fails is called again, so that a few failures are no news; a twentieth of all is.
resource "google_monitoring_alert_policy" "error_ratio" {
  display_name          = "iflow ${var.environment}: more than 5 % of a service's requests fail"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
  user_labels           = merge(local.labels, { alert = "error-ratio" })

  conditions {
    display_name = "5xx of all"

    condition_threshold {
      filter             = "${local.service} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
      denominator_filter = "${local.service} AND metric.type=\"run.googleapis.com/request_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.05
      duration           = "600s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }

      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "See docs/deploy.md, \"Alerts\", `error-ratio`."
  }
}

# All healing comes from the reconciler's rounds: without them nothing fails, and nothing heals.
resource "google_monitoring_alert_policy" "no_rounds" {
  display_name          = "iflow ${var.environment}: the reconciler has made no round for ten minutes"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
  user_labels           = merge(local.labels, { alert = "no-rounds" })

  conditions {
    display_name = "no answer of 2xx"

    condition_absent {
      filter   = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloud_run_v2_service.function["reconcile"].name}\" AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"2xx\""
      duration = "600s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "See docs/deploy.md, \"Alerts\", `no-rounds`."
  }
}

locals {
  # One chart each: its title, what it shows, how it is made one line for each `by`.
  charts = [
    { title = "Messages waiting", by = "resource.label.subscription_id", aligned = "ALIGN_MAX", reduced = "REDUCE_MAX",
    filter = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"" },
    { title = "Age of the oldest message, s", by = "resource.label.subscription_id", aligned = "ALIGN_MAX", reduced = "REDUCE_MAX",
    filter = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"" },
    { title = "Pushes by answer, a second", by = "metric.label.response_class", aligned = "ALIGN_RATE", reduced = "REDUCE_SUM",
    filter = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/push_request_count\"" },
    { title = "Dead letters", by = "resource.label.subscription_id", aligned = "ALIGN_DELTA", reduced = "REDUCE_SUM",
    filter = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\"" },
    { title = "Requests by service, a second", by = "resource.label.service_name", aligned = "ALIGN_RATE", reduced = "REDUCE_SUM",
    filter = "${local.service} AND metric.type=\"run.googleapis.com/request_count\"" },
    { title = "95th percentile of a request, ms", by = "resource.label.service_name", aligned = "ALIGN_PERCENTILE_95", reduced = "REDUCE_MAX",
    filter = "${local.service} AND metric.type=\"run.googleapis.com/request_latencies\"" },
    { title = "Instances", by = "resource.label.service_name", aligned = "ALIGN_MAX", reduced = "REDUCE_SUM",
    filter = "${local.service} AND metric.type=\"run.googleapis.com/container/instance_count\"" },
    { title = "Document writes, a second", by = "metric.label.op", aligned = "ALIGN_RATE", reduced = "REDUCE_SUM",
    filter = "resource.type=\"firestore.googleapis.com/Database\" AND metric.type=\"firestore.googleapis.com/document/write_ops_count\"" },
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "iflow ${var.environment}"
    mosaicLayout = {
      columns = 12
      tiles = [
        for place, chart in concat(local.charts, [
          for name, metric in local.transitions : {
            title  = metric.description, by = "metric.label.to_status", aligned = "ALIGN_PERCENTILE_95", reduced = "REDUCE_MAX",
            filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/iflow/${name}\""
          }
          ], [
          for name, metric in local.log_metrics : {
            title  = metric.description, by = "metric.label.service", aligned = "ALIGN_DELTA", reduced = "REDUCE_SUM",
            filter = local.logged[name]
          }
          ]) : {
          xPos = place % 2 * 6, yPos = floor(place / 2) * 4, width = 6, height = 4
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = "LINE"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "60s"
                      perSeriesAligner   = chart.aligned
                      crossSeriesReducer = chart.reduced
                      groupByFields      = [chart.by]
                    }
                  }
                }
              }]
            }
          }
        }
      ]
    }
  })
}

resource "google_billing_budget" "month" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "iflow ${var.environment}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]

    content {
      threshold_percent = threshold_rules.value
    }
  }

  # By the trend of the month, which says so while something can still be done.
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
  }
}
