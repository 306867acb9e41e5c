"""Projects and pipelines become documents. A pipeline's version, once registered, never changes."""

from __future__ import annotations

from shared.domain import paths
from shared.domain.clock import iso
from shared.domain.errors import Conflict, NotFound, Permanent
from shared.domain.pipeline import Pipeline, definition_digest
from shared.domain.project import Project
from shared.ports import Create, Ports
from shared.steps.projects import project as find_project


class AlreadyRegistered(Permanent):
    """The name is taken by something else."""


def register_project(ports: Ports, project: Project) -> bool:
    """True when it is new, False when it was there already, the same. Raises AlreadyRegistered."""
    if project.id == paths.UNASSIGNED:
        raise AlreadyRegistered(f"{project.id!r} is a reserved name; choose another")
    try:
        ports.documents.commit([Create(paths.project_doc(project.id), project.to_document())])
    except Conflict:
        there = find_project(ports, project.id)
        if there is None or there.model_copy(update={"created_at": project.created_at}) != project:
            raise AlreadyRegistered(f"project {project.id!r} is registered with other settings") from None
        return False
    return True


def register_pipeline(ports: Ports, project: str, pipeline: Pipeline, *, by: str) -> bool:
    """True when it is new, False when that version was there already, the same. Raises AlreadyRegistered, NotFound."""
    if find_project(ports, project) is None:
        raise NotFound(f"there is no project {project!r}")
    path = paths.pipeline_doc(project, pipeline.key)
    digest = definition_digest(pipeline)
    document = {
        "slug": pipeline.slug, "version": pipeline.version, "title": pipeline.title,
        "sort_key": ".".join(f"{part:08d}" for part in pipeline.order), "digest": digest,
        "definition": pipeline.model_dump(mode="json"), "registered_at": iso(ports.clock()), "registered_by": by,
    }
    try:
        ports.documents.commit([Create(path, document)])
    except Conflict:
        stored = ports.documents.get(path)
        if stored is None or stored.data["digest"] != digest:
            raise AlreadyRegistered(
                f"{pipeline.key} is registered with another definition, and a version never changes; "
                "give this one a new version"
            ) from None
        return False
    return True
