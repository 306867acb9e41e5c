# infra/topology.yaml is the single source; here it becomes what the resources iterate over. That this says the same as
# shared/topology.py is checked by tests/unit/terraform/test_topology_agrees.py.

locals {
  topology = yamldecode(file("${path.module}/../topology.yaml"))

  labels = {
    app         = "iflow"
    environment = var.environment
    managed_by  = "terraform"
  }

  topics = local.topology.topics

  subscriptions = {
    for name, spec in local.topology.subscriptions : name => merge(spec, {
      # services.status_tracker.main:track -> status_tracker, services/status_tracker/main.py, track
      service = split(".", spec.function)[1]
      source  = "${replace(split(":", spec.function)[0], ".", "/")}.py"
      target  = split(":", spec.function)[1]

      filter = length(spec.types) > 0 ? join(" OR ", [
        for type in spec.types : "attributes.type = \"${type}\""
        ]) : join(" AND ", [
        for type in try(spec.not_types, []) : "NOT attributes.type = \"${type}\""
      ])

      # What a push's token is made out to, and the service accepts. It is not the service's address, which would
      # have to be known before the service is made.
      audience = "iflow-${name}"
    })
  }

  dead_lettered = { for name, spec in local.subscriptions : name => spec if spec.max_attempts != null }

  # Whole minutes, as topology.py demands: an hour's cron field cannot say more than 59.
  schedules = {
    for name, spec in local.topology.schedules : name => merge(spec, { cron = "*/${spec.every_s / 60} * * * *" })
  }

  services = local.topology.services

  # One grant a key, so that each stands in the plan by itself and goes without moving the others.
  service_roles = merge([
    for name, spec in local.services : { for role in spec.roles : "${name} ${role}" => { service = name, role = role } }
  ]...)

  service_publishes = merge([
    for name, spec in local.services : { for topic in spec.publish : "${name} ${topic}" => { service = name, topic = topic } }
  ]...)

  # ---- Firestore ----------------------------------------------------------------------------------------------------
  # Of a list, an index for each order, alone and behind each field that an equality is on.
  listed_indexes = flatten([
    for list in local.topology.lists : [
      for order in list.orders : [
        for first in concat([[]], [for field in list.equal : [field] if split(" ", field)[0] != split(" ", order[0])[0]]) :
        { collection = list.collection, fields = concat(first, order) }
      ]
    ]
  ])

  # `fields: [status, created_at desc]`, group or not, as one name for each. What a list has, too, is the same one.
  indexes = merge([
    for index in concat(local.topology.indexes, local.listed_indexes) : {
      (join(" ", concat([index.collection], try(index.group, false) ? ["group"] : [], index.fields))) = {
        collection = index.collection
        scope      = try(index.group, false) ? "COLLECTION_GROUP" : "COLLECTION"
        fields = [
          for field in index.fields : {
            path  = split(" ", field)[0]
            order = endswith(field, " contains") ? null : endswith(field, " desc") ? "DESCENDING" : "ASCENDING"
            array = endswith(field, " contains") ? "CONTAINS" : null
          }
        ]
      }
    }
  ]...)

  # Firestore refuses a composite index of one field: those are settings of the field, of which it makes the ones of
  # scope COLLECTION by itself, unless the field (or what it lies in) is exempt.
  composite_indexes = { for name, index in local.indexes : name => index if length(index.fields) > 1 }
  single_indexes    = [for index in local.indexes : index if length(index.fields) == 1]

  exempt_fields = toset(flatten([
    for exemption in local.topology.exemptions : [for field in exemption.fields : "${exemption.collection}/${field}"]
  ]))

  expiring_fields = { for rule in local.topology.ttl : "${rule.collection}/${rule.field}" => rule }

  asked_in_groups = toset([
    for index in local.single_indexes : "${index.collection}/${index.fields[0].path}" if index.scope == "COLLECTION_GROUP"
  ])

  asked_inside_exempt = toset([
    for index in local.single_indexes : "${index.collection}/${index.fields[0].path}"
    if anytrue([for exempt in local.exempt_fields : startswith("${index.collection}/${index.fields[0].path}", "${exempt}.")])
  ])

  # What is said of a field replaces all that Firestore would do by itself, so those say both directions, too.
  automatic = [{ scope = "COLLECTION", order = "ASCENDING" }, { scope = "COLLECTION", order = "DESCENDING" }]

  field_settings = merge(
    { for field in local.exempt_fields : field => [] },
    { for field in keys(local.expiring_fields) : field => [] },
    {
      for field in setunion(local.asked_in_groups, local.asked_inside_exempt) : field => concat(local.automatic, [
        for index in local.single_indexes : { scope = index.scope, order = index.fields[0].order }
        if index.scope == "COLLECTION_GROUP" && "${index.collection}/${index.fields[0].path}" == field
      ])
    },
  )
}
