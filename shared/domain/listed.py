"""What lists find an analysis by, written into its document with every change of it: pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.domain.part import Part

if TYPE_CHECKING:
    from shared.domain.analysis import Analysis

PIECE = 3
"""Characters. A text is found by one of its pieces, which Firestore has in an index, and then looked for whole."""


class Listed(Part):
    """`find` are words that a document is found by: pieces of its slug, and its samples. `cost` is that of the metrics,
    here since a document without one would be in no list sorted by it. `attention`: somebody should look at it."""

    find: tuple[str, ...] = ()
    cost: float | None = None
    attention: bool = False


def listed(analysis: Analysis) -> Listed:
    cost = analysis.metrics.cost
    return Listed(
        find=(*pieces(analysis.slug), *dict.fromkeys(sample_word(sample.name) for sample in analysis.samples)),
        cost=cost.amount if cost else None,
        attention=_needs_attention(analysis),
    )


def sample_word(name: str) -> str:
    return f"sample:{name}"


def piece_word(part_of_slug: str) -> str | None:
    """The one word by which to look for a part of a slug: of its pieces the last with the most digits, as the fewest
    have it. None for what is too short."""
    found = [part_of_slug[start:start + PIECE] for start in range(len(part_of_slug) - PIECE + 1)]
    return max(reversed(found), key=lambda piece: sum(map(str.isdigit, piece)), default=None)


def pieces(slug: str) -> Iterable[str]:
    """What a part of a slug is looked for by, each once."""
    return dict.fromkeys(slug[start:start + PIECE] for start in range(len(slug) - PIECE + 1))


def _needs_attention(analysis: Analysis) -> bool:
    """It failed, or its ingest did, or it is stuck, or Batch has not confirmed that it is cancelled."""
    unconfirmed = analysis.cancel_requested is not None and not analysis.status.final
    failed = analysis.status == "failed" or analysis.ingest.status == "failed"
    return failed or analysis.stuck is not None or unconfirmed
