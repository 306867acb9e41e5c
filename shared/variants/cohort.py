"""The cohort copy: of each ingested table a Parquet file of one fixed schema, a row for each allele that a sample
carries, under a hive-style path by project and assembly. BigQuery reads it where it lies (infra/terraform/bigquery.tf),
DuckDB here. docs/decisions/0014-the-cohort-copy.md says why it is a copy.

Columns
    analysis, sample    string   whose allele it is
    chrom, pos, end_pos, ref, alt, key, variant_type, length, rsid, qual   as in schema.py; `end` is a word of SQL
    filter, clinvar     string   the list's values, joined by ;
    gene, gene_id, consequence, impact, transcript, hgvsc, hgvsp, af_max, tier, acmg_class   as in schema.py
    worst_impact_rank   int64    over all transcripts: 3 HIGH, 2 MODERATE, 1 LOW, 0 MODIFIER
    gt, zygosity, dp, gq, vaf    of the sample
    copies              int64    how often the genotype holds the allele
and, from the path, `project` and `assembly`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COHORT_VERSION = 1
FOLDER = f"cohort/v{COHORT_VERSION}/"
INDEX = f"cache/cohort/v{COHORT_VERSION}.json"
MEMORY = "512MB"
ROW_GROUP_ROWS = 200_000

COLUMNS: Mapping[str, tuple[str, str]] = {
    "analysis": ("STRING", "$analysis"), "sample": ("STRING", ""), "chrom": ("STRING", "chrom"),
    "pos": ("INT64", "pos"), "end_pos": ("INT64", '"end"'), "ref": ("STRING", "ref"), "alt": ("STRING", "alt"),
    "key": ("STRING", "key"), "variant_type": ("STRING", "variant_type"), "length": ("INT64", "length"),
    "rsid": ("STRING", "rsid"), "qual": ("FLOAT64", "qual"), "filter": ("STRING", "array_to_string(filters, ';')"),
    "gene": ("STRING", "gene"), "gene_id": ("STRING", "gene_id"), "consequence": ("STRING", "consequence"),
    "impact": ("STRING", "impact"), "worst_impact_rank": ("INT64", "worst_impact_rank"),
    "transcript": ("STRING", "transcript"), "hgvsc": ("STRING", "hgvsc"), "hgvsp": ("STRING", "hgvsp"),
    "af_max": ("FLOAT64", "af_max"), "clinvar": ("STRING", "array_to_string(clinvar, ';')"),
    "tier": ("STRING", "tier"), "acmg_class": ("STRING", "acmg_class"),
    "gt": ("STRING", "{s}_gt"), "zygosity": ("STRING", "{s}_zygosity"),
    "copies": ("INT64", "len(list_filter(string_split_regex({s}_gt, '[/|]'), lambda a: a = allele::VARCHAR))"),
    "dp": ("INT64", "{s}_dp"), "gq": ("FLOAT64", "{s}_gq"), "vaf": ("FLOAT64", "{s}_vaf"),
}
"""Name -> BigQuery's type, and what it is of the variant table (`{s}`: the sample's prefix; empty: its name)."""

_DUCKDB = {"STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE"}

QUESTIONS: Mapping[str, str] = {
    # In how many samples of the laboratory an allele was seen, and how often; $key as in schema.py.
    "allele_count": """
        WITH one AS (
          SELECT assembly, project, sample, max(copies) AS copies, max(zygosity) AS zygosity
          FROM variants WHERE key = $key GROUP BY assembly, project, sample
        )
        SELECT assembly, count(*) AS carriers, sum(copies) AS alleles,
               sum(CASE WHEN zygosity = 'hom_alt' THEN 1 ELSE 0 END) AS homozygous
        FROM one GROUP BY assembly ORDER BY assembly
    """,
    # Who carries a variant of HIGH impact in a gene.
    "carriers_of_high_impact": """
        SELECT assembly, project, sample, key, max(zygosity) AS zygosity, max(hgvsp) AS hgvsp,
               max(consequence) AS consequence, max(af_max) AS af_max
        FROM variants WHERE gene = $gene AND worst_impact_rank = 3
        GROUP BY assembly, project, sample, key ORDER BY assembly, project, sample, key
    """,
    # Alleles that the laboratory has met most, rare elsewhere: artefacts, or founders.
    "common_here_rare_elsewhere": """
        WITH people AS (
          SELECT assembly, count(DISTINCT concat(project, '/', sample)) AS people FROM variants GROUP BY assembly
        ),
        seen AS (
          SELECT assembly, key, max(gene) AS gene, count(DISTINCT concat(project, '/', sample)) AS carriers,
                 max(af_max) AS af_max
          FROM variants GROUP BY assembly, key
        )
        SELECT seen.assembly, seen.key, seen.gene, seen.carriers, people.people, seen.af_max
        FROM seen JOIN people ON seen.assembly = people.assembly
        WHERE seen.carriers >= $least AND coalesce(seen.af_max, 0) < $rare
        ORDER BY seen.carriers DESC, seen.assembly, seen.key
    """,
}
"""In DuckDB's SQL; sqlglot writes it for BigQuery (docs/cohort.md). `variants` is all of the cohort copy."""


