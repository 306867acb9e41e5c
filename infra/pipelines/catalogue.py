"""The pipelines and price tables that ship, read from the YAML files of this folder."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.domain.errors import Permanent
from shared.domain.pipeline import Pipeline
from shared.domain.prices import PriceTable
from shared.domain.request import reasons_of

FOLDER = Path(__file__).parent
PRICES = "prices.yaml"
Model = TypeVar("Model", bound=BaseModel)


class CatalogueError(Permanent):
    """A definition cannot be used: each line of the message names a file, a field and what is wrong with it."""


class _PriceTables(BaseModel):
    """The form of prices.yaml."""

    model_config = ConfigDict(extra="forbid")

    price_tables: list[PriceTable]


def read_catalogue(folder: Path = FOLDER) -> dict[str, Pipeline]:
    """Every pipeline of `folder` by its key `slug@version`. Raises CatalogueError with all faults of all files."""
    prices = read_price_tables(folder / PRICES)
    pipelines: dict[str, Pipeline] = {}
    faults: list[str] = []
    for file in sorted(folder.glob("*.yaml")):
        if file.name == PRICES:
            continue
        try:
            pipeline = read_pipeline(file)
        except CatalogueError as error:
            faults.append(str(error))
            continue
        faults += _faults_of_set(file, pipeline, pipelines, prices)
        pipelines[pipeline.key] = pipeline
    if faults:
        raise CatalogueError("\n".join(faults))
    return pipelines


def read_pipeline(file: Path) -> Pipeline:
    """One definition. Raises CatalogueError with all its faults."""
    return _read(file, Pipeline)


def read_price_tables(file: Path = FOLDER / PRICES) -> dict[str, PriceTable]:
    """Price tables by name. Raises CatalogueError."""
    return {table.name: table for table in _read(file, _PriceTables).price_tables}


def _faults_of_set(
    file: Path, pipeline: Pipeline, others: Mapping[str, Pipeline], prices: Iterable[str]
) -> Iterator[str]:
    if pipeline.key in others:
        yield f"{file.name}: version: {pipeline.key} stands in another file too"
    if pipeline.price_table not in prices:
        yield f"{file.name}: price_table: {pipeline.price_table} is not in {PRICES}"


def _read(file: Path, model: type[Model]) -> Model:
    try:
        data = strict_yaml(file.read_text())
    except OSError as error:
        raise CatalogueError(f"{file.name}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CatalogueError(f"{file.name}: no valid YAML: {error}") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = (f"{file.name}: {r.field or 'the whole'}: {r.message}" for r in reasons_of(error))
        raise CatalogueError("\n".join(faults)) from None


def strict_yaml(text: str) -> Any:
    """YAML, or JSON, in which no key stands twice. Raises ValueError, with what is wrong in one line."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, where PyYAML keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)
