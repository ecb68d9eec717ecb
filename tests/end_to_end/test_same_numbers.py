"""The same market gives the same numbers: whatever log, partitions, workers, order of files."""

import random
import zipfile
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.log import Log, open_log
from connectors.receipts import receipt
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.catalog import catalog
from flows.engines import bytewax, local
from flows.engines.compare import compare
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from schemas.bars import BARS
from schemas.indicators import INDICATORS
from schemas.market import TRADES
from serving.audit import audit
from tests.conftest import skip_or_fail
from tests.serving.proofs import land

TOPICS = [TRADES, BARS, INDICATORS]
FLOWS = ["bars", "indicators"]


def digests(log: Log) -> dict[str, tuple[int, str]]:
    return {one.topic: (one.rows, one.digest) for one in receipt(log, TOPICS)}


def trade_files(shared: Path, symbols: list[str]) -> list[list[Path]]:
    return [sorted((shared / "ticks/us_equity_taq" / one).glob("*_trade.zip")) for one in symbols]


@pytest.fixture(scope="module")
def reference(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """One partition, all files at once, the local engine."""
    path = tmp_path_factory.mktemp("reference") / "log.db"
    with open_log(f"sqlite:///{path}") as log:
        create_topics(log, 1)
        files = [file for one in trade_files(shared, ["aig", "bac", "ibm"]) for file in one]
        feed(log, files, FeedOptions())
        local.run_until_end(log, [catalog()[name] for name in FLOWS])
        return digests(log)


@pytest.mark.shared
@pytest.mark.parametrize(("partitions", "workers", "seed"), [(1, 1, 1), (2, 2, 2), (4, 2, 3)])
def test_symbols_in_any_order_on_any_shards_give_the_same_bars(
    shared: Path,
    tmp_path: Path,
    reference: dict[str, tuple[int, str]],
    partitions: int,
    workers: int,
    seed: int,
) -> None:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, partitions)
        days = trade_files(shared, random.Random(seed).sample(["aig", "bac", "ibm"], 3))
        for files in days:
            feed(log, files, FeedOptions(batch_rows=1_000 * seed))
            bytewax.run(log.url, FLOWS, workers=workers, until_end=True)
        assert digests(log) == reference


@pytest.mark.shared
@pytest.mark.kafka
def test_kafka_gives_the_same_bars_lands_them_and_stands_an_audit(
    shared: Path, tmp_path: Path, store_url: str, reference: dict[str, tuple[int, str]]
) -> None:
    with ExitStack() as stack:
        try:
            # A broker of its own: the topics have the platform's names.
            address = stack.enter_context(start_broker())
        except BrokerError as error:
            skip_or_fail("kafka", str(error))
        with open_log(f"kafka://{address}") as log:
            create_topics(log, 3)
            for files in trade_files(shared, ["ibm", "aig", "bac"]):
                feed(log, files, FeedOptions())
            bytewax.run(log.url, FLOWS, until_end=True)
            assert digests(log) == reference
            found = [
                one
                for name in FLOWS
                for at in range(3)
                for one in compare(log, catalog()[name], at)
            ]
            assert found
            assert all(one.identical for one in found)
            land(log, store_url, tmp_path / "lake")
            checks = audit(log, store_url, tmp_path / "lake")
            assert checks
            assert [check for check in checks if not check.ok] == []


@pytest.mark.shared
@pytest.mark.parametrize(("symbol", "least"), [("aig", 0.98), ("bac", 0.99), ("ibm", 0.98)])
def test_our_minute_bars_are_the_vendors(
    shared: Path, tmp_path: Path, symbol: str, least: float
) -> None:
    """Why the rest differ is said in `connectors.feeds.conditions`."""
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, 1)
        feed(log, trade_files(shared, [symbol])[0], FeedOptions())
        local.run_until_end(log, [catalog()["bars"]])
        batches = [batch for _, batch in scan_rows(log, BARS, 0)]
    ours = pl.concat([pl.DataFrame(batch) for batch in batches], how="vertical_relaxed")
    ours = ours.filter(pl.col("interval").cast(pl.String) == "1m")
    theirs = vendor_bars(shared, symbol)
    both = theirs.join(ours, on="ts_start", how="left")
    same = both.select(
        pl.all_horizontal(
            pl.col(f"{name}_vendor").eq(pl.col(name)).fill_null(value=False)
            for name in ("open", "high", "low", "close", "volume")
        )
    ).to_series()
    assert same.mean() >= least


def vendor_bars(shared: Path, symbol: str) -> pl.DataFrame:
    columns = ["ms", "open", "high", "low", "close", "volume"]
    days = []
    for file in sorted((shared / "ohlcv/us_equity_bars/minute" / symbol).glob("*_trade.zip")):
        with zipfile.ZipFile(file) as archive:
            text = archive.read(archive.namelist()[0])
        day = pl.read_csv(text, has_header=False, new_columns=columns)
        midnight = (
            pl.lit(file.name[:8]).str.to_datetime("%Y%m%d").dt.replace_time_zone("America/New_York")
        )
        start = (
            (midnight + pl.duration(milliseconds="ms"))
            .dt.convert_time_zone("UTC")
            .dt.cast_time_unit("ns")
        )
        # By numpy: polars multiplies by the reciprocal, which is off in the last bit.
        prices = [
            pl.Series(f"{name}_vendor", day[name].to_numpy() / 10_000.0) for name in columns[1:5]
        ]
        volume = day["volume"].cast(pl.Float64).alias("volume_vendor")
        days.append(day.select(start.alias("ts_start"), *prices, volume))
    return pl.concat(days)
