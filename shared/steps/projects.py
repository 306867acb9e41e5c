"""The project that a request names, and the bucket that its files lie in."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.order import Order
from shared.domain.project import Project
from shared.ports import Order as By
from shared.ports import Ports, Query, Stored

AT_A_TIME = 200


def project(ports: Ports, name: str) -> Project | None:
    stored = ports.documents.get(paths.project_doc(name)) if paths.PROJECT_ID.fullmatch(name) else None
    return None if stored is None else Project.from_document(stored.data)


def projects(ports: Ports) -> list[Project]:
    """Every one, in order of id."""
    found = ports.documents.query(Query("projects", order=(By("id"),), limit=1000)).items
    return [Project.from_document(stored.data) for stored in found]


def bucket_of(ports: Ports, name: str) -> str:
    """What belongs to no project that we know is kept in a bucket of that reserved name."""
    found = project(ports, name)
    return paths.UNASSIGNED if found is None else found.bucket


def all_analyses(ports: Ports, name: str) -> Iterator[Analysis]:
    """Every one, the newest first."""
    return (Analysis.from_document(stored.data) for stored in _every(ports, paths.analyses(name)))


def all_orders(ports: Ports, name: str) -> Iterator[Order]:
    """Every one, the newest first."""
    return (Order.from_document(stored.data) for stored in _every(ports, paths.orders(name)))


def _every(ports: Ports, collection: str) -> Iterator[Stored]:
    after = None
    while True:
        page = ports.documents.query(
            Query(collection, order=(By("created_at", descending=True),), limit=AT_A_TIME, after=after)
        )
        yield from page.items
        if page.next is None:
            return
        after = page.next
