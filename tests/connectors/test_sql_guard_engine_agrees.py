"""What the guard lets through is, by the engine's own analysis, a read of allowed tables with allowed functions.

Statements are put together from what is allowed and what is not, in ClickHouse's ways of writing it; the judge is
`EXPLAIN QUERY TREE` of the same text, run by the owner: names are resolved in it, and sqlglot has no part.
"""

import re
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connectors.sql_guard import check_statement
from connectors.sql_guard_functions import (
    OPERATOR_FUNCTIONS,
    REFUSED_FUNCTIONS,
    allowed_functions,
    function_refusal,
    higher_order_functions,
)
from connectors.sql_guard_tables import PRIVATE_TOPICS, SYSTEM_TABLES, ReadScope, views
from connectors.sql_guard_text import GuardError
from connectors.store_key import PROGRAMS
from schemas.registry import TOPICS
from tests.connectors.store.guarded import HIDDEN, GuardedStore, guarded_store

SCOPE = ReadScope(frozenset(TOPICS) - PRIVATE_TOPICS)
_READABLE = {f"default.{name}" for name in SCOPE.tables} | {
    f"{database}.{name}" for database, names in SYSTEM_TABLES.items() for name in names
}
_HARMLESS_SOURCES = {"numbers", "zeros", "values", "view", "generateseries", "null", "primes"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedStore]:
    with guarded_store(tmp_path_factory.mktemp("judged")) as store:
        yield store


def _quoted(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, f"`{name}`", f'"{name}"'])


def _table(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names).flatmap(
        lambda name: st.sampled_from(
            ["", "default.", "`default`.", "default . ", "system."]
        ).flatmap(lambda database: _quoted(name).map(lambda written: database + written))
    )


gaps = st.sampled_from([" ", "\n", "\t", " /* x */ ", " -- x\n", "/**/ ", " /* -- */ "])
# Mostly what is allowed, or hardly a statement would be let through and judged.
tables = _table(
    "trades", "quotes", "trades", "trades_latest", "audit_log", "foreign_one", "c", "one"
)
columns = st.sampled_from(
    ["symbol", "ts_event", "size", "price", "1", "'a'", "x", "`symbol`", "file", "audit_log", "c"]
)
function_names = st.sampled_from(
    [
        "max",
        "count",
        "lower",
        "toString",
        "length",
        "arrayMap",
        "if",
        "tuple",
        "any",
        "MAX",
        "coalesce",
        "file",
        "hostName",
        "dictGet",
        "in",
        "joinGet",
        "sumIf",
        "quantile(0.5)",
        "FILE",
        "sleep",
    ]
)


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, min_size=1, max_size=3).map(", ".join)
    return st.one_of(
        st.builds(lambda name, given: f"{name}({given})", function_names, arguments),
        st.builds(lambda name, given: f"`{name}`({given})", function_names, arguments),
        st.builds(lambda given: f"arrayMap(x -> {given}, [1])", inner),
        st.builds(lambda name, given: f"arrayMap({name}, [{given}])", function_names, inner),
        st.builds(lambda a, b: f"{a} IN {b}", inner, tables),
        st.builds(lambda a, b: f"{a} IN ({b})", inner, st.one_of(tables, inner)),
        st.builds(lambda a, b: f"({a} = {b})", inner, inner),
        st.builds(lambda a, b, c: f"CASE WHEN {a} THEN {b} ELSE {c} END", inner, inner, inner),
        st.builds(lambda a: f"CAST({a} AS String)", inner),
        st.builds(lambda a: f"{a} AS x", inner),
    )


expressions = st.recursive(columns, _calls, max_leaves=4)


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> str:
    """A SELECT, allowed or not, valid or not."""
    gap = draw(gaps)

    def source() -> str:
        kinds = ["table", "table", "table", "function", "view"] + (
            ["select", "both"] if depth else []
        )
        kind = draw(st.sampled_from(kinds))
        if kind == "table":
            return draw(tables)
        if kind == "function":
            return draw(
                st.sampled_from(
                    [
                        "numbers(3)",
                        "file('x', 'LineAsString')",
                        "merge('default', 'audit')",
                        "`numbers`(2)",
                        "values('a Int8', 1)",
                        "view(SELECT * FROM audit_log)",
                        "null('a Int8')",
                    ]
                )
            )
        if kind == "view":
            return draw(
                st.sampled_from(["ohlcv(seconds = 60)", "default.ohlcv(seconds = 60)", "bars_wide"])
            )
        inner = f"({draw(selects(depth=depth - 1))})"
        return inner if kind == "select" else f"{inner} AS a CROSS JOIN {draw(tables)}"

    text = f"SELECT{gap}{draw(st.one_of(st.just('*'), st.just('count()'), expressions))}"
    if draw(st.integers(0, 9)):
        text += f"{gap}FROM{gap}{source()}"
    if draw(st.booleans()):
        text += f"{gap}WHERE{gap}{draw(expressions)}"
    if depth and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(["c", "trades", "audit_log", "foreign_one"]))
        text = f"WITH {name} AS ({draw(selects(depth=depth - 1))}){gap}{text}"
    if depth and draw(st.integers(0, 5)) == 0:
        text += f"{gap}UNION ALL{gap}{draw(selects(depth=depth - 1))}"
    if draw(st.integers(0, 9)) == 0:
        text += draw(
            st.sampled_from(
                [" SETTINGS max_threads = 1", " FORMAT CSV", ";", "; SELECT 1", " INTO OUTFILE 'x'"]
            )
        )
    return text


