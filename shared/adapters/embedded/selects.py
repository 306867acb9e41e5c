"""Queries as SQL: field names are checked, values are always parameters."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from shared.adapters.embedded.columns import NULL, SEPARATOR, table_of
from shared.ports import Query

_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_COMPARE = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

Sql = tuple[str, list[Any]]


class _Select:
    """What both forms have in common: conditions, order with its tie-break, and the place behind which to begin."""

    table = "documents"

    def __init__(self, query: Query) -> None:
        self._query = query
        self._scope, _, self._family = query.collection.rpartition("/")
        self._tie = "path" if self._scope == "*" else "id"
        """Ids are unique in one collection only; in a group it takes the whole path to tell two documents apart."""

    def column(self, field: str) -> str:
        raise NotImplementedError

    def condition(self, field: str, op: str, value: Any) -> Sql:
        raise NotImplementedError

    def is_there(self, field: str) -> str:
        raise NotImplementedError

    def step(self, column: str, value: Any, down: bool) -> Sql:
        """Behind `value` in one column; null comes first upwards and last downwards."""
        raise NotImplementedError

    def where(self) -> Sql:
        conditions, values = self.scope()
        for where in self._query.where:
            condition, operands = self.condition(where.field, where.op, where.value)
            conditions.append(condition)
            values += operands
        conditions += [self.is_there(order.field) for order in self._query.order]
        if self._query.after is not None:
            condition, operands = self._beyond(self._query.after)
            conditions.append(condition)
            values += operands
        return " AND ".join(conditions) or "1", values

    def scope(self) -> tuple[list[str], list[Any]]:
        if self._scope == "*":
            return ["family = ?"], [self._family]
        return ["collection = ?"], [self._query.collection]

    def order(self) -> list[str]:
        ordered = [f"{self.column(o.field)}{' DESC' if o.descending else ''}" for o in self._query.order]
        downwards = bool(self._query.order) and self._query.order[-1].descending
        return [*ordered, f"{self._tie} DESC" if downwards else self._tie]

    def count(self) -> Sql:
        condition, values = self.where()
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {self.table} WHERE {condition} LIMIT ?)"
        return sql, [*values, self._query.limit]

    def _beyond(self, after: tuple[Any, ...]) -> Sql:
        """Strictly behind the cursor: (f1 > v1) or (f1 = v1 and f2 > v2) or ... with the id last."""
        downwards = [order.descending for order in self._query.order]
        downwards.append(downwards[-1] if downwards else False)
        columns = [self.column(order.field) for order in self._query.order] + [self._tie]
        branches: list[str] = []
        values: list[Any] = []
        for depth, (column, value, down) in enumerate(zip(columns, after, downwards, strict=True)):
            equal = [f"{earlier} IS ?" for earlier in columns[:depth]]
            step, operands = self.step(column, value, down)
            branches.append(" AND ".join([*equal, step]))
            values += [*(self.bound(each) for each in after[:depth]), *operands]
        return "(" + " OR ".join(f"({branch})" for branch in branches) + ")", values

    def bound(self, value: Any) -> Any:
        return value


class InJson(_Select):
    """On any field, out of the documents themselves."""

    def select(self) -> Sql:
        condition, values = self.where()
        sql = (
            f"SELECT path, data, version FROM documents WHERE {condition} ORDER BY {', '.join(self.order())} LIMIT ?"
        )
        return sql, [*values, self._query.limit + 1]

    def column(self, field: str) -> str:
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{field!r} is not a field path")
        return f"json_extract(data, '$.{field}')"

    def is_there(self, field: str) -> str:
        return f"json_type(data, '$.{field}') IS NOT NULL"

    def condition(self, field: str, op: str, value: Any) -> Sql:
        column = self.column(field)
        if op == "in":
            return f"{column} IN ({', '.join('?' * len(value))})", list(value)
        if op == "array_contains":
            inside = f"EXISTS (SELECT 1 FROM json_each(data, '$.{field}') WHERE value = ?)"
            return f"json_type(data, '$.{field}') = 'array' AND {inside}", [value]
        if op == "contains":
            return f"json_type(data, '$.{field}') = 'text' AND instr({column}, ?) > 0", [value]
        if op == "==" and value is None:
            return f"json_type(data, '$.{field}') = 'null'", []
        return f"{column} {_COMPARE[op]} ?", [value]

    def step(self, column: str, value: Any, down: bool) -> Sql:
        if value is None:
            return ("0", []) if down else (f"{column} IS NOT NULL", [])
        return (f"({column} < ? OR {column} IS NULL)", [value]) if down else (f"{column} > ?", [value])


class InColumns(_Select):
    """On fields that have a column (`columns.py`): the documents are read only when the page is cut."""

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self.table = table_of(self._family)
        self._tie = f'"~{self._tie}"'

    @staticmethod
    def can_say(query: Query, fields: Collection[str]) -> bool:
        inside = all(
            isinstance(where.value, str) and SEPARATOR not in where.value
            for where in query.where if where.op == "array_contains"
        )
        return inside and bool(fields) and {where.field for where in query.where} <= set(fields) and (
            {order.field for order in query.order} <= set(fields)
        )

    def select(self) -> Sql:
        condition, values = self.where()
        named = "".join(f", {self.column(order.field)}" for order in self._query.order)
        ordered = ", ".join(self.order())
        found = f'SELECT "~path", "~id"{named} FROM {self.table} WHERE {condition} ORDER BY {ordered} LIMIT ?'
        outside = ", ".join(f"found.{each}" for each in self.order())
        sql = (
            f"SELECT documents.path, documents.data, documents.version FROM ({found}) AS found "
            f'CROSS JOIN documents ON documents.path = found."~path" ORDER BY {outside}'
        )
        return sql, [*values, self._query.limit + 1]

    def scope(self) -> tuple[list[str], list[Any]]:
        return ([], []) if self._scope == "*" else (['"~collection" = ?'], [self._query.collection])

    def column(self, field: str) -> str:
        return f'"{field}"'

    def is_there(self, field: str) -> str:
        return f"{self.column(field)} IS NOT NULL"

    def condition(self, field: str, op: str, value: Any) -> Sql:
        column = self.column(field)
        if op == "in":
            return f"{column} IN ({', '.join('?' * len(value))})", list(value)
        if op == "array_contains":
            element = (SEPARATOR + value + SEPARATOR).encode()
            return f"typeof({column}) = 'blob' AND instr({column}, ?) > 0", [element]
        if op == "contains":
            return f"typeof({column}) = 'text' AND instr({column}, ?) > 0", [value]
        if op == "==":
            return f"{column} = ?", [self.bound(value)]
        return f"{column} {_COMPARE[op]} ? AND {column} <> ?", [value, NULL]

    def step(self, column: str, value: Any, down: bool) -> Sql:
        return f"{column} {'<' if down else '>'} ?", [self.bound(value)]

    def bound(self, value: Any) -> Any:
        return NULL if value is None else value
