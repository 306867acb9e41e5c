"""Orders become documents, once; and what an order draws on is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from shared.domain import paths
from shared.domain.analysis import Analysis, IngestStatus
from shared.domain.errors import Conflict, NotFound
from shared.domain.ingested import columns
from shared.domain.lifecycle import Unchanged
from shared.domain.members import Plan, Source, plan
from shared.domain.order import MOST_SAMPLES, Order, OrderAnswer, OrderRequest, new_order
from shared.domain.order_cache import next_step
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused, Role, Sample
from shared.ports import Create, Documents, Ports, Query, Stored, Update, Where
from shared.ports import Order as By
from shared.steps.ingested import every_file
from shared.steps.projects import project as find_project
from shared.steps.store import ATTEMPTS

PAGE = 50


@dataclass(frozen=True)
class LoadedOrder:
    """An order as it stands in the store, with the version that a commit must find."""

    order: Order
    version: str

    @property
    def stored(self) -> Stored:
        return Stored(self.order.doc_path, self.order.to_document(), self.version)


def load_order(documents: Documents, path: str) -> LoadedOrder:
    """Raises NotFound."""
    stored = documents.get(path)
    if stored is None:
        raise NotFound(f"there is no document {path}")
    return LoadedOrder(Order.from_document(stored.data), stored.version)


def decide_order(
    documents: Documents, path: str, decision: Callable[[Order], OrderAnswer], *, known: LoadedOrder | None = None
) -> tuple[LoadedOrder, str | None]:
    """As `store.decide`, for an order. Raises NotFound, and Conflict when others kept winning."""
    loaded = known or load_order(documents, path)
    for _ in range(ATTEMPTS):
        answer = decision(loaded.order)
        if isinstance(answer, Unchanged):
            return loaded, answer.reason
        try:
            (version,) = documents.commit([Update(path, answer.order.to_document(), loaded.version)])
        except Conflict:
            loaded = load_order(documents, path)
            continue
        return LoadedOrder(answer.order, version), None
    raise Conflict(path)


# -- asking for one -----------------------------------------------------------------------------------------------


def accept_order(ports: Ports, request: OrderRequest, *, source: str) -> LoadedOrder:
    """The request's document, new or found. Raises RequestRefused with every reason.

    Where an analysis has just the cache that is wanted, the order is ready with its first commit.
    """
    for _ in range(ATTEMPTS):
        if found := _already_there(ports, request):
            return found
        order = _checked(ports, request, source)
        claim = paths.claim_doc(order.project, "order", order.slug)
        try:
            versions = ports.documents.commit([
                Create(claim, {"order_id": order.id, "display_id": order.display_id}),
                Create(order.doc_path, order.to_document()),
            ])
        except Conflict:
            _refuse_a_taken_slug(ports, claim, order)
            continue  # another delivery of the same request was faster
        return LoadedOrder(order, versions[1])
    raise Conflict(paths.order_doc(request.project, request.order_id))


def _already_there(ports: Ports, request: OrderRequest) -> LoadedOrder | None:
    stored = ports.documents.get(paths.order_doc(request.project, request.order_id))
    if stored is None:
        return None
    order = Order.from_document(stored.data)
    if order.request_digest != request.digest():
        raise RequestRefused((Reason(
            field="request_id",
            message=f"{request.request_id!r} was used for another request (order {order.display_id!r}); "
            "give every request an id of its own",
        ),))
    return LoadedOrder(order, stored.version)


def _refuse_a_taken_slug(ports: Ports, claim: str, order: Order) -> None:
    owner = ports.documents.get(claim)
    if owner is not None and owner.data["order_id"] != order.id:
        raise RequestRefused((Reason(
            field="display_id",
            message=f"the slug {order.slug!r} of {order.display_id!r} is taken by order "
            f"{owner.data['display_id']!r} ({owner.data['order_id']}); choose another display id",
        ),))


def _checked(ports: Ports, request: OrderRequest, source: str) -> Order:
    project = find_project(ports, request.project)
    if project is None:
        raise RequestRefused((Reason(
            field="project", message=f"there is no project {request.project!r}; register it or mend the name"
        ),))
    analyses = analyses_named(ports, request.project, request.analyses)
    samples = request.samples or _samples_of(ports, analyses)
    order = new_order(request, project, samples, ports.clock(), source=source)
    return settled(ports, order)


def settled(ports: Ports, order: Order) -> Order:
    """`order` with its cache as far as it is known at once. Raises RequestRefused where none can be right."""
    wanted = plan_for(ports, order)
    if wanted.refusal:
        raise RequestRefused((Reason(field="samples", message=wanted.refusal),))
    answer = next_step(order, wanted, "", ports.clock(), ports.rules.policy)
    if isinstance(answer, Unchanged) or answer.order.cache.lease is not None:
        return order  # the event that is committed with it has it built
    return answer.order


def analyses_named(ports: Ports, project: str, ids: tuple[str, ...]) -> list[Analysis]:
    """Raises RequestRefused with a reason for each that is not there."""
    found = {identity: ports.documents.get(paths.analysis_doc(project, identity)) for identity in ids}
    if reasons := tuple(
        Reason(field=f"analyses[{n}]", message=f"there is no analysis {identity!r} in project {project!r}")
        for n, identity in enumerate(ids) if found[identity] is None
    ):
        raise RequestRefused(reasons)
    return [Analysis.from_document(stored.data) for stored in found.values() if stored is not None]


def _samples_of(ports: Ports, analyses: list[Analysis]) -> tuple[Sample, ...]:
    """Those that the analyses ran against, in their roles; of one that named none, its VCFs' columns."""
    samples: dict[str, Sample] = {}
    for analysis in analyses:
        unnamed = () if analysis.samples else columns(every_file(ports, analysis))
        for sample in analysis.samples or [Sample(name=name, role=Role.SAMPLE) for name in unnamed]:
            known = samples.setdefault(sample.name, sample)
            if (known.role, known.sex) != (sample.role, sample.sex):
                raise RequestRefused((Reason(
                    field="samples",
                    message=f"sample {sample.name!r} is {known.role} ({known.sex}) in one analysis and {sample.role} "
                    f"({sample.sex}) in another; name the samples with their roles",
                ),))
    if not samples:
        raise RequestRefused((Reason(
            field="samples", message="the analyses name no samples and have no variants yet; name the samples"
        ),))
    if len(samples) > MOST_SAMPLES:
        raise RequestRefused((Reason(
            field="samples", message=f"the analyses are of {len(samples):,} samples, and an order is of "
            f"{MOST_SAMPLES} at most; name the samples"
        ),))
    return tuple(samples.values())


