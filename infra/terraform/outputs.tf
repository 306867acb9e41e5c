output "web_address" {
  description = "The A record of `domain`: the certificate is made once it points here."
  value       = google_compute_global_address.web.address
}

output "images" {
  description = "Where the service's and the pipelines' images are pushed."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "lab_projects" {
  description = "What `iflow projects register` wants to know of each lab project."
  value = {
    for id in keys(var.lab_projects) : id => {
      bucket          = google_storage_bucket.lab[id].name
      google_project  = var.project_id
      region          = var.region
      service_account = google_service_account.jobs[id].email
    }
  }
}

output "batch_network" {
  description = "Network and subnetwork of every job's allocation policy; its machines have no external address."
  value = {
    network    = google_compute_network.batch.id
    subnetwork = google_compute_subnetwork.batch.id
  }
}

output "functions" {
  description = "Each subscription's function: where it is pushed to, and what the token is made out to."
  value = {
    for name, spec in local.subscriptions : name => {
      uri      = google_cloud_run_v2_service.function[name].uri
      audience = spec.audience
    }
  }
}
