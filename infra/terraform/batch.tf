# Where jobs run: machines without an address of their own, that reach Google's services and nothing else.

resource "google_compute_network" "batch" {
  name                    = "iflow-batch"
  auto_create_subnetworks = false

  # Otherwise there would be a route to the internet, waiting for somebody's address.
  delete_default_routes_on_create = true

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "batch" {
  name          = "iflow-batch"
  network       = google_compute_network.batch.id
  region        = var.region
  ip_cidr_range = "10.64.0.0/16" # 65,532 machines at once: the quota of machines ends long before

  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# private.googleapis.com; with a VPC Service Controls perimeter, take restricted's 199.36.153.4/30 in its place.
locals {
  google_apis = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]
}

resource "google_compute_route" "google_apis" {
  name             = "iflow-batch-google-apis"
  network          = google_compute_network.batch.id
  dest_range       = "199.36.153.8/30"
  next_hop_gateway = "default-internet-gateway" # the name of the way; private Google access keeps it inside
}

resource "google_dns_managed_zone" "google" {
  for_each = { apis = "googleapis.com.", images = "pkg.dev.", batch-images = "gcr.io." }

  name        = "iflow-${each.key}"
  dns_name    = each.value
  description = "Google's services by their private addresses"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.batch.id
    }
  }
}

resource "google_dns_record_set" "google" {
  for_each = google_dns_managed_zone.google

  managed_zone = each.value.name
  name         = each.value.dns_name
  type         = "A"
  ttl          = 300
  rrdatas      = local.google_apis
}

resource "google_dns_record_set" "google_names" {
  for_each = google_dns_managed_zone.google

  managed_zone = each.value.name
  name         = "*.${each.value.dns_name}"
  type         = "CNAME"
  ttl          = 300
  rrdatas      = [each.value.dns_name]
}

resource "google_compute_firewall" "nothing_in" {
  name        = "iflow-batch-nothing-in"
  description = "Nobody logs in to a job's machine, and jobs do not talk to each other"
  network     = google_compute_network.batch.id
  direction   = "INGRESS"
  priority    = 65000

  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "google_out" {
  name        = "iflow-batch-google-out"
  description = "Batch, Cloud Storage, Artifact Registry and Cloud Logging"
  network     = google_compute_network.batch.id
  direction   = "EGRESS"
  priority    = 1000

  destination_ranges = ["199.36.153.8/30"]

  allow {
    protocol = "tcp"
    ports    = ["443"]
  }
}

resource "google_compute_firewall" "nothing_else_out" {
  name        = "iflow-batch-nothing-else-out"
  description = "A pipeline cannot send a genome anywhere"
  network     = google_compute_network.batch.id
  direction   = "EGRESS"
  priority    = 65000

  destination_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
