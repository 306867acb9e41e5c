# The pages and the API: services/miner behind an HTTPS load balancer. Cloud Armor turns away what is no visitor,
# Identity-Aware Proxy whoever is not of the laboratory; the service itself then decides by project and role.

locals {
  web = local.services.miner
}

resource "google_cloud_run_v2_service" "web" {
  name     = "iflow-web"
  location = var.region
  labels   = { service = "miner" }

  # The service's own address would be a way around the load balancer, and with it around IAP.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = false
  deletion_protection  = true

  template {
    service_account                  = google_service_account.service["miner"].email
    timeout                          = "${local.web.run.timeout_s}s"
    max_instance_request_concurrency = local.web.run.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = var.kms_key
    labels                           = merge(local.labels, { service = "miner" })

    # One stays warm: a person waits for it.
    scaling {
      min_instance_count = 1
      max_instance_count = local.web.run.max_instances
    }

    containers {
      image   = var.image
      command = ["uvicorn"]
      args = [
        "services.miner.app:create_service", "--factory", "--host=0.0.0.0", "--port=8080", "--no-access-log",
        "--timeout-graceful-shutdown=5", # a live stream would go on for ever
      ]

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = tostring(local.web.run.cpu), memory = "${local.web.run.memory_mib}Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      startup_probe {
        http_get {
          path = "/healthz"
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, {
          IFLOW_IAP_AUDIENCE   = var.iap_audience
          IFLOW_SUPERADMINS    = join(",", var.superadmins)
          IFLOW_PROXIES_BEFORE = "2" # the load balancer adds the visitor's address, and its own
        })

        content {
          name  = env.key
          value = env.value
        }
      }

      # A secret named some-key is setting IFLOW_SOME_KEY of shared/runtime.py.
      dynamic "env" {
        for_each = toset(try(local.web.secrets, []))

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

  depends_on = [google_secret_manager_secret_iam_member.reads]
}

resource "google_cloud_run_v2_service_iam_binding" "only_iap_invokes" {
  name     = google_cloud_run_v2_service.web.name
  location = var.region
  role     = "roles/run.invoker"
  members  = [local.iap_agent]
}

resource "google_compute_region_network_endpoint_group" "web" {
  name                  = "iflow-web"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.web.name
  }
}

resource "google_compute_backend_service" "web" {
  name                  = "iflow-web"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.web.id

  backend {
    group = google_compute_region_network_endpoint_group.web.id
  }

  iap {
    enabled = true
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_iap_web_backend_service_iam_binding" "visitors" {
  web_backend_service = google_compute_backend_service.web.name
  role                = "roles/iap.httpsResourceAccessor"
  members             = var.iap_members
}

# The rules' numbers are their order. Google's own rule sets at level 1 find few things that are not there; levels above
# take pipelines' JSON for attacks.
resource "google_compute_security_policy" "web" {
  name        = "iflow-web"
  description = "In front of the pages and the API"

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable = true
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 100
    description = "Log4Shell and its kind"

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  dynamic "rule" {
    for_each = {
      110 = "scannerdetection-v33-stable"
      120 = "protocolattack-v33-stable"
      130 = "sqli-v33-stable"
      140 = "xss-v33-stable"
      150 = "lfi-v33-stable"
      160 = "rce-v33-stable"
    }

    content {
      action      = "deny(403)"
      priority    = rule.key
      description = rule.value

      match {
        expr {
          expression = "evaluatePreconfiguredWaf('${rule.value}', {'sensitivity': 1})"
        }
      }
    }
  }

  # The default: anybody, up to 1,200 requests a minute. A page with its parts is ten; a script of a bioinformatician
  # that lists and downloads is some hundred.
  rule {
    action      = "throttle"
    priority    = 2147483647
    description = "as many as a person or an honest script sends"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = 1200
        interval_sec = 60
      }
    }
  }
}

resource "google_compute_global_address" "web" {
  name = "iflow-web"

  depends_on = [google_project_service.this]
}

resource "google_compute_managed_ssl_certificate" "web" {
  name = "iflow-web"

  managed {
    domains = [var.domain]
  }
}

resource "google_compute_ssl_policy" "web" {
  name            = "iflow-web"
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_url_map" "web" {
  name            = "iflow-web"
  default_service = google_compute_backend_service.web.id
}

resource "google_compute_target_https_proxy" "web" {
  name             = "iflow-web"
  url_map          = google_compute_url_map.web.id
  ssl_certificates = [google_compute_managed_ssl_certificate.web.id]
  ssl_policy       = google_compute_ssl_policy.web.id
}

resource "google_compute_global_forwarding_rule" "web" {
  name                  = "iflow-web"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.web.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.web.id
}

# Whoever types the name without https:// is sent on, and nothing is served there.
resource "google_compute_url_map" "to_https" {
  name = "iflow-to-https"

  default_url_redirect {
    https_redirect         = true
    strip_query            = false
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
  }
}

resource "google_compute_target_http_proxy" "to_https" {
  name    = "iflow-to-https"
  url_map = google_compute_url_map.to_https.id
}

resource "google_compute_global_forwarding_rule" "to_https" {
  name                  = "iflow-to-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.web.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.to_https.id
}
