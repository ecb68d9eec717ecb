"""Cash and positions reconcile to the cent with DuckDB's: on random histories, and on a day of real ticks as landed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.checks import Check
from connectors.clickhouse import connect
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.lander import Lander
from connectors.log import Log
from connectors.records import Partitioner, rows_record
from connectors.topics import create_topics
from flows.engines.local import run_until_end
from flows.flow import Flow
from flows.marks import Marks
from flows.positions import Positions
from schemas.accounts import CASH_MOVEMENTS, CORPORATE_ACTIONS
from schemas.orders import EXECUTIONS
from schemas.topic import Topic
from serving.audit_accounts import account_checks
from tests.flows.positions.books import NOON, SECOND, Books
from tests.flows.positions.duck_ledger import recomputed
from tests.flows.trades import taq_trades

INPUTS = (EXECUTIONS, CASH_MOVEMENTS, CORPORATE_ACTIONS)

_QUANTITIES = st.decimals(min_value="0.0001", max_value=5_000, places=4)
_PRICES = st.decimals(min_value="0.0001", max_value=900, places=4)
_SYMBOLS = st.sampled_from(("IBM", "AIG", "NEW"))
_RATIOS = st.integers(1, 7).map(str)
_EVENTS = st.one_of(
    *[
        st.tuples(
            st.just("fill"),
            st.sampled_from(("A", "B")),
            st.sampled_from(("", "fast")),
            _SYMBOLS,
            st.sampled_from(("USD", "JPY")),
            st.sampled_from(("buy", "sell", "sell_short")),
            _QUANTITIES,
            _PRICES,
        )
    ]
    * 3,
    st.tuples(
        st.just("cash"),
        st.sampled_from(("A", "B")),
        st.decimals(-900, 900, places=2),
        st.integers(0, 9),
    ),
    st.tuples(st.just("split"), _SYMBOLS, _RATIOS, _RATIOS),
    st.tuples(st.just("dividend"), _SYMBOLS, st.decimals(0, 3, places=4)),
    st.tuples(st.just("spin_off"), _SYMBOLS, _RATIOS, _RATIOS),
    st.tuples(st.just("symbol_change")),
)


def told(books: Books, history: list[tuple[Any, ...]]) -> None:
    """Tell a history, an event a second; actions are told before anything else."""
    for at, (kind, *terms) in enumerate(history, 1):
        if kind == "split":
            books.act(kind, at, terms[0], numerator=terms[1], denominator=terms[2])
        elif kind == "dividend":
            books.act(kind, at, terms[0], amount=terms[1])
        elif kind == "spin_off":
            ratio = {"numerator": terms[1], "denominator": terms[2], "cost_share": "0.25"}
            books.act(kind, at, terms[0], new_symbol="KID", **ratio)
        elif kind == "symbol_change":
            books.act(kind, at, "IBM", new_symbol="NEW")
    for at, (kind, *terms) in enumerate(history, 1):
        if kind == "fill":
            account, strategy, symbol, currency, side, quantity, price = terms
            place = {"account": account, "strategy": strategy, "currency": currency}
            books.fill(side, str(quantity), str(price), at, symbol=symbol, fees="1", **place)
        elif kind == "cash":
            books.cash(str(terms[1]), account=terms[0], name=f"m{terms[2]}")
    books.mark(len(history) + 1, None)


@contextmanager
def duck_of(books: Books) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with what the books were told."""
    with duckdb.connect() as duck:
        for topic in INPUTS:
            names = topic.schema.names
            rows = books.given[topic.name]
            empty = topic.empty()
            batch = (
                topic.batch({name: [row.get(name) for row in rows] for name in names})
                if rows
                else empty
            )
            duck.register(topic.name, plain(pa.Table.from_batches([batch])))
        yield duck


def plain(table: pa.Table) -> pa.Table:
    """Strings for dictionaries, which DuckDB takes for enumerations."""
    return pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


