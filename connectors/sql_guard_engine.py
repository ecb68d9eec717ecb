"""A second reading of a checked statement, by the engine that will run it: its own parse, as JSON.

sqlglot's parse could differ from ClickHouse's in what nobody has thought of. So every function that ClickHouse
itself finds in the text must be allowed, and every kind of node and clause must be one of a SELECT. What tables it
finds is left to the engine's access rights (`chdb_roles`), which are asked when it runs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from connectors.sql_guard_functions import (
    OPERATOR_FUNCTIONS,
    TABLE_FUNCTIONS,
    function_refusal,
    higher_order_functions,
)
from connectors.sql_guard_tables import DATABASE, views
from connectors.sql_guard_text import GuardError

PARSE = "SELECT parseQueryToJSON({statement:String}) FORMAT TSVRaw"

_NODES = frozenset(
    {
        "ArrayJoin",
        "Asterisk",
        "ColumnsApplyTransformer",
        "ColumnsExceptTransformer",
        "ColumnsListMatcher",
    }
    | {
        "ColumnsRegexpMatcher",
        "ColumnsReplaceTransformer",
        "ColumnsReplaceTransformer::Replacement",
    }
    | {"ColumnsTransformerList", "ExpressionList", "Function", "Identifier"}
    | {
        "InterpolateElement",
        "Literal",
        "OrderByElement",
        "QualifiedAsterisk",
        "QualifiedColumnsListMatcher",
    }
    | {
        "QualifiedColumnsRegexpMatcher",
        "QueryParameter",
        "SampleRatio",
        "SelectIntersectExceptQuery",
    }
    | {
        "SelectQuery",
        "SelectWithUnionQuery",
        "Subquery",
        "TableExpression",
        "TableIdentifier",
        "TableJoin",
    }
    | {"TablesInSelectQuery", "TablesInSelectQueryElement", "WindowDefinition", "WindowListElement"}
    | {"WithElement"}
)
_ROOTS = frozenset({"SelectIntersectExceptQuery", "SelectWithUnionQuery"})
_INNER = frozenset({"tuple", "lambda", "array", "untuple"})


def check_with_engine(text: str, parse: Callable[[str], bytes]) -> None:
    """Refuse a text in which the engine sees more than a SELECT with allowed functions.

    Parameters
    ----------
    text : str
        The text that is to run.
    parse : callable
        Gives the engine's answer to `PARSE` for a text.

    Raises
    ------
    GuardError
        With the function, or the kind of node.
    """
    tree = orjson.loads(parse(text))
    if tree.get("type") == "ExplainQuery":
        # Its options have been read by the guard; a SETTINGS clause is a node of the SELECT.
        tree = tree.get("query")
    if tree is None or tree.get("type") not in _ROOTS:
        raise GuardError("the engine reads no SELECT in this statement")
    for node in _nodes(tree):
        kind = node.get("type")
        if kind is not None and kind not in _NODES:
            raise GuardError(
                f"the engine reads a {kind} in this statement, which is no part of a SELECT"
            )
        if "out_file" in node:
            raise GuardError("INTO OUTFILE is not for reading")
        if "table_function" in node:
            _check_table_function(node["table_function"]["name"])
        elif kind == "Function":
            _check_function(node["name"])
            _check_passed(node)
        elif "func_name" in node:
            _check_function(node["func_name"])


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield one
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def _check_function(name: str) -> None:
    word = name.lower()
    if word in OPERATOR_FUNCTIONS or word in _INNER or word in TABLE_FUNCTIONS or _is_view(name):
        # A call of a table function is a function's node too; its place is looked at by the node above.
        return
    refusal = function_refusal(name)
    if refusal is not None:
        raise GuardError(f"the function {name} is not allowed: {refusal}")


def _check_passed(call: dict[str, Any]) -> None:
    """A function may be handed over by its bare name."""
    if call["name"].lower() not in higher_order_functions():
        return
    arguments = call.get("arguments", {}).get("children", [])
    if len(arguments) > 1 and arguments[0].get("type") == "Identifier":
        _check_function(arguments[0]["name"])


def _is_view(name: str) -> bool:
    return name.removeprefix(f"{DATABASE}.") in views()


def _check_table_function(name: str) -> None:
    if not _is_view(name) and name.lower() not in TABLE_FUNCTIONS:
        raise GuardError(f"the table function {name} is not allowed")
