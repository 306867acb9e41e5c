"""Gene panels become documents, each version once; and are found again."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from shared.domain import panel as domain
from shared.domain import paths
from shared.domain.errors import Conflict, NotFound
from shared.domain.panel import Panel, PanelKind, PanelRegion
from shared.domain.project import Project
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.ports import Create, Order, Ports, Query, Stored, Where


def add_panel(
    ports: Ports, project: Project, name: str, content: bytes, *, kind: PanelKind, source: str, by: str
) -> tuple[Panel, bool]:
    """The panel, and whether this version is new. Raises RequestRefused with line and symbol of each fault."""
    slug = paths.slug(name)
    if not slug:
        raise RequestRefused((Reason(field="name", message=f"{name!r} has an empty slug; use letters a-z or digits"),))
    symbols: tuple[str, ...] = ()
    regions: tuple[PanelRegion, ...] = ()
    if kind is PanelKind.SYMBOLS:
        symbols = domain.symbols_of(content)
    else:
        regions = domain.regions_of(content)
    panel = Panel(
        slug=slug, version=domain.version_of(content), title=name, project=project.id, kind=kind, symbols=symbols,
        regions=len(regions), bases=sum(region.end - region.start for region in regions), source=source,
        content_path=domain.content_path(content), sha256=hashlib.sha256(content).hexdigest(),
        added_at=ports.clock(), added_by=by,
    )
    with suppress(Conflict):  # the very same bytes
        ports.objects.write(project.bucket, panel.content_path, content, if_generation=0)
    try:
        ports.documents.commit([Create(panel.doc_path, panel.to_document())])
    except Conflict:
        there = ports.documents.get(panel.doc_path)
        return Panel.from_document(there.data) if there else panel, False
    return panel, True


def add_from_bucket(
    ports: Ports, project: Project, path: str, *, name: str | None, by: str
) -> tuple[Panel, bool]:
    """Of a list in `client-resources/gene-panels/`. Raises RequestRefused."""
    if problem := paths.problem_with_path(path):
        raise RequestRefused((Reason(field="path", message=problem),))
    if not path.startswith(domain.FOLDER):
        raise RequestRefused((Reason(field="path", message=f"panels are read from {domain.FOLDER}; put {path} there"),))
    seen = ports.objects.stat(project.bucket, path)
    if seen is None:
        raise RequestRefused((Reason(field="path", message=f"missing: {path} is not in the project bucket"),))
    content = ports.objects.read(project.bucket, path, length=domain.LARGEST_BYTES + 1)
    stem = path.rpartition("/")[2].rpartition(".")[0] or path.rpartition("/")[2]
    return add_panel(
        ports, project, name or stem, content, kind=domain.kind_of(path), source=f"{path}#{seen.generation}", by=by
    )


def panel_named(ports: Ports, project: str, name: str) -> Panel:
    """`slug@version`, or `slug` for the version added last. Raises NotFound."""
    slug, at, version = name.partition("@")
    if at:
        stored = ports.documents.get(paths.panel_doc(project, paths.safe_id(f"{paths.slug(slug)}@{version}")))
    else:
        stored = next(iter(panels(ports, project, paths.slug(slug), limit=1)), None)
    if stored is None:
        raise NotFound(f"there is no gene panel {name!r} in project {project!r}; `iflow panels list` shows them")
    return Panel.from_document(stored.data)


def panels(ports: Ports, project: str, slug: str | None = None, *, limit: int = 1000) -> tuple[Stored, ...]:
    """All versions, those added last first."""
    where = (Where("slug", "==", slug),) if slug else ()
    query = Query(paths.panels(project), where, (Order("added_at", descending=True),), limit)
    return ports.documents.query(query).items


def panel_regions(ports: Ports, bucket: str, panel: Panel) -> tuple[PanelRegion, ...]:
    """Of a panel that is a BED file; none of one that is a list of symbols."""
    if panel.kind is PanelKind.SYMBOLS:
        return ()
    return domain.regions_of(ports.objects.read(bucket, panel.content_path))
