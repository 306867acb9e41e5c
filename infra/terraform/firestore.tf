resource "google_firestore_database" "this" {
  name        = var.database
  location_id = coalesce(var.firestore_location, var.region)
  type        = "FIRESTORE_NATIVE"

  # A commit on condition of the version read is all that the service asks for: nothing waits for anybody's lock.
  concurrency_mode = "OPTIMISTIC"

  # Any minute of the last seven days can be read or restored, which a mistaken write needs more than a nightly copy.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"
  deletion_policy                   = "ABANDON"

  dynamic "cmek_config" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      kms_key_name = cmek_config.value
    }
  }

  depends_on = [google_project_service.this]
}

# And beyond the seven days, a copy a day for fourteen weeks, which is the longest that Firestore keeps one.
resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.this.name
  retention = "8467200s"

  daily_recurrence {}
}

resource "google_firestore_index" "composite" {
  for_each = local.composite_indexes

  database    = google_firestore_database.this.name
  collection  = each.value.collection
  query_scope = each.value.scope

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path   = fields.value.path
      order        = fields.value.order
      array_config = fields.value.array
    }
  }
}

resource "google_firestore_field" "this" {
  for_each = local.field_settings

  database   = google_firestore_database.this.name
  collection = split("/", each.key)[0]
  field      = split("/", each.key)[1]

  # Without an entry the field is in no index.
  index_config {
    dynamic "indexes" {
      for_each = each.value

      content {
        query_scope = indexes.value.scope
        order       = indexes.value.order
      }
    }
  }

  dynamic "ttl_config" {
    for_each = contains(keys(local.expiring_fields), each.key) ? [1] : []

    content {}
  }
}
