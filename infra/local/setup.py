"""What a new state folder is given: the demo project, and the pipelines that ship."""

from __future__ import annotations

from typing import Any

from infra.pipelines.catalogue import read_catalogue
from shared.domain.member import Role
from shared.domain.project import Project
from shared.ports import Ports
from shared.runtime import LOCAL_PROJECT, Settings
from shared.steps.members import member, put_member
from shared.steps.projects import project as find_project
from shared.steps.register import register_pipeline, register_project

DEMO = "demo"


SUPERADMIN = "admin@lab.example"
PEOPLE = {
    SUPERADMIN: Role.ADMIN, "editor@lab.example": Role.EDITOR, "viewer@lab.example": Role.VIEWER,
    "demo@lab.example": Role.DEMO_VIEWER,
}
"""Whom one may be on a local stack, besides anybody else."""


def local_settings(**chosen: Any) -> Settings:
    """As the environment says; without a word about superadmins, it is the demo's."""
    return Settings(**{"superadmins": Settings().superadmins or SUPERADMIN, **chosen})


def register_demo(ports: Ports) -> Project:
    """May be repeated: what is there already stays as it is."""
    project = find_project(ports, DEMO) or Project(
        id=DEMO, title="Demo project", bucket="demo", google_project=LOCAL_PROJECT, region="us-central1",
        created_at=ports.clock(),
    )
    register_project(ports, project)
    for email, role in PEOPLE.items():
        if member(ports.documents, DEMO, email) is None:
            put_member(ports, DEMO, email, role, by="infra/local")
    for pipeline in read_catalogue().values():
        register_pipeline(ports, DEMO, pipeline, by="infra/pipelines")
    return project
