"""Projects: one tenant each, with a bucket of its own."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from services.miner.auth.guard import projects_of
from services.miner.bodies import NewProject
from services.miner.context import TheBody, TheKey, ThePerson, ThePorts, parse
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented
from shared.domain import paths
from shared.domain.project import Project
from shared.steps.projects import projects
from shared.steps.register import register_project

router = APIRouter(prefix="/projects", tags=["projects"])


class Projects(BaseModel):
    items: list[Project]


@router.post(
    "", status_code=201, openapi_extra=request_body("NewProject", {"id": "demo", "title": "Demo"}),
    responses={200: {"model": Project, "description": "It was there already."}, **documented(400, 409, 413, 422, 503)},
)
def register(_: TheKey, body: TheBody, ports: ThePorts, response: Response) -> Project:
    """Registers a project. The same again is answered with 200; other settings under a known id with 409."""
    project = parse(NewProject, body).project(ports)
    _refuse_a_shared_bucket(project, projects(ports))
    if not register_project(ports, project):
        response.status_code = 200
    return project


@router.get("", responses=documented(503))
def list_projects(person: ThePerson, ports: ThePorts) -> Projects:
    """Those that the caller is a member of, in order of id; for superadmins, every one."""
    return Projects(items=projects_of(ports, person))


def _refuse_a_shared_bucket(project: Project, others: list[Project]) -> None:
    """Two tenants in one bucket would read each other's files."""
    taken = [other.id for other in others if other.bucket == project.bucket and other.id != project.id]
    if taken or project.bucket == paths.UNASSIGNED:
        raise Refusal(409, "bucket-taken", f"The bucket {project.bucket!r} belongs to {taken[0] if taken else 'nobody'}"
                      "; give the project one of its own.")
