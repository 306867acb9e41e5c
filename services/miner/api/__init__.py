"""One file per resource, each a router under /api/v1."""