@settings(max_examples=60)
@given(st.lists(_EVENTS, min_size=10, max_size=60))
def test_random_histories_are_to_the_cent_what_duckdb_makes_of_them(
    history: list[tuple[Any, ...]],
) -> None:
    books = Books()
    told(books, history)
    with duck_of(books) as duck:
        cash, held = recomputed(duck)
    balances = {(row["account"], row["currency"]): row["balance"] for row in books.rows["balances"]}
    assert balances == cash
    names = ("account", "strategy", "symbol", "currency")
    newest = {tuple(row[name] for name in names): row for row in books.rows["positions"]}
    assert {key: row["quantity"] for key, row in newest.items() if row["quantity"]} == held
    for key, row in newest.items():
        closed = [
            one["realised"]
            for one in books.rows["lot_closings"]
            if tuple(one[name] for name in names) == key
        ]
        assert row["realised"] == sum(closed, Decimal(0))


class Platform:
    """A log, a store and a lake on which accounts trade."""

    def __init__(self, log: Log, store_url: str, lake: Path) -> None:
        self.log, self.store_url, self.lake = log, store_url, lake
        create_topics(log, 2)

    def append(self, topic: Topic, *rows: dict[str, Any]) -> None:
        names = topic.schema.names
        batch = topic.batch({name: [row.get(name) for row in rows] for name in names})
        partitioner = Partitioner(self.log.topics()[topic.name].partitions)
        self.log.append(
            [
                rows_record(topic, partition, part)
                for partition, part in partitioner.split(batch.column(topic.key), batch)
            ]
        )

    def tell(self, books: Books, *topics: Topic) -> None:
        for topic in topics:
            self.append(topic, *books.given[topic.name])

    def trade(self, times: Sequence[int], prices: Sequence[float], name: str = "x") -> None:
        """Fills at such times and prices, by turns of two accounts."""
        rng = np.random.default_rng(len(times))
        books = Books()
        for number, (time, price) in enumerate(zip(times, prices, strict=True)):
            books.fill(
                str(rng.choice(["buy", "sell"])),
                str(rng.integers(1, 500)),
                repr(float(price)),
                name=f"{name}{number}",
                ts_event=int(time),
                fees="0.35",
                account="AB"[number % 2],
                strategy=("", "fast")[number % 3 == 0],
                lot_method=("fifo", "lifo", "highest_cost")[number % 3],
            )
        self.tell(books, EXECUTIONS)

    def work(self, *kinds: type[Flow]) -> None:
        """Run flows, and land all that there is."""
        run_until_end(self.log, kinds)
        with Lander(self.log, self.store_url, self.lake) as lander:
            lander.run_until_end()

    def failing(self) -> list[Check]:
        """Checks of accounts that do not hold."""
        return [check for check in account_checks(self.log, self.store_url) if not check.ok]


@pytest.fixture
def platform(sqlite_log: Log, store_url: str, tmp_path: Path) -> Platform:
    return Platform(sqlite_log, store_url, tmp_path / "lake")


def _funded(middle_ns: int) -> Books:
    """Cash of two accounts, a dividend at a time and a split half an hour later."""
    books = Books()
    for account in ("A", "B"):
        books.cash("1000000.25", account=account, name="opening")
    middle = (middle_ns - NOON) / SECOND
    books.act("dividend", middle, amount="0.95", name="dividend")
    books.act("split", middle + 1_800, numerator="3", denominator="2", name="split")
    return books


