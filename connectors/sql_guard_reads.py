"""Which tables a parsed statement reads, wherever they stand: FROM, JOIN, subqueries, WITH, behind IN."""

from collections.abc import Iterator

from sqlglot import exp

from connectors.sql_guard_functions import TABLE_FUNCTIONS
from connectors.sql_guard_tables import DATABASE, SYSTEM_TABLES, ReadScope, views
from connectors.sql_guard_text import GuardError, Text
from schemas.registry import TOPICS

# Databases of replay runs begin so.
_RUNS = "run_"


def tables_of(tree: exp.Expr, inner: Text, scope: ReadScope) -> Iterator[str]:
    """The tables and views that a statement reads, ``database.table``.

    Parameters
    ----------
    tree, inner : Expr, Text
        Its parse, and its text for the places.
    scope : ReadScope
        What may be read.

    Raises
    ------
    GuardError
        For one that may not.
    """
    for node in tree.walk():
        if isinstance(node, exp.Table):
            yield from _of_table(node, inner, scope)
        elif isinstance(node, exp.From | exp.Join):
            yield from _of_source(node, inner, scope)
        elif isinstance(node, exp.In):
            for right in _right_sides(node):
                yield from _of_name(right, inner, scope)


def _of_source(node: exp.From | exp.Join, inner: Text, scope: ReadScope) -> Iterator[str]:
    """What sqlglot makes of the tables below ARRAY JOIN: columns, for that is what stands there as a rule."""
    if isinstance(node, exp.Join) and node.kind == "ARRAY":
        if any(one.find(exp.Query) for one in (node.this, *node.expressions)):
            raise GuardError(
                "ARRAY JOIN takes no SELECT here; name its array in WITH or in FROM (SELECT …)"
            )
    elif isinstance(node.this, exp.Column):
        yield from _of_name(node.this, inner, scope)


def _of_table(table: exp.Table, inner: Text, scope: ReadScope) -> Iterator[str]:
    what = table.this
    if isinstance(what, exp.Identifier):
        if table.catalog:
            raise GuardError(f"a table is database.table, not {table.sql()}")
        if table.db or not _is_common(table, what.name, scope):
            yield allowed_table(what.name, table.db, scope, _place(inner, what.name))
        return
    name = (
        what.name
        if isinstance(what, exp.Anonymous)
        else what.sql_name()
        if isinstance(what, exp.Func)
        else ""
    )
    if name in views():
        yield allowed_table(name, table.db, scope, _place(inner, name))
    elif name.lower() not in TABLE_FUNCTIONS or table.db:
        told = name or what.sql(dialect="clickhouse")
        raise GuardError(
            f"the table function {told} is not allowed; take a table or a view of the platform",
            _place(inner, name),
        )


def _right_sides(node: exp.In) -> Iterator[exp.Column]:
    """Names on the right of IN that ClickHouse takes for tables."""
    field = node.args.get("field")
    if isinstance(field, exp.Expr):
        yield from _bare(field)
    if len(node.expressions) == 1:
        yield from _bare(node.expressions[0])


def _bare(node: exp.Expr) -> Iterator[exp.Column]:
    inside = node.unnest()
    if isinstance(inside, exp.Column) and not isinstance(inside.this, exp.Star):
        yield inside


def _of_name(column: exp.Column, inner: Text, scope: ReadScope) -> Iterator[str]:
    if len(column.parts) > 2:
        raise GuardError("behind IN stands a list or (SELECT …)", _place(inner, column.name))
    if column.table or not _is_common(column, column.name, scope):
        try:
            yield allowed_table(column.name, column.table, scope, _place(inner, column.name))
        except GuardError as error:
            raise GuardError(
                f"{error.reason}; ClickHouse takes a name behind IN for a table: write IN (SELECT …), or "
                "has(array, x)",
                error.position,
            ) from None


def _is_common(node: exp.Expr, name: str, scope: ReadScope) -> bool:
    """Whether the name is that of a WITH part that can be seen from here."""
    if _is_ours(name) and name not in scope.tables:
        # Where we see a WITH part and the engine would see the table behind it.
        return False
    inside, above = node, node.parent
    while above is not None:
        common = above.args.get("with_") or above.args.get("with")
        parts = above if isinstance(above, exp.With) else common
        # From within a WITH, its own earlier parts are seen, not those behind.
        if isinstance(parts, exp.With) and parts is not inside and name in _seen(parts, inside):
            return True
        inside, above = above, above.parent
    return False


def _seen(common: exp.With, inside: exp.Expr) -> Iterator[str]:
    for part in common.expressions:
        if part is inside:
            if common.args.get("recursive"):
                yield part.alias
            return
        if isinstance(part, exp.CTE) and not part.args.get("scalar"):
            yield part.alias


def _is_ours(name: str) -> bool:
    return name in TOPICS or name in views()


def allowed_table(name: str, database: str, scope: ReadScope, place: int | None) -> str:
    """The table's full name; `GuardError` where it may not be read."""
    if not database or database == DATABASE:
        if name in scope.tables:
            return f"{DATABASE}.{name}"
        if _is_ours(name):
            raise GuardError(f"{name} may not be read by this user", place)
        raise GuardError(f"there is no table or view {name!r} that may be read here", place)
    if name.lower() in SYSTEM_TABLES.get(database.lower(), ()):
        return f"{database}.{name}"
    why = "; tables of replay runs are for admins" if database.startswith(_RUNS) else ""
    raise GuardError(f"{database}.{name} may not be read here{why}", place)


def _place(inner: Text, name: str) -> int | None:
    return next((token.start for token in inner.tokens if token.name == name), None)
