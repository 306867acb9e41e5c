variable "project_id" {
  description = "Google project that everything is made in; it must exist and have a billing account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project id has 6 to 30 characters: lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "environment" {
  description = "What the labels and the alerts call this installation."
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.environment))
    error_message = "Lower-case letters, digits and hyphens: it becomes a label."
  }
}

variable "region" {
  description = "Where services, jobs, buckets and messages are. Patient data does not leave it."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region such as europe-west3, and not a zone or a multi-region."
  }
}

variable "firestore_location" {
  description = "Location of the database, for ever; null for `region`."
  type        = string
  default     = null
}

variable "database" {
  description = "Name of the Firestore database."
  type        = string
  default     = "(default)"
}

variable "image" {
  description = "The container image of this release, by digest: a tag could become another image between plan and start."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Give the image by digest: REGION-docker.pkg.dev/PROJECT/iflow/iflow@sha256:..."
  }
}

variable "lab_projects" {
  description = "The laboratory's projects (tenants) by id: each gets a bucket and an account for its jobs."
  type        = map(object({ title = string }))

  validation {
    # The account's name is `jobs-{id}`, and an account's name has at most 30 characters.
    condition     = alltrue([for id in keys(var.lab_projects) : can(regex("^[a-z][a-z0-9-]{1,23}[a-z0-9]$", id))])
    error_message = "An id has 3 to 25 characters: lower-case letters, digits and hyphens, beginning with a letter."
  }

  validation {
    condition     = !contains(keys(var.lab_projects), "unassigned")
    error_message = "`unassigned` is where the service keeps what names no project."
  }
}

variable "domain" {
  description = "Name under which the pages and the API are reached; its A record is output `web_address`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+\\.[a-z]+$", var.domain))
    error_message = "A host name such as iflow.lab.example."
  }
}

variable "iap_members" {
  description = "Who may pass Identity-Aware Proxy: `group:...`, `user:...`, `serviceAccount:...`. What each may do then, the service decides."
  type        = set(string)

  validation {
    condition     = alltrue([for member in var.iap_members : can(regex("^(group|user|serviceAccount):.+@.+$", member))])
    error_message = "Named groups, users and service accounts only; never allUsers, allAuthenticatedUsers or a whole domain."
  }
}

variable "iap_audience" {
  description = "For whom IAP's signed header is meant: /projects/NUMBER/global/backendServices/ID. The ID is known after the first apply (docs/deploy.md); until then nobody gets in."
  type        = string
  default     = ""
}

variable "superadmins" {
  description = "E-mail addresses of who may everything in every project."
  type        = set(string)
  default     = []
}

variable "publishers" {
  description = "Upstream services that may publish to analysis-commands, as IAM members."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.publishers : startswith(member, "serviceAccount:")])
    error_message = "Service accounts only."
  }
}

variable "alert_emails" {
  description = "Who is told when an alert opens."
  type        = set(string)

  validation {
    condition     = length(var.alert_emails) > 0
    error_message = "An alert that nobody receives is none."
  }
}

variable "billing_account" {
  description = "Billing account for the budget, such as 012345-6789AB-CDEF01; null makes none (the right to make one is on the account, not on the project)."
  type        = string
  default     = null
}

variable "monthly_budget" {
  description = "Amount of a month in the billing account's currency, told about at 50, 90 and 100 %."
  type        = number
  default     = 1000

  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "A whole number of at least 1."
  }
}

variable "kms_key" {
  description = "Cloud KMS key for buckets, topics, images and secrets; null for Google's own keys. The service agents must be allowed to use it before (docs/deploy.md)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/.+/locations/.+/keyRings/.+/cryptoKeys/.+$", var.kms_key))
    error_message = "projects/P/locations/L/keyRings/R/cryptoKeys/K"
  }
}

variable "deleted_files_kept_days" {
  description = "For how long a deleted or overwritten file of a bucket can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.deleted_files_kept_days >= 7 && var.deleted_files_kept_days <= 90
    error_message = "7 to 90 days, as Cloud Storage's soft delete allows."
  }
}

variable "audit_logs_kept_days" {
  description = "For how long it is kept who read and wrote what. The law of the laboratory's country decides."
  type        = number
  default     = 3650

  validation {
    condition     = var.audit_logs_kept_days >= 400
    error_message = "At least 400 days."
  }
}

variable "largest_function_ingest_bytes" {
  description = "An analysis with more bytes of VCF than this is ingested by a Batch job, since a function has minutes."
  type        = number
  default     = 50000000
}

variable "cohort_readers" {
  description = "Who may ask the cohort tables, such as group:research@lab.example: they see the variants of every lab project."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.cohort_readers : can(regex("^(user|group|serviceAccount):[^@ ]+@[^@ ]+$", member))])
    error_message = "user:, group: or serviceAccount: with an address; whole domains and the public may not read patients' data."
  }
}
