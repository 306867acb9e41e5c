"""The project that a request names, and the bucket that its files lie in."""

from __future__ import annotations

from shared.domain import paths
from shared.domain.project import Project
from shared.ports import Order, Ports, Query


def project(ports: Ports, name: str) -> Project | None:
    stored = ports.documents.get(paths.project_doc(name)) if paths.PROJECT_ID.fullmatch(name) else None
    return None if stored is None else Project.from_document(stored.data)


def projects(ports: Ports) -> list[Project]:
    """Every one, in order of id."""
    found = ports.documents.query(Query("projects", order=(Order("id"),), limit=1000)).items
    return [Project.from_document(stored.data) for stored in found]


def bucket_of(ports: Ports, name: str) -> str:
    """What belongs to no project that we know is kept in a bucket of that reserved name."""
    found = project(ports, name)
    return paths.UNASSIGNED if found is None else found.bucket
