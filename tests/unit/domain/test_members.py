"""Which column is which sample of an order."""

from __future__ import annotations

import random

import pytest

from shared.domain.analysis import Analysis, Ingest, IngestStatus, Status
from shared.domain.members import MOST_COLUMNS, Plan, Source, members_of, plan
from shared.domain.request import Role, Sample, Sex
from tests.builders import an_analysis, ingested

PROBAND = Sample(name="S1", role=Role.PROBAND, sex=Sex.MALE)
MOTHER = Sample(name="S2", role=Role.MOTHER, sex=Sex.FEMALE)
FATHER = Sample(name="S3", role=Role.FATHER, sex=Sex.MALE)
TRIO = (PROBAND, MOTHER, FATHER)


def planned(samples: tuple[Sample, ...], *analyses: Analysis, by_name: bool = False) -> Plan:
    return plan(samples, [Source(each, each.ingest.files) for each in analyses], by_name=by_name)


@pytest.mark.parametrize("columns", [("S1", "S2", "S3"), ("S3", "S1", "S2"), ("S2", "S3", "S1")])
def test_roles_are_right_whatever_the_order_of_the_columns(columns: tuple[str, ...]) -> None:
    """C53: never a genotype under a wrong role."""
    found = planned(TRIO, ingested("trio", *columns))
    assert [(m.name, m.role, m.sex, columns[m.column]) for m in found.members] == [
        ("S1", Role.PROBAND, Sex.MALE, "S1"), ("S2", Role.MOTHER, Sex.FEMALE, "S2"), ("S3", Role.FATHER, Sex.MALE, "S3")
    ]
    assert (found.missing, found.refusal, found.rows, found.assembly) == ((), None, 3, "GRCh38")


def test_a_sample_without_a_column_beside_a_column_without_a_sample_is_refused_with_both_sets() -> None:
    """C53."""
    found = planned((PROBAND, MOTHER), ingested("duo", "S1", "S3"))
    assert found.refusal is not None
    assert "samples S1, S2" in found.refusal and "columns S1, S3" in found.refusal


def test_an_analysis_that_is_still_to_come_may_have_the_sample() -> None:
    """C49 (c): what there is makes a cache, and the missing sample is named with the reason."""
    coming = an_analysis(request_id="mother", display_id="Mother", samples=[MOTHER.model_dump()])
    found = planned((PROBAND, MOTHER), ingested("duo", "S1", "S3"), coming)
    assert found.refusal is None
    assert [member.name for member in found.members] == ["S1"]
    assert [(m.name, m.reason) for m in found.missing] == [("S2", "analysis 'Mother' is queued")]


@pytest.mark.parametrize(("status", "ingest", "reason"), [
    (Status.FAILED, Ingest(), "analysis 'M' is failed"),
    (Status.SUCCEEDED, Ingest(status=IngestStatus.NOT_APPLICABLE), "analysis 'M' left no VCF"),
    (Status.SUCCEEDED, Ingest(status=IngestStatus.FAILED, failure="cut off at line 3"),
     "the ingest of analysis 'M' is failed: cut off at line 3"),
    (Status.SUCCEEDED, Ingest(status=IngestStatus.RUNNING), "the ingest of analysis 'M' is running"),
])
def test_why_a_sample_is_missing(status: Status, ingest: Ingest, reason: str) -> None:
    """C49 (a), (c)."""
    there = an_analysis(request_id="m", display_id="M", samples=[MOTHER.model_dump()])
    found = planned((PROBAND, MOTHER), ingested("p", "S1"), there.changed(status=status, ingest=ingest))
    assert [(m.name, m.reason) for m in found.missing] == [("S2", reason)]


def test_of_a_sample_that_no_analysis_has_nothing_is_made_up() -> None:
    found = planned((PROBAND, MOTHER), ingested("p", "S1"))
    assert [m.reason for m in found.missing] == ["no analysis has a VCF with a column of that name"]
    assert found.refusal is None


def test_a_rerun_takes_the_place_of_the_run_before_it_and_another_pipeline_stands_beside_it() -> None:
    first, again = ingested("first", "S1"), ingested("again", "S1", minutes=5)
    copies = ingested("copies", "S1", minutes=1)
    copies = copies.changed(pipeline=copies.pipeline.model_copy(update={"slug": "copy-numbers"}))
    shuffled = [first, again, copies]
    random.Random(3).shuffle(shuffled)
    found = planned((PROBAND,), *shuffled)
    assert {member.analysis for member in found.members} == {again.id, copies.id}


def test_a_rerun_that_is_not_ingested_yet_takes_no_place() -> None:
    first = ingested("first", "S1")
    again = ingested("again", "S1", minutes=5).changed(ingest=Ingest(status=IngestStatus.RUNNING))
    assert [member.analysis for member in planned((PROBAND,), first, again).members] == [first.id]


def test_found_by_name_the_columns_of_others_say_nothing() -> None:
    found = planned((PROBAND, MOTHER), ingested("cohort", "S1", "S7", "S8"), by_name=True)
    assert found.refusal is None and [m.name for m in found.missing] == ["S2"]


def test_tables_of_two_assemblies_are_not_joined() -> None:
    old = ingested("old", "S2")
    file = old.ingest.files[0].model_copy(update={"assembly": "GRCh37"})
    old = old.changed(ingest=old.ingest.model_copy(update={"files": (file,)}))
    found = planned((PROBAND, MOTHER), ingested("new", "S1"), old)
    assert found.refusal is not None and "GRCh37, GRCh38" in found.refusal


def test_an_analysis_alone_has_its_columns_in_the_roles_it_was_asked_for() -> None:
    alone = ingested("trio", "S2", "S1", "X", samples=(PROBAND, MOTHER))
    found = members_of(Source(alone, alone.ingest.files))
    assert [(m.name, m.role, m.column) for m in found.members] == [
        ("S2", Role.MOTHER, 0), ("S1", Role.PROBAND, 1), ("X", Role.SAMPLE, 2)
    ]


def test_of_a_whole_population_the_sites_are_read_and_nobodys_columns() -> None:
    names = tuple(f"P{n}" for n in range(MOST_COLUMNS + 1))
    crowd = ingested("crowd", *names)
    assert [(m.name, m.column) for m in members_of(Source(crowd, crowd.ingest.files)).members] == [("", None)]
    assert [m.column for m in planned((Sample(name="P7"),), crowd).members] == [7]
