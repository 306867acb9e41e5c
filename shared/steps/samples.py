"""Samples become documents, each name once; and what lies in their folder and who used them is found."""

from __future__ import annotations

from shared.domain import paths
from shared.domain.errors import Conflict
from shared.domain.listed import sample_word
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.domain.sample import KnownSample, SampleRequest, Stated, new_sample, restated
from shared.ports import Create, Documents, Order, Ports, Query, Stored, Update, Where
from shared.steps.register import AlreadyRegistered
from shared.steps.store import ATTEMPTS


def sample_named(documents: Documents, project: str, name: str) -> Stored | None:
    """By its slug or its name."""
    slug = paths.slug(name)
    return documents.get(paths.sample_doc(project, slug)) if slug else None


def register_sample(
    ports: Ports, project: str, request: SampleRequest, *, key: str | None, by: str
) -> tuple[Stored, bool]:
    """The sample's document, and whether it is new. A `key` that is repeated repeats nothing.

    Raises AlreadyRegistered for a name whose slug is taken, RequestRefused for a key that was used for another sample.
    """
    sample = new_sample(request, project, ports.clock(), by=by)
    data, keyed = sample.to_document(), None
    writes = [Create(sample.doc_path, data)]
    if key is not None:
        keyed = paths.claim_doc(project, "sample-request", paths.safe_id(key))
        writes.append(Create(keyed, {"slug": sample.slug, "digest": request.digest()}))
    try:
        versions = ports.documents.commit(writes)
    except Conflict:
        return _that_is_there(ports.documents, sample, request.digest(), keyed), False
    return Stored(sample.doc_path, data, versions[0]), True


def _that_is_there(documents: Documents, sample: KnownSample, digest: str, keyed: str | None) -> Stored:
    claim = documents.get(keyed) if keyed else None
    if claim is not None and claim.data["digest"] != digest:
        raise RequestRefused((Reason(
            field="request_id", message=f"the Idempotency-Key was used for another request (sample "
            f"{claim.data['slug']!r}); give every request a key of its own",
        ),))
    stored = documents.get(sample.doc_path)
    if stored is None:
        raise Conflict(sample.doc_path)  # it was there a moment ago
    if claim is None:
        raise AlreadyRegistered(
            f"the slug {sample.slug!r} of {sample.name!r} is taken by sample {stored.data['name']!r}, which "
            f"{stored.data['created_by']} registered"
        )
    return stored


def state_anew(ports: Ports, known: Stored, wanted: Stated, *, by: str, only_if_same: bool) -> Stored:
    """The sample with what was given. Raises Conflict where it was changed meanwhile and `only_if_same`."""
    for _ in range(ATTEMPTS):
        changed = restated(KnownSample.from_document(known.data), wanted, ports.clock(), by=by)
        if changed is None:
            return known
        data = changed.to_document()
        try:
            (version,) = ports.documents.commit([Update(known.path, data, known.version)])
        except Conflict:
            if only_if_same or (read := ports.documents.get(known.path)) is None:
                raise
            known = read
            continue
        return Stored(known.path, data, version)
    raise Conflict(known.path)


def analyses_of(documents: Documents, sample: KnownSample, *, limit: int) -> tuple[Stored, ...]:
    """That ran against a sample of this name, the newest first."""
    return _of(documents, paths.analyses(sample.project), sample, limit)


def orders_of(documents: Documents, sample: KnownSample, *, limit: int) -> tuple[Stored, ...]:
    """That are of a sample of this name, the newest first."""
    return _of(documents, paths.orders(sample.project), sample, limit)


def _of(documents: Documents, collection: str, sample: KnownSample, limit: int) -> tuple[Stored, ...]:
    named = (Where("listed.find", "array_contains", sample_word(sample.name)),)
    return documents.query(Query(collection, named, (Order("created_at", descending=True),), limit)).items
