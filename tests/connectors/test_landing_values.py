"""What has landed is compared with the log by value: a row that was changed where it lies is told."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.client import Client

from connectors import landing_values
from connectors.checks import Check
from connectors.lander import Lander
from connectors.landing_audit import landing_checks
from connectors.landing_values import value_checks
from connectors.log import Log
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.market import TRADES
from schemas.registry import TOPICS
from tests.connectors.landing_rows import append_trades
from tests.golden.rows import golden_batch


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


def land(log: Log, store_url: str, lake: Path) -> None:
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()


def failing(checks: list[Check]) -> list[str]:
    return [check.detail.partition(":")[0] for check in checks if not check.ok]


def changed(path: Path, column: str) -> None:
    """A file again, one of a column's values another."""
    table = pq.read_table(path, partitioning=None)
    values = table.column(column).to_numpy().copy()
    values[len(values) // 2] += 0.01
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), [values]), path)


def test_rows_of_every_topic_are_the_same_in_both_sinks(
    log: Log, store_url: str, lake: Path
) -> None:
    batches = {topic: golden_batch(topic) for topic in TOPICS.values()}
    log.append([rows_record(topic, 0, batch) for topic, batch in batches.items()])
    land(log, store_url, lake)
    checks = value_checks(log, store_url, lake)
    assert failing(checks) == []
    assert len(checks) == 2 * len(TOPICS)
    assert all(check.terms == {"records": 1, "same": 1} for check in checks)


@pytest.mark.parametrize("at_once", [500_000, 500, 30])
def test_a_value_that_was_changed_in_clickhouse_is_told(
    log: Log,
    store_url: str,
    lake: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    """Counts held, and nothing else looked at the values."""
    monkeypatch.setattr(landing_values, "_ROWS_AT_ONCE", at_once)
    append_trades(log, 1, 60)
    land(log, store_url, lake)
    assert failing(value_checks(log, store_url, lake)) == []
    client.command(
        "ALTER TABLE trades UPDATE price = price + 0.01 WHERE _partition = 1 AND _offset = 7 AND _row = 0 "
        "SETTINGS mutations_sync = 1"
    )
    assert failing(landing_checks(log, store_url, lake)) == []
    checks = value_checks(log, store_url, lake)
    assert failing(checks) == ["trades[1] at offset 7"]
    (wrong,) = (check for check in checks if not check.ok)
    assert wrong.terms["records"] - wrong.terms["same"] == 1
    assert "in clickhouse" in wrong.detail


def test_a_value_that_was_changed_in_the_lake_is_told(log: Log, store_url: str, lake: Path) -> None:
    append_trades(log, 2, 60)
    land(log, store_url, lake)
    changed(min((lake / "trades").glob("*/*.parquet")), "price")
    assert failing(landing_checks(log, store_url, lake)) == []
    (wrong,) = (check for check in value_checks(log, store_url, lake) if not check.ok)
    assert "in lake" in wrong.detail
    assert wrong.terms["records"] - wrong.terms["same"] == 1


def test_rows_that_are_not_there_are_not_the_same(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    append_trades(log, 3, 60)
    land(log, store_url, lake)
    client.command("TRUNCATE TABLE trades")
    (wrong,) = (check for check in value_checks(log, store_url, lake) if not check.ok)
    assert wrong.terms["same"] == 0
    client.command("DROP TABLE trades")
    assert len(failing(value_checks(log, store_url, lake))) == 1


def test_what_is_cut_and_what_has_not_landed_are_not_compared(
    log: Log, store_url: str, lake: Path
) -> None:
    append_trades(log, 4, 60)
    log.append([rows_record(TRADES, 0, TRADES.empty())])
    land(log, store_url, lake)
    log.trim("trades", 0, 9)
    append_trades(log, 5, 3)
    (one, other) = value_checks(log, store_url, lake)
    assert one.ok
    assert other.ok
    assert one.terms["records"] < 120


def test_a_file_that_cannot_be_read_is_named(log: Log, store_url: str, lake: Path) -> None:
    append_trades(log, 6, 10)
    land(log, store_url, lake)
    file = min((lake / "trades").glob("*/*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    (told,) = (check.detail for check in value_checks(log, store_url, lake) if not check.ok)
    assert file.name in told


def test_sums_do_not_hang_on_how_rows_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record's rows lie all over a table; sums of parts are put together before there are too many."""
    batch = golden_batch(TRADES)
    rng = np.random.default_rng(1)
    places = rng.integers(0, 3, (batch.num_rows, 2))
    whole = landing_values._RecordSums()
    whole.add(TRADES, batch, places)
    monkeypatch.setattr(landing_values, "_PARTS", 5)
    parts = landing_values._RecordSums()
    for at in rng.permutation(batch.num_rows):
        parts.add(TRADES, batch.slice(at, 1), places[at : at + 1])
    assert parts.frame().equals(whole.frame())