@pytest.mark.shared
def test_a_real_day_is_to_the_cent_what_duckdb_makes_of_the_lake_and_the_audit_says_so(
    platform: Platform, shared: Path
) -> None:
    day = shared / "ticks/us_equity_taq/ibm"
    feed(platform.log, [day / "20131007_quote.zip", day / "20131007_trade.zip"], FeedOptions())
    trades = taq_trades(shared, "IBM", "20131007")
    rng = np.random.default_rng(11)
    at = np.sort(rng.choice(trades.num_rows, 4_000, replace=False))
    times = trades.column("ts_event").cast(pa.int64()).to_numpy()[at]
    platform.tell(_funded(int(times[2_000])), CASH_MOVEMENTS, CORPORATE_ACTIONS)
    platform.trade(times.tolist(), trades.column("price").to_numpy()[at].tolist())
    # Fills before the day's marks: so none is told behind an action that came after it.
    run_until_end(platform.log, [Positions])
    platform.work(Marks, Positions)

    def landed(name: str) -> str:
        files = platform.lake / name / "*/*.parquet"
        return f"(SELECT * FROM read_parquet('{files}', hive_partitioning = false))"

    with duckdb.connect() as duck:
        for topic in INPUTS:
            duck.execute(f"CREATE VIEW {topic.name} AS {landed(topic.name)}")
        cash, held = recomputed(duck)
        balances = duck.sql(
            f"SELECT account, currency, arg_max(balance, sequence) FROM {landed('balances')} GROUP BY ALL"
        ).fetchall()
        positions = duck.sql(
            f"""SELECT account, strategy, symbol, currency, arg_max(quantity, sequence) AS quantity
            FROM {landed("positions")} GROUP BY ALL"""
        ).fetchall()
        marked = duck.sql(f"SELECT count(*) FROM {landed('positions')} WHERE cause = 'mark'")
        assert marked.fetchall()[0][0] > 0
    assert {(account, currency): amount for account, currency, amount in balances} == cash
    assert {tuple(key): quantity for *key, quantity in positions if quantity} == held
    assert len(held) == 4
    checks = account_checks(platform.log, platform.store_url)
    assert [check.detail for check in checks if not check.ok] == []
    assert [check.terms for check in checks] == [
        {"read": 4_002, "booked": 4_002, "refused": 0},
        {"compared": 2, "equal": 2},
        {"compared": 4, "equal": 4},
        {"positions": 4, "equal": 4},
    ]


@pytest.mark.parametrize(
    ("statement", "claim"),
    [
        ("ALTER TABLE executions DELETE WHERE execution_id = 'x17'", "cash of fills"),
        (
            "ALTER TABLE executions UPDATE price = price + 0.01 WHERE execution_id = 'x17'",
            "cash of",
        ),
        ("ALTER TABLE balances DELETE WHERE cause_id = 'x17'", "fills and movements"),
        ("ALTER TABLE corporate_actions UPDATE amount = 0.96 WHERE action = 'dividend'", "cash of"),
        ("ALTER TABLE corporate_actions UPDATE numerator = 2 WHERE action = 'split'", "quantities"),
        ("ALTER TABLE lot_closings DELETE WHERE sequence = 5", "profit of closed lots"),
    ],
)
def test_what_is_changed_in_a_landed_table_is_found(
    platform: Platform, statement: str, claim: str
) -> None:
    middle = NOON + 3_600 * SECOND
    times = [NOON + at * 36 * SECOND for at in range(200)]
    prices = [180 + at % 7 / 100 for at in range(200)]
    platform.tell(_funded(middle), CASH_MOVEMENTS, CORPORATE_ACTIONS)
    platform.trade(times, prices)
    platform.work(Positions)
    # And some that are told when both actions are over, from before, between and behind them.
    platform.trade(times[::5], prices[::5], name="late")
    platform.work(Positions)
    assert platform.failing() == []
    with connect(platform.store_url) as client:
        client.command(statement, settings={"mutations_sync": 2})
    failing = platform.failing()
    assert any(check.claim.startswith(claim) for check in failing)
    assert all(check.detail for check in failing if check.claim.startswith(claim))


def test_what_has_not_landed_yet_is_no_difference(platform: Platform) -> None:
    assert account_checks(platform.log, platform.store_url) == []
    books = Books()
    books.cash("5")
    platform.tell(books, CASH_MOVEMENTS)
    platform.work(Positions)
    more = Books()
    more.cash("7", name="more")
    platform.tell(more, CASH_MOVEMENTS)
    run_until_end(platform.log, [Positions])
    assert platform.failing() == []
    assert account_checks(platform.log, platform.store_url)[0].terms["read"] == 1
