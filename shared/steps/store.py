"""Read, decide, commit on condition of the version read; on a conflict, begin again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.analysis import Analysis
from shared.domain.errors import Conflict, NotFound
from shared.domain.lifecycle import Advanced, Unchanged
from shared.ports import Documents, Stored, Update
from shared.steps.transitions import log_transitions

ATTEMPTS = 30
"""Conflicts in a row before the event is left to redelivery. Each one means that somebody else got on."""


@dataclass(frozen=True)
class Loaded:
    """An analysis as it stands in the store, with the version that a commit must find."""

    analysis: Analysis
    version: str


def as_stored(loaded: Loaded) -> Stored:
    return Stored(loaded.analysis.doc_path, loaded.analysis.to_document(), loaded.version)


def load(documents: Documents, path: str) -> Loaded:
    """Raises NotFound."""
    stored = documents.get(path)
    if stored is None:
        raise NotFound(f"there is no document {path}")
    return Loaded(Analysis.from_document(stored.data), stored.version)


def decide(
    documents: Documents, path: str, decision: Callable[[Analysis], Advanced | Unchanged], *,
    known: Loaded | None = None,
) -> tuple[Loaded, str | None]:
    """What stands in the store after the decision, and why nothing was written (None when something was).

    `known` saves the first read. Raises NotFound, and Conflict when others kept winning.
    """
    loaded = known or load(documents, path)
    for _ in range(ATTEMPTS):
        answer = decision(loaded.analysis)
        if isinstance(answer, Unchanged):
            return loaded, answer.reason
        try:
            (version,) = documents.commit([Update(path, answer.analysis.to_document(), loaded.version)])
        except Conflict:
            loaded = load(documents, path)
            continue
        log_transitions(loaded.analysis, answer.analysis)
        return Loaded(answer.analysis, version), None
    raise Conflict(path)
