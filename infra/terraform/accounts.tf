# One account for each deployable of services/, one for the jobs of each lab project, and one that pushes. None has a
# key: the services run as theirs, and nobody else can.

resource "google_service_account" "service" {
  for_each = local.services

  account_id   = "iflow-${replace(each.key, "_", "-")}"
  display_name = "iflow: services/${each.key}"
}

resource "google_service_account" "jobs" {
  for_each = var.lab_projects

  account_id   = "jobs-${each.key}"
  display_name = "iflow: Batch jobs of ${each.value.title}"
}

resource "google_service_account" "push" {
  account_id   = "iflow-push"
  display_name = "iflow: calls the functions with what Pub/Sub has"
}

resource "google_project_iam_member" "service" {
  for_each = local.service_roles

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.service[each.value.service].member

  # Firestore has no policy of its own on a database, so the one on the project says which it is for.
  dynamic "condition" {
    for_each = each.value.role == "roles/datastore.user" ? [1] : []

    content {
      title      = "the database of iflow alone"
      expression = "resource.name == \"projects/${var.project_id}/databases/${var.database}\""
    }
  }
}

resource "google_project_iam_member" "jobs" {
  for_each = {
    for pair in setproduct(keys(var.lab_projects), local.topology.jobs.roles) : join(" ", pair) => pair
  }

  project = var.project_id
  role    = each.value[1]
  member  = google_service_account.jobs[each.value[0]].member
}

resource "google_pubsub_topic_iam_member" "service_publishes" {
  for_each = local.service_publishes

  topic  = google_pubsub_topic.this[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.service[each.value.service].member
}

# Batch publishes a job's notifications as the job's own account.
resource "google_pubsub_topic_iam_member" "jobs_publish" {
  for_each = {
    for pair in setproduct(keys(var.lab_projects), local.topology.jobs.publish) : join(" ", pair) => pair
  }

  topic  = google_pubsub_topic.this[each.value[1]].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.jobs[each.value[0]].member
}

resource "google_pubsub_topic_iam_member" "upstream_publishes" {
  for_each = var.publishers

  topic  = google_pubsub_topic.this["analysis-commands"].id
  role   = "roles/pubsub.publisher"
  member = each.key
}

# Every service works for every lab project; which one a request is about is decided, and checked, by the service.
resource "google_storage_bucket_iam_member" "service" {
  for_each = {
    for pair in setproduct(keys(local.services), concat(keys(var.lab_projects), ["unassigned"])) : join(" ", pair) => pair
  }

  bucket = google_storage_bucket.lab[each.value[1]].name
  role   = local.services[each.value[0]].objects
  member = google_service_account.service[each.value[0]].member
}

# A job sees the bucket of its own lab project and no other.
resource "google_storage_bucket_iam_member" "jobs" {
  for_each = var.lab_projects

  bucket = google_storage_bucket.lab[each.key].name
  role   = local.topology.jobs.objects
  member = google_service_account.jobs[each.key].member
}

# To make a job is to say which account it runs as, and for that one must be allowed to act as it.
resource "google_service_account_iam_member" "runs_jobs_as" {
  for_each = {
    for pair in setproduct([for name, spec in local.services : name if contains(spec.runs_jobs_as, "jobs")], keys(var.lab_projects)) :
    join(" ", pair) => pair
  }

  service_account_id = google_service_account.jobs[each.value[1]].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.service[each.value[0]].member
}

resource "google_service_account_iam_member" "runs_jobs_as_itself" {
  for_each = { for name, spec in local.services : name => spec if contains(spec.runs_jobs_as, "self") }

  service_account_id = google_service_account.service[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.service[each.key].member
}

# signBlob as itself: V4 addresses of objects without a key file.
resource "google_service_account_iam_member" "signs" {
  for_each = { for name, spec in local.services : name => spec if try(spec.signs, false) }

  service_account_id = google_service_account.service[each.key].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.service[each.key].member
}

# Pub/Sub makes the tokens with which it calls the functions, as the push account.
resource "google_service_account_iam_member" "pubsub_makes_push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}
