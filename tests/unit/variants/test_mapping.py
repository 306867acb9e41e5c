"""A pipeline's own fields of classification are part of what a table is named by."""

from __future__ import annotations

import hashlib
import json

from services.vcf_ingest.work import _mapping
from shared.domain.pipeline import definition_digest
from shared.variants.mapping import NOTHING_MAPPED, AnnotationMapping
from tests.builders import a_pipeline, an_analysis


def test_tables_of_another_mapping_have_another_name() -> None:
    mappings = [AnnotationMapping(*said) for said in ((), ("AMP",), (None, "AMP"), (None, None, "AMP"))]
    assert NOTHING_MAPPED.digest == ""
    assert len({mapping.digest for mapping in mappings}) == len(mappings)


def test_a_definition_without_the_block_keeps_the_digest_that_it_had() -> None:
    pipeline = a_pipeline()
    before = pipeline.model_dump(mode="json", exclude={"annotations", "reference"})
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert definition_digest(pipeline) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    assert definition_digest(a_pipeline(reference="ref.fa")) != definition_digest(pipeline)
    assert definition_digest(a_pipeline(annotations={"tier": "AMP"})) != definition_digest(pipeline)


def test_the_mapping_is_that_of_the_definition_that_ran() -> None:
    analysis = an_analysis()
    said = a_pipeline(annotations={"tier": "AMP", "gene": "SYMBOL"}).model_dump(mode="json")
    run = analysis.pipeline.model_copy(update={"definition": said})
    assert _mapping(analysis.model_copy(update={"pipeline": run})) == AnnotationMapping("AMP", None, "SYMBOL")
    assert _mapping(analysis) == NOTHING_MAPPED
