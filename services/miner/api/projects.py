"""Projects: one tenant each, with a bucket of its own."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter, Response
from pydantic import BaseModel

from services.miner.bodies import NewProject
from services.miner.context import TheBody, TheKey, ThePorts, parse
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented
from shared.domain import paths
from shared.domain.project import Project
from shared.ports import Order, Ports, Query
from shared.steps.register import register_project

router = APIRouter(prefix="/projects", tags=["projects"])


class Projects(BaseModel):
    items: list[Project]

    @classmethod
    def all(cls, ports: Ports) -> Self:
        found = ports.documents.query(Query("projects", order=(Order("id"),), limit=1000)).items
        return cls(items=[Project.from_document(stored.data) for stored in found])


@router.post(
    "", status_code=201, openapi_extra=request_body("NewProject", {"id": "demo", "title": "Demo"}),
    responses={200: {"model": Project, "description": "It was there already."}, **documented(400, 409, 413, 422, 503)},
)
def register(_: TheKey, body: TheBody, ports: ThePorts, response: Response) -> Project:
    """Registers a project. The same again is answered with 200; other settings under a known id with 409."""
    project = parse(NewProject, body).project(ports)
    _refuse_a_shared_bucket(project, Projects.all(ports).items)
    if not register_project(ports, project):
        response.status_code = 200
    return project


@router.get("", responses=documented(503))
def list_projects(ports: ThePorts) -> Projects:
    """Every project, in order of id."""
    return Projects.all(ports)


def _refuse_a_shared_bucket(project: Project, others: list[Project]) -> None:
    """Two tenants in one bucket would read each other's files."""
    taken = [other.id for other in others if other.bucket == project.bucket and other.id != project.id]
    if taken or project.bucket == paths.UNASSIGNED:
        raise Refusal(409, "bucket-taken", f"The bucket {project.bucket!r} belongs to {taken[0] if taken else 'nobody'}"
                      "; give the project one of its own.")
