"""Named queries: the files of sql/queries, each with its purpose and its parameters in its first lines.

The first line says what the query is for; then comes a line a parameter, ``-- name: meaning``, or
``-- name = default: meaning``, numbers with what they may be, ``-- name = default (least to most): meaning``.
ClickHouse binds the values (``{name:Type}``): nothing is pasted into text.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from connectors.sql_texts import sql_folder
from serving.sql import SqlError
from serving.times import parse_time_ns

_PARAMETER = re.compile(
    r"-- (?P<name>[a-z_]+)(?: = (?P<default>[^:(]*(?::\d\d[^:(]*)*))?"
    r"(?: \((?P<bounds>\S+ to \S+)\))?: (?P<meaning>.+)"
)
_USED = re.compile(r"\{([a-z_]+):(\w+)")
_WHOLE = frozenset({"Int64", "UInt32"})


class QueryError(SqlError):
    """A named query that is unknown, or is given the wrong parameters; the message says which there are."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a named query.

    Parameters
    ----------
    name : str
        As it is given.
    type : str
        ClickHouse's, without what stands in brackets.
    default : str or None
        None where it must be given.
    bounds : str or None
        Between which a number must be, such as ``1 to 1440``; None where all numbers will do.
    meaning : str
        What it is, in one sentence.
    """

    name: str
    type: str
    default: str | None
    bounds: str | None
    meaning: str

    def value(self, given: Any) -> Any:
        """What was given, as ClickHouse takes it; a list may be told with commas.

        Raises
        ------
        QueryError
            For what the parameter may not be.
        """
        if self.type == "Array":
            return given.split(",") if isinstance(given, str) else given
        if self.type in _WHOLE or self.type == "Float64":
            return self._number(given)
        if self.type == "DateTime64":
            return self._time(given)
        return given

    def _number(self, given: Any) -> float:
        whole = self.type in _WHOLE
        bounds = self.bounds or "-inf to inf"
        least, most = map(float, bounds.split(" to "))
        try:
            found = float(given)
        except (TypeError, ValueError):
            found = float("nan")
        if not least <= found <= most or (whole and found % 1):
            kind = "whole number" if whole else "number"
            raise QueryError(f"{self.name} is {given!r}: a {kind} from {bounds} is needed")
        return int(found) if whole else found

    def _time(self, given: Any) -> str:
        try:
            return str(np.datetime64(parse_time_ns(str(given)), "ns"))
        except (ValueError, OverflowError) as error:
            raise QueryError(
                f"{self.name} is {str(given)!r}: a time from 1678 to April of 2262 is needed, such as 2024-01-02 or "
                "2024-01-02T14:30:00.123456789 (UTC unless it says otherwise)"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Query:
    """A named query.

    Parameters
    ----------
    name : str
        Its file's name, without .sql.
    purpose : str
        What it is for, in one sentence.
    parameters : tuple of Parameter
        What it takes.
    text : str
        The statement.
    """

    name: str
    purpose: str
    parameters: tuple[Parameter, ...]
    text: str

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all parameters: those given, and defaults.

        Raises
        ------
        QueryError
            For a parameter that the query does not have, one that is missing, or a value that it may not have.
        """
        takes = "; ".join(
            f"{one.name}{'' if one.default is None else f' ({one.default})'}: {one.meaning}"
            for one in self.parameters
        )
        known = {one.name: one for one in self.parameters}
        for name in given:
            if name not in known:
                raise QueryError(f"query {self.name!r} has no parameter {name!r}; it takes {takes}")
        values = {**{name: one.default for name, one in known.items()}, **given}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise QueryError(f"query {self.name!r} needs {', '.join(missing)}; it takes {takes}")
        try:
            return {name: known[name].value(value) for name, value in values.items()}
        except QueryError as error:
            raise QueryError(f"query {self.name!r}: {error}") from error


def queries() -> dict[str, Query]:
    """Every named query, by name."""
    return {path.stem: _read(path) for path in sorted(sql_folder("queries").glob("*.sql"))}


def named_query(name: str) -> Query:
    """The query of that name.

    Raises
    ------
    QueryError
        Where there is none, with the nearest name.
    """
    known = queries()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
        raise QueryError(f"no query {name!r}{meant}")
    return known[name]


def _read(path: Path) -> Query:
    lines = path.read_text().splitlines()
    head = [line for line in lines if line.startswith("--")]
    if not head or lines[0] != head[0]:
        raise QueryError(f"{path}: its first line must say what it is for (-- …)")
    text = "\n".join(line for line in lines if not line.startswith("--"))
    used = dict(_USED.findall(text))
    told = [found for line in head[1:] if (found := _PARAMETER.fullmatch(line)) is not None]
    if {found["name"] for found in told} != set(used):
        raise QueryError(f"{path}: its first lines and its text name different parameters")
    return Query(
        name=path.stem,
        purpose=head[0].removeprefix("-- "),
        parameters=tuple(
            Parameter(
                name=found["name"],
                type=used[found["name"]],
                default=found["default"],
                bounds=found["bounds"],
                meaning=found["meaning"],
            )
            for found in told
        ),
        text=text.strip().rstrip(";"),
    )
