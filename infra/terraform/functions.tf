# Cloud Run services, one for each function, all from one image. They are what a function of the 2nd generation is
# made into; made directly, the image is built once, is the same in every environment, and goes back by its digest.

# What shared/runtime.py reads, `IFLOW_` before each name.
locals {
  settings = {
    IFLOW_BACKEND            = "google"
    IFLOW_GOOGLE_PROJECT     = var.project_id
    IFLOW_REGION             = var.region
    IFLOW_DATABASE           = var.database
    IFLOW_IMAGE              = var.image
    IFLOW_INGEST_ACCOUNT     = google_service_account.service["vcf_ingest"].email
    IFLOW_INGEST_AS_JOB_OVER = tostring(var.largest_function_ingest_bytes)
    IFLOW_BATCH_NETWORK      = google_compute_network.batch.id
    IFLOW_BATCH_SUBNETWORK   = google_compute_subnetwork.batch.id
    IFLOW_PUBLIC_URL         = "https://${var.domain}"
    IFLOW_UNASSIGNED_BUCKET  = google_storage_bucket.lab["unassigned"].name
    IFLOW_TRACE              = "true"
  }
}

resource "google_cloud_run_v2_service" "function" {
  for_each = local.subscriptions

  name     = "iflow-${each.key}"
  location = var.region
  labels   = { service = each.value.service }

  # Pushes of the same project count as internal; nothing else can reach it, whatever token it has.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  invoker_iam_disabled = false
  custom_audiences     = [each.value.audience]
  deletion_protection  = true

  template {
    service_account                  = google_service_account.service[each.value.service].email
    timeout                          = "${each.value.run.timeout_s}s"
    max_instance_request_concurrency = each.value.run.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = var.kms_key
    labels                           = merge(local.labels, { service = each.value.service })

    # More instances than this would only wait for Batch's and Firestore's own limits (docs/deploy.md, quotas).
    scaling {
      min_instance_count = 0
      max_instance_count = each.value.run.max_instances
    }

    containers {
      image   = var.image
      command = ["functions-framework"]
      args    = ["--source=/app/${each.value.source}", "--target=${each.value.target}", "--signature-type=cloudevent"]

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = tostring(each.value.run.cpu), memory = "${each.value.run.memory_mib}Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(local.settings, {
          IFLOW_PUSH_ACCOUNT  = google_service_account.push.email
          IFLOW_PUSH_AUDIENCE = each.value.audience

          # Cloud Run checks a token's signature, and takes it off before it hands the request on.
          IFLOW_PUSH_SIGNATURE = "checked_by_cloud_run"
        })

        content {
          name  = env.key
          value = env.value
        }
      }

      # A secret named some-key is setting IFLOW_SOME_KEY of shared/runtime.py.
      dynamic "env" {
        for_each = toset(try(local.services[each.value.service].secrets, []))

        content {
          name = "IFLOW_${upper(replace(env.key, "-", "_"))}"

          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.this[env.key].secret_id
              version = "latest"
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.this, google_secret_manager_secret_iam_member.reads]
}

# A binding and not a member: whoever was let in by hand is put out again by the next apply.
resource "google_cloud_run_v2_service_iam_binding" "only_push_invokes" {
  for_each = local.subscriptions

  name     = google_cloud_run_v2_service.function[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  members  = [google_service_account.push.member]
}
