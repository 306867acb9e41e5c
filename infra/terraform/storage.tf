# A bucket for each lab project, and one for what names no project that we know.
resource "google_storage_bucket" "lab" {
  #checkov:skip=CKV_GCP_62: Cloud Audit Logs have every read and write with who made it (project.tf); access logs have less, and hours later
  #checkov:skip=CKV_GCP_63: without access logs none can lie in the bucket itself
  for_each = merge(var.lab_projects, { unassigned = { title = "Of no project" } })

  name          = "${var.project_id}-${each.key}"
  location      = var.region
  storage_class = "STANDARD"
  force_destroy = false
  labels        = { lab_project = each.key }

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Not a retention policy: a pipeline writes through a mounted folder, which renames and overwrites while it works.
  # What is overwritten or deleted can be brought back instead.
  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.deleted_files_kept_days * 86400
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      with_state                 = "ARCHIVED"
      days_since_noncurrent_time = var.deleted_files_kept_days
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  # After half a year results are read seldom; the folder cache/ is what people browse, and stays where reading is free.
  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age            = 180
      matches_prefix = ["analyses/", "samples/"]
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84: Google's own keys unless the laboratory gives `kms_key`: a key of one's own is a duty to keep it
  repository_id = "iflow"
  location      = var.region
  format        = "DOCKER"
  description   = "The service's own image, and those of the pipelines"
  kms_key_name  = var.kms_key

  # An analysis of last year must be run again with the image that it names.
  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  cleanup_policies {
    id     = "keep-what-has-a-tag"
    action = "KEEP"
    condition {
      tag_state = "TAGGED"
    }
  }

  cleanup_policies {
    id     = "delete-what-lost-its-tag"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "pulls" {
  for_each = merge(
    { for name, account in google_service_account.jobs : "jobs ${name}" => account },
    { vcf_ingest = google_service_account.service["vcf_ingest"] }, # a large ingest is a job of this image
  )

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = each.value.member
}

# The places of secrets. What is in them never passes through Terraform, whose state would keep it.
locals {
  secrets = toset(flatten([for name, spec in local.services : try(spec.secrets, [])]))

  secret_readers = merge([
    for name, spec in local.services : {
      for secret in try(spec.secrets, []) : "${name} ${secret}" => { service = name, secret = secret }
    }
  ]...)
}

resource "google_secret_manager_secret" "this" {
  for_each = local.secrets

  secret_id           = "iflow-${each.key}"
  deletion_protection = true
  version_destroy_ttl = "604800s" # a version that was destroyed by mistake can be enabled again for a week

  replication {
    user_managed {
      replicas {
        location = var.region

        dynamic "customer_managed_encryption" {
          for_each = var.kms_key == null ? [] : [var.kms_key]

          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "reads" {
  for_each = local.secret_readers

  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.service[each.value.service].member
}
