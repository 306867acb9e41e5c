"""Where a pipeline writes its own classification of a variant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class AnnotationMapping:
    """Each is the name of an INFO key, or of a field of CSQ, ANN or BCSQ where no such key is in a record.

    tier        AMP/ASCO/CAP tier; read by `clinical.tier`
    acmg_class  ACMG/AMP class; read by `clinical.acmg_class`
    gene        the gene that the pipeline reports the variant for; it goes before the chosen transcript's
    """

    tier: str | None = None
    acmg_class: str | None = None
    gene: str | None = None

    @property
    def digest(self) -> str:
        """Part of a table's name: 12 hex digits, empty where nothing is mapped."""
        if self == AnnotationMapping():
            return ""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


NOTHING_MAPPED = AnnotationMapping()