def cohort_path(project: str, assembly: str, analysis: str, number: int) -> str:
    """Of one VCF of an analysis, counted from 0; relative to the project bucket."""
    return f"{FOLDER}project={project}/assembly={assembly}/{analysis}-{number}.parquet"


class TableBroken(ValueError):
    """It cannot be read to its end."""


def write_cohort(table: Path, analysis: str, samples: Sequence[str], out: Path) -> None:
    """The cohort copy of a variant table; `samples` are its columns, none of them: no rows. The rows of each sample are
    by position. Raises TableBroken."""
    import duckdb  # here: the reconciler, which calls this once an hour, starts without
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"STRING": pa.string(), "INT64": pa.int64(), "FLOAT64": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, (kind, _) in COLUMNS.items()])
    parameters: dict[str, Any] = {"table": str(table), "analysis": analysis}
    parts = []
    for number, name in enumerate(samples):
        parameters[f"sample{number}"] = name
        prefix = f"s{number}"
        columns = ", ".join(
            f"CAST({expression.format(s=prefix) or f'$sample{number}'} AS {_DUCKDB[kind]}) AS {column}"
            for column, (kind, expression) in COLUMNS.items()
        )
        parts.append(f"SELECT {columns} FROM read_parquet($table) WHERE {prefix}_carries")
    # DuckDB's own writer makes a column REQUIRED where it can prove it, which would be another schema in another file.
    if not parts:
        pq.write_table(schema.empty_table(), out, compression="zstd")
        return
    within: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": str(out.parent)}
    try:
        with duckdb.connect(":memory:", config=within) as connection:
            found = connection.sql(" UNION ALL ".join(parts), params=parameters).to_arrow_reader(ROW_GROUP_ROWS)
            with pq.ParquetWriter(out, schema, compression="zstd") as writer:
                for batch in found:
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    except (duckdb.Error, pa.ArrowInvalid) as error:
        raise TableBroken(f"{table.name}: {error}") from error


def ask(folders: Sequence[Path], question: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One of QUESTIONS over every file in folders that hold what FOLDER holds. Raises KeyError for another one."""
    import duckdb

    sql = QUESTIONS[question]
    files = sorted(str(file) for folder in folders for file in folder.glob("project=*/assembly=*/*.parquet"))
    if not files:
        return []
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY}) as connection:
        variants = "SELECT * FROM read_parquet($files, hive_partitioning = true, hive_types_autocast = false)"
        asked = f"WITH variants AS ({variants}) SELECT * FROM ({sql})"
        found = connection.execute(asked, {**parameters, "files": files})
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def bigquery_schema() -> list[dict[str, str]]:
    """The columns as BigQuery's schema JSON, without those of the path."""
    return [{"name": name, "type": kind, "mode": "NULLABLE"} for name, (kind, _) in COLUMNS.items()]
