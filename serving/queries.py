"""Named queries: the files of sql/queries, each with its purpose and its parameters in its first lines.

The first line says what the query is for; then comes a line a parameter, ``-- name: meaning``, or
``-- name = default: meaning``. ClickHouse binds the values (``{name:Type}``): nothing is pasted into text.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sql_texts import sql_folder
from serving.sql import SqlError

_PARAMETER = re.compile(
    r"-- (?P<name>[a-z_]+)(?: = (?P<default>[^:]*(?::\d\d[^:]*)*))?: (?P<meaning>.+)"
)
_USED = re.compile(r"\{([a-z_]+):(\w+)")


class QueryError(SqlError):
    """A named query that is unknown, or is given the wrong parameters; the message says which there are."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a named query; without a default (None) it must be given. A list is told with commas."""

    name: str
    is_list: bool
    default: str | None
    meaning: str


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
            For a parameter that the query does not have, or one that is missing.
        """
        takes = "; ".join(
            f"{one.name}{'' if one.default is None else f' ({one.default})'}: {one.meaning}"
            for one in self.parameters
        )
        known = {one.name: one.default for one in self.parameters}
        for name in given:
            if name not in known:
                raise QueryError(f"query {self.name!r} has no parameter {name!r}; it takes {takes}")
        values = {**known, **given}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise QueryError(f"query {self.name!r} needs {', '.join(missing)}; it takes {takes}")
        lists = {one.name for one in self.parameters if one.is_list}
        return {
            name: value.split(",") if name in lists and isinstance(value, str) else value
            for name, value in values.items()
        }


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
                is_list=used[found["name"]] == "Array",
                default=found["default"],
                meaning=found["meaning"],
            )
            for found in told
        ),
        text=text.strip().rstrip(";"),
    )
