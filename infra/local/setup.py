"""What a new state folder is given: the demo project, and the pipelines that ship."""

from __future__ import annotations

from infra.pipelines.catalogue import read_catalogue
from shared.domain.project import Project
from shared.ports import Ports
from shared.runtime import LOCAL_PROJECT
from shared.steps.projects import project as find_project
from shared.steps.register import register_pipeline, register_project

DEMO = "demo"


def register_demo(ports: Ports) -> Project:
    """May be repeated: what is there already stays as it is."""
    project = find_project(ports, DEMO) or Project(
        id=DEMO, title="Demo project", bucket="demo", google_project=LOCAL_PROJECT, region="us-central1",
        created_at=ports.clock(),
    )
    register_project(ports, project)
    for pipeline in read_catalogue().values():
        register_pipeline(ports, DEMO, pipeline, by="infra/pipelines")
    return project