_NAMES = {
    "table": re.compile(r"\bTABLE id: .*?table_name: ([\w.]+)"),
    "source": re.compile(r"\btable_function_name: ([\w.]+)"),
    "function": re.compile(r"\bfunction_name: (\w+)"),
}


def _judge(tree: str, statement: str) -> None:
    found = {kind: set(pattern.findall(tree)) for kind, pattern in _NAMES.items()}
    read = {
        re.sub("^(INFORMATION_SCHEMA)", lambda m: m[1].lower(), name) for name in found["table"]
    }
    assert read <= _READABLE, (statement, read - _READABLE)
    sources = {name.lower().removeprefix("default.") for name in found["source"]}
    assert sources <= _HARMLESS_SOURCES | set(views()), (statement, sources)
    called = {name for name in found["function"] if not name.startswith("_")}
    bad = {name for name in called if function_refusal(name) is not None} - OPERATOR_FUNCTIONS
    bad -= {"in", "notIn", "globalIn", "globalNotIn", "lambda"}
    assert not bad, (statement, bad)


@settings(
    max_examples=400,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(statement=selects())
def test_what_is_let_through_reads_what_is_allowed(store: GuardedStore, statement: str) -> None:
    try:
        checked = check_statement(statement, SCOPE)
    except GuardError:
        return
    text = checked.text
    if checked.format is not None:
        text = text.rstrip().removesuffix(checked.format).rstrip().removesuffix("FORMAT")
    told = store.ask(f"EXPLAIN QUERY TREE {text}", PROGRAMS)
    reply = store.ask(statement)
    assert HIDDEN not in reply.text
    if told.status == 200:
        _judge(told.text, statement)
        # What the owner can run is not stopped by rights: the guard found every table of it.
        assert reply.code != 497, (statement, reply.text)


def test_the_judge_finds_what_may_not_be(store: GuardedStore) -> None:
    for statement in (
        "SELECT * FROM audit_log",
        "SELECT 1 IN (SELECT actor FROM audit_log)",
        "SELECT hostName()",
        "SELECT * FROM merge('default', 'audit_log')",
        "SELECT * FROM system.processes",
    ):
        tree = store.ask(f"EXPLAIN QUERY TREE run_passes = 0 {statement}", PROGRAMS)
        resolved = store.ask(f"EXPLAIN QUERY TREE {statement}", PROGRAMS)
        with pytest.raises(AssertionError):
            _judge(tree.text + resolved.text, statement)


def test_every_function_of_the_engine_is_judged(store: GuardedStore) -> None:
    """A new version of ClickHouse brings functions: each goes to the list, or to the refused ones with a reason."""
    told = store.ask("SELECT name, alias_to, higher_order FROM system.functions", PROGRAMS).text
    rows = [line.split("\t") for line in told.splitlines()]
    names = {name.lower() for name, _, _ in rows} - OPERATOR_FUNCTIONS
    allowed, refused = allowed_functions(), set(REFUSED_FUNCTIONS)
    assert not names - allowed - refused, "neither allowed nor refused"
    assert not allowed & refused
    assert not allowed - names, "allowed, and not there"
    for name, alias, _ in rows:
        if alias and alias.lower() in refused:
            assert name.lower() in refused, f"{name} is another name of {alias}"
    assert {name.lower() for name, _, higher in rows if higher == "1"} == higher_order_functions()


def test_combinators_do_not_lead_to_a_refused_function() -> None:
    assert function_refusal("sumIf") is None
    assert function_refusal("argMaxIfOrNull") is None
    assert function_refusal("quantilesTDigestArrayIf") is None
    assert function_refusal("flameGraphIf") is not None
    assert function_refusal("fileIf") is not None
    assert function_refusal("if") is None
    assert function_refusal("neverHeardOfIf") is not None
