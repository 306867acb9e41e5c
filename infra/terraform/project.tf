data "google_project" "this" {
  project_id = var.project_id
}

locals {
  # Google's own accounts, that carry messages and pass visitors on. Named by the project's number.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  iap_agent    = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"
}

resource "google_project_service" "this" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "batch.googleapis.com",
    "bigquery.googleapis.com",
    "bigqueryconnection.googleapis.com",
    "billingbudgets.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtrace.googleapis.com",
    "compute.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com", # addresses of objects are signed through it, without a key file
    "iap.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
    "telemetry.googleapis.com",
  ])

  service = each.key

  # Something else in the project may use it: taking this installation away must not take that down.
  disable_on_destroy = false
}

# Who read which patient's data is asked years later, so reads of data are logged where it lies. Not for Pub/Sub and
# the services: each message would be a line, and their own logs name the analysis.
resource "google_project_iam_audit_config" "data" {
  for_each = toset(["storage.googleapis.com", "firestore.googleapis.com", "secretmanager.googleapis.com", "iap.googleapis.com"])

  project = var.project_id
  service = each.key

  dynamic "audit_log_config" {
    for_each = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"]

    content {
      log_type = audit_log_config.value
    }
  }
}

# Those lines outlive the 30 days that logs are kept otherwise, and lie in the region.
resource "google_logging_project_bucket_config" "audit" {
  project        = var.project_id
  location       = var.region
  bucket_id      = "iflow-audit"
  retention_days = var.audit_logs_kept_days
}

resource "google_logging_project_sink" "audit" {
  name                   = "iflow-audit"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "log_id(\"cloudaudit.googleapis.com/data_access\") OR log_id(\"cloudaudit.googleapis.com/activity\")"
  unique_writer_identity = true
}
