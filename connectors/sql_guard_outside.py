"""What stands around an analyst's SELECT: EXPLAIN before it, FORMAT behind it; and DESCRIBE and SHOW in its place."""

from dataclasses import dataclass

from connectors.sql_guard_text import GuardError, Text, Token, read_text

# Of EXPLAIN; https://clickhouse.com/docs/sql-reference/statements/explain. Not TABLE OVERRIDE, which asks MySQL.
_EXPLAINS = (
    ("QUERY", "TREE"),
    ("AST",),
    ("SYNTAX",),
    ("PLAN",),
    ("PIPELINE",),
    ("ESTIMATE",),
)
_EXPLAIN_OPTIONS = frozenset(
    {
        "actions",
        "compact",
        "dump_ast",
        "dump_passes",
        "dump_tree",
        "graph",
        "header",
        "indexes",
        "json",
    }
    | {
        "oneline",
        "passes",
        "projections",
        "run_passes",
        "run_query_tree_passes",
        "sorting",
        "description",
    }
)
FORMATS = frozenset(
    {
        "Arrow",
        "ArrowStream",
        "CSV",
        "CSVWithNames",
        "CSVWithNamesAndTypes",
        "JSON",
        "JSONColumns",
        "JSONCompact",
    }
    | {
        "JSONColumnsWithMetadata",
        "JSONCompactColumns",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
    }
    | {
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONEachRow",
        "JSONEachRowWithProgress",
        "JSONStrings",
    }
    | {
        "JSONStringsEachRow",
        "JSONCompactStrings",
        "JSONCompactStringsEachRow",
        "JSONLines",
        "NDJSON",
    }
    | {"Markdown", "Native", "Null", "Parquet", "Pretty", "PrettyCompact", "PrettyCompactMonoBlock"}
    | {
        "PrettySpace",
        "RowBinary",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "TSV",
        "TSVRaw",
    }
    | {
        "TSVWithNames",
        "TSVWithNamesAndTypes",
        "TabSeparated",
        "TabSeparatedRaw",
        "TabSeparatedWithNames",
    }
    | {"TabSeparatedWithNamesAndTypes", "Values", "Vertical", "XML"}
)
"""Output formats that need no schema file and no template."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A statement with its outside read.

    Parameters
    ----------
    text : str
        What to run.
    inner : Text
        The SELECT alone; what is around it is blank.
    format : str or None
        That the statement names.
    described : tuple of Token, or None
        Database (or None) and table of a DESCRIBE.
    """

    text: str
    inner: Text
    format: str | None
    described: tuple[Token | None, Token] | None = None


def outside_of(statement: str) -> Outside:
    """Read a statement's outside.

    Raises
    ------
    GuardError
        As `read_text` does; for a format or an EXPLAIN that is not allowed; for every statement that is neither a
        SELECT, nor EXPLAIN of one, nor DESCRIBE of a table, nor SHOW TABLES or DATABASES.
    """
    whole = read_text(statement)
    inner, output = _without_format(whole)
    first = inner.tokens[0].upper if inner.tokens else ""
    if first in {"DESC", "DESCRIBE"}:
        return Outside(whole.text, inner, output, _described(inner))
    if first == "SHOW":
        shown = _shown(inner)
        text = shown if output is None else f"{shown} FORMAT {output}"
        return Outside(text, read_text(shown), output)
    if first == "EXPLAIN":
        inner = inner.without(inner.tokens[: _explain_words(inner)])
        if not inner.tokens:
            raise GuardError("EXPLAIN of nothing", code=62)
        first = inner.tokens[0].upper
    if first not in {"SELECT", "WITH", "FROM"} and inner.tokens[0].text != "(":
        raise GuardError("only SELECT, or EXPLAIN of one, may be run here", inner.tokens[0].start)
    return Outside(whole.text, inner, output)


def _without_format(whole: Text) -> tuple[Text, str | None]:
    *_, before, last = (None, None, *whole.tokens)
    if before is None or last is None or before.upper != "FORMAT" or not last.name:
        return whole, None
    if last.text not in FORMATS:
        raise GuardError(f"the format {last.text} is not for answers to analysts", last.start)
    return whole.without([before, last]), last.text


def _explain_words(inner: Text) -> int:
    """How many pieces EXPLAIN, its kind and its options are."""
    tokens = inner.tokens
    at = 1
    for kind in _EXPLAINS:
        if tuple(token.upper for token in tokens[at : at + len(kind)]) == kind:
            at += len(kind)
            break
    while len(tokens) > at + 2 and tokens[at + 1].text == "=":
        name, _, value = tokens[at : at + 3]
        if name.text not in _EXPLAIN_OPTIONS or value.kind != "number":
            raise GuardError(f"EXPLAIN has no option {name.text} here", name.start)
        at += 3
        if len(tokens) > at and tokens[at].text == ",":
            at += 1
    return at


def _described(inner: Text) -> tuple[Token | None, Token]:
    tokens = list(inner.tokens[1:])
    if tokens and tokens[0].upper == "TABLE" and len(tokens) > 1 and tokens[1].text != ".":
        tokens = tokens[1:]
    if len(tokens) == 1 and tokens[0].name:
        return None, tokens[0]
    if len(tokens) == 3 and tokens[0].name and tokens[1].text == "." and tokens[2].name:
        return tokens[0], tokens[2]
    raise GuardError("DESCRIBE takes the name of a table or view here", inner.tokens[0].start)


def _shown(inner: Text) -> str:
    words = tuple(token.upper or token.text for token in inner.tokens)
    if words == ("SHOW", "DATABASES"):
        return "SELECT name FROM system.databases ORDER BY name"
    if words == ("SHOW", "TABLES"):
        return "SELECT name FROM system.tables WHERE database = 'default' ORDER BY name"
    raise GuardError(
        "of SHOW, there are SHOW TABLES and SHOW DATABASES here; ask system.tables and system.columns for more",
        inner.tokens[0].start,
    )
