# The state lies in a bucket of its own (docs/deploy.md makes it): terraform init -backend-config="bucket=..."
terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50" # the schema that the tests check against is 6.50.0
    }
  }

  backend "gcs" {
    prefix = "iflow"
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  # On everything that takes labels, so that the bill can be split. What a job costs is labelled by the job itself:
  # analysis, project and pipeline (shared/domain/acceptance.py).
  default_labels = local.labels
}