# -- what an order draws on, and which orders draw on an analysis ---------------------------------------------------


def plan_for(ports: Ports, order: Order) -> Plan:
    """What its cache is to be joined of, as the documents are now."""
    return plan(order.samples, sources(ports, order), by_name=bool(order.by_name))


def sources(ports: Ports, order: Order) -> list[Source]:
    """Those that the order names, those that name the order, and, where it was made of samples alone, those that have
    them."""
    found: dict[str, Analysis] = {}
    here = paths.analyses(order.project)
    for identity in order.analyses:
        if stored := ports.documents.get(paths.analysis_doc(order.project, identity)):
            found[identity] = Analysis.from_document(stored.data)
    newest_first = (By("created_at", descending=True),)
    that_name_it = Query(here, (Where("order_id", "in", order.names),), newest_first, PAGE)
    for stored in (*_all(ports, that_name_it), *_holding(ports, here, "ingest.samples", order.by_name)):
        found.setdefault(stored.id, Analysis.from_document(stored.data))
    return [Source(analysis, every_file(ports, analysis)) for analysis in found.values()]


def orders_of(ports: Ports, analysis: Analysis) -> list[str]:
    """Paths of the orders whose cache this analysis may have to do with."""
    here = paths.orders(analysis.project)
    found: dict[str, None] = {}
    if analysis.order_id and (named := order_named(ports, analysis.project, analysis.order_id)):
        found[named.path] = None
    names = analysis.ingest.samples if analysis.ingest.status is IngestStatus.READY else ()
    drawing = (*_holding(ports, here, "analyses", (analysis.id,)), *_holding(ports, here, "by_name", names))
    found.update(dict.fromkeys(stored.path for stored in drawing))
    return list(found)


def order_named(ports: Ports, project: str, name: str) -> Stored | None:
    """By id, else by the claim of the name's slug."""
    if (stored := ports.documents.get(paths.order_doc(project, paths.safe_id(name)))) is not None:
        return stored
    slug = paths.slug(name)
    claim = ports.documents.get(paths.claim_doc(project, "order", slug)) if slug else None
    return None if claim is None else ports.documents.get(paths.order_doc(project, claim.data["order_id"]))


def _holding(ports: Ports, collection: str, field: str, values: Iterable[str]) -> Iterator[Stored]:
    """Documents whose list `field` holds one of the values."""
    for value in values:
        yield from _all(ports, Query(collection, (Where(field, "array_contains", value),), (), PAGE))


def _all(ports: Ports, query: Query) -> Iterator[Stored]:
    while True:
        page = ports.documents.query(query)
        yield from page.items
        if page.next is None:
            return
        query = Query(query.collection, query.where, query.order, query.limit, page.next)
