# Questions over the whole laboratory (docs/cohort.md): BigQuery reads the cohort copies where they lie. Their columns are
# those of shared/variants/cohort.py; project and assembly are folders.
resource "google_bigquery_dataset" "cohort" {
  #checkov:skip=CKV_GCP_81: Google's own keys unless the laboratory gives `kms_key`: a key of one's own is a duty to keep it
  #checkov:skip=CKV_GCP_15: Nobody is given access here, so it stays with the project's own; the plan cannot tell that yet
  dataset_id  = "iflow_cohort"
  location    = var.region
  description = "Alleles and who carries them, of all analyses that are ingested"

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      kms_key_name = default_encryption_configuration.value
    }
  }

  depends_on = [google_project_service.this]
}

# The tables are read as the connection's account, so that who may ask them needs no role on any bucket.
resource "google_bigquery_connection" "cohort" {
  connection_id = "iflow-cohort"
  location      = var.region
  description   = "Reads the cohort copies in the laboratory's buckets"

  cloud_resource {}

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "cohort" {
  for_each = var.lab_projects

  bucket = google_storage_bucket.lab[each.key].name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${google_bigquery_connection.cohort.cloud_resource[0].service_account_id}"

  condition {
    title      = "the cohort copies alone"
    expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.lab[each.key].name}/objects/cohort/\")"
  }
}

resource "google_bigquery_table" "cohort" {
  #checkov:skip=CKV_GCP_80: An external table holds nothing; what it reads is encrypted as the bucket is
  #checkov:skip=CKV_GCP_121: What it is made of lies in the buckets, which cannot be destroyed
  for_each = var.lab_projects

  dataset_id          = google_bigquery_dataset.cohort.dataset_id
  table_id            = "variants_${replace(each.key, "-", "_")}"
  description         = "Alleles that samples of ${each.value.title} carry, one row a sample"
  deletion_protection = false

  external_data_configuration {
    source_format = "PARQUET"
    autodetect    = false
    connection_id = google_bigquery_connection.cohort.name
    source_uris   = ["gs://${google_storage_bucket.lab[each.key].name}/cohort/v1/*"]
    schema        = file("${path.module}/cohort_schema.json")

    hive_partitioning_options {
      mode                     = "CUSTOM"
      source_uri_prefix        = "gs://${google_storage_bucket.lab[each.key].name}/cohort/v1/{project:STRING}/{assembly:STRING}"
      require_partition_filter = false
    }
  }

  depends_on = [google_storage_bucket_iam_member.cohort]
}

# `variants` of the questions in shared/variants/cohort.py.
resource "google_bigquery_table" "cohort_view" {
  #checkov:skip=CKV_GCP_80: A view holds nothing
  #checkov:skip=CKV_GCP_121: A view is its text, which stands here
  dataset_id          = google_bigquery_dataset.cohort.dataset_id
  table_id            = "variants"
  description         = "The tables of all lab projects"
  deletion_protection = false

  view {
    use_legacy_sql = false
    query = join(" UNION ALL ", [
      for key in sort(keys(var.lab_projects)) :
      "SELECT * FROM `${var.project_id}.${google_bigquery_dataset.cohort.dataset_id}.${google_bigquery_table.cohort[key].table_id}`"
    ])
  }
}

resource "google_bigquery_dataset_iam_member" "cohort_readers" {
  for_each = var.cohort_readers

  dataset_id = google_bigquery_dataset.cohort.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.key
}

resource "google_project_iam_member" "cohort_readers" {
  for_each = var.cohort_readers

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = each.key
}
