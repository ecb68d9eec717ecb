"""Which statements an analyst may run: exactly one SELECT, or EXPLAIN of one, over what they may read.

The statement is taken apart by strict rules (`sql_guard_text`), parsed with sqlglot, and every table (`sql_guard_reads`), function and
clause in it must be known: what is not on a list is refused, and so is what cannot be parsed. What is run is the
text that was checked. The embedded store has two more lines of defence that this one does not lean on: the
engine's own parse of the same text (`sql_guard_engine`), and its access rights (`chdb_roles`).
"""

import logging
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from connectors.sql_guard_functions import (
    TABLE_FUNCTIONS,
    function_refusal,
    higher_order_functions,
)
from connectors.sql_guard_outside import Outside, outside_of
from connectors.sql_guard_reads import allowed_table, tables_of
from connectors.sql_guard_tables import DATABASE, ReadScope, views
from connectors.sql_guard_text import GuardError, Text, Token

# Each of these is a word that stands before a bracket without calling anything.
_NO_CALL = frozenset(
    [
        "ALL",
        "AND",
        "ANY",
        "APPLY",
        "ARRAY",
        "AS",
        "ASOF",
        "BETWEEN",
        "BY",
        "CASE",
        "COLUMNS",
        "CUBE",
        "DISTINCT",
        "DIV",
        "ELSE",
        "EXCEPT",
        "EXISTS",
        "FILTER",
        "FROM",
        "GLOBAL",
        "GROUPING",
        "HAVING",
        "ILIKE",
        "IN",
        "INNER",
        "INTERPOLATE",
        "INTERSECT",
        "IS",
        "JOIN",
        "LIKE",
        "LIMIT",
        "MOD",
        "NOT",
        "NULLS",
        "OFFSET",
        "ON",
        "OR",
        "OVER",
        "PREWHERE",
        "QUALIFY",
        "REGEXP",
        "REPLACE",
        "ROLLUP",
        "SAMPLE",
        "SELECT",
        "SETS",
        "STEP",
        "THEN",
        "TO",
        "UNION",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WINDOW",
        "WITH",
    ]
)
# As they stand in a SELECT's parse; whatever else sqlglot knows (a command, a change of data) is no read.
_FORBIDDEN_NODES = (
    exp.Command,
    exp.DDL,
    exp.DML,
    exp.Into,
    exp.Describe,
    exp.Set,
    exp.Use,
    exp.Kill,
    exp.Show,
    exp.Pragma,
)
_FORBIDDEN_CLAUSES = {
    "settings": "SETTINGS are the platform's: leave the clause out",
    "format": "FORMAT stands at the end of the whole statement only",
    "into": "INTO is not for reading",
}
_logger = logging.getLogger("sqlglot")


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may be run.

    Parameters
    ----------
    text : str
        What to run: as given, but for comments, which are blank.
    format : str or None
        Output format that it names itself.
    tables : frozenset of str
        Tables and views that it reads, ``database.table``; views are not resolved.
    describes : bool
        Whether it is a DESCRIBE.
    """

    text: str
    format: str | None
    tables: frozenset[str]
    describes: bool = False


@lru_cache(maxsize=512)
def check_statement(statement: str, scope: ReadScope) -> Checked:
    """Check a statement.

    Parameters
    ----------
    statement : str
        As it came.
    scope : ReadScope
        What may be read.

    Returns
    -------
    Checked
        What to run.

    Raises
    ------
    GuardError
        Where it is not one SELECT, or EXPLAIN or DESCRIBE, over tables, views and functions that are allowed.
        The message says what, and where.
    """
    outside = outside_of(statement)
    if outside.described is not None:
        return _describe(outside, scope)
    _check_calls(outside.inner, scope)
    tree = _parsed(outside.inner)
    _check_nodes(tree, outside.inner)
    tables = frozenset(tables_of(tree, outside.inner, scope))
    return Checked(outside.text, outside.format, tables)


def _describe(outside: Outside, scope: ReadScope) -> Checked:
    assert outside.described is not None  # noqa: S101 - asked by the caller
    database, name = outside.described
    table = allowed_table(name.name, database.name if database else "", scope, name.start)
    text = f"DESCRIBE TABLE {table}"
    if outside.format is not None:
        text += f" FORMAT {outside.format}"
    return Checked(text, outside.format, frozenset({table}), describes=True)


def _parsed(inner: Text) -> exp.Expr:
    # It says on its logger what it cannot parse; we say it in the answer.
    disabled, _logger.disabled = _logger.disabled, True
    try:
        trees = sqlglot.parse(inner.text, dialect="clickhouse")
    except SqlglotError as error:
        raise _unreadable(error, inner) from error
    except RecursionError:
        raise GuardError("the statement is too deep; cut it into WITH parts", code=62) from None
    finally:
        _logger.disabled = disabled
    if len(trees) != 1 or trees[0] is None:
        raise GuardError("one statement at a time")
    tree = trees[0]
    if not isinstance(tree.unnest(), exp.Query):
        raise GuardError("only SELECT (or EXPLAIN of one) may be run here", inner.tokens[0].start)
    return tree


def _unreadable(error: SqlglotError, inner: Text) -> GuardError:
    found = getattr(error, "errors", None)
    position = None
    if found:
        line, column = found[0].get("line"), found[0].get("col")
        if line and column:
            # Of the last character of the word that did not fit.
            lines = inner.text.split("\n")
            end = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
            position = next((one.start for one in inner.tokens if one.end > end), None)
    said = found[0].get("description", "") if found else ""
    said = said.rstrip(".") or "it is no statement that the parser of the platform knows"
    return GuardError(f"this cannot be read: {said}", position, code=62)


def _check_calls(inner: Text, scope: ReadScope) -> None:
    """Refuse every call of a function that is not on a list, wherever it stands."""
    tokens = inner.tokens
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.upper == "APPLY":
            _check_applied(tokens, index)
        if token.name.lower() in higher_order_functions():
            _check_passed(tokens, index)
        if token.upper in {"INTO", "OUTFILE", "SETTINGS"} and (
            before is None or before.text != "."
        ):
            raise GuardError(
                f"{token.upper} is not for reading; quote a column of this name", token.start
            )
        if not token.name or after is None or after.text != "(":
            continue
        if token.upper in _NO_CALL:
            continue
        if before is not None and before.text == "." and _is_view_of_ours(tokens, index):
            continue
        _check_call(token, before, scope)


def _check_call(token: Token, before: Token | None, scope: ReadScope) -> None:
    name = token.name
    in_table_place = before is not None and (before.upper in {"FROM", "JOIN"} or before.text == ",")
    if in_table_place and (name in scope.tables or name.lower() in TABLE_FUNCTIONS):
        # That it stands where a table does, the parse says.
        return
    if name in scope.tables and name in views():
        return
    refusal = function_refusal(name)
    if refusal is not None:
        raise GuardError(f"the function {name} is not allowed: {refusal}", token.start)


def _is_view_of_ours(tokens: tuple[Token, ...], index: int) -> bool:
    return index > 1 and tokens[index - 2].name == DATABASE and tokens[index].name in views()


def _check_applied(tokens: tuple[Token, ...], index: int) -> None:
    """APPLY names a function without a bracket behind it."""
    at = index + 1
    while at < len(tokens) and tokens[at].text == "(":
        at += 1
    if at >= len(tokens) or not tokens[at].name:
        return
    if at + 1 < len(tokens) and tokens[at + 1].text in {"->", "("}:
        return
    refusal = function_refusal(tokens[at].name)
    if refusal is not None:
        raise GuardError(
            f"the function {tokens[at].name} is not allowed: {refusal}", tokens[at].start
        )


def _check_passed(tokens: tuple[Token, ...], index: int) -> None:
    """A function's bare name is enough to hand it over: arrayMap(file, paths)."""
    at = index + 1
    while at < len(tokens) and tokens[at].text == "(":
        at += 1
    brackets = at - index - 2
    if at >= len(tokens) or not tokens[at].name:
        return
    name, at = tokens[at], at + 1
    while brackets > 0 and at < len(tokens) and tokens[at].text == ")":
        brackets, at = brackets - 1, at + 1
    # What is computed here, or is the one argument, is no name of a function.
    if at < len(tokens) and tokens[at].text in {"->", "(", ".", ")", "["}:
        return
    refusal = function_refusal(name.name)
    if refusal is not None:
        raise GuardError(
            f"{name.name} stands where a function does, and is not allowed: {refusal}; write x -> …",
            name.start,
        )


def _check_nodes(tree: exp.Expr, inner: Text) -> None:
    for node in tree.walk():
        if isinstance(node, _FORBIDDEN_NODES):
            raise GuardError("only SELECT may be run here", inner.tokens[0].start)
        for clause, reason in _FORBIDDEN_CLAUSES.items():
            if node.args.get(clause) and isinstance(node, exp.Query):
                raise GuardError(reason)
