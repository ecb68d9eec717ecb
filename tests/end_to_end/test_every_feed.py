"""One file of every kind that is fed, through every flow, into both sinks: the audit holds, and a replay is the same."""

import io
from pathlib import Path

import orjson
import pytest

from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.lander import Lander
from connectors.log import Log, open_log
from connectors.topics import create_topics
from flows.catalog import catalog
from flows.engines.local import run_until_end
from serving.audit import run_audit
from serving.replay import run_replay
from serving.settings import Settings
from tests.stores import store_process

# A call of `feed` each: files of one symbol and day belong together.
_CALLS = (
    ("ticks/us_equity_taq/ibm/20131007_quote.zip", "ticks/us_equity_taq/ibm/20131007_trade.zip"),
    ("ticks/lobster/AAPL_2012-06-21_34200000_57600000_message_1.csv.gz",),
    ("ticks/fx/fxcm_eurusd/20140504_quote.zip", "ticks/fx/oanda_eurusd/20140504_quote.zip"),
    ("ticks/gold_futures/20131007_trade.zip",),
    (
        "ticks/cme_mbo/esh4-glbx-mdp3-20231224.mbo.dbn.zst",
        "ticks/cme_mbo/esh4-glbx-mdp3-20231225.mbo.dbn.zst",
    ),
    ("ticks/binance/spot_ethusdt_20240808.jsonl.gz",),
    ("ticks/bitstamp_l3/2015-05-01.raw.log.gz",),
    ("ticks/iex/DEEP10.pcap.gz",),
    ("ticks/iex/TOPS16.pcapng.gz",),
    ("reference/fix/FIX.09-Jan-2018.log.gz",),
    ("ohlcv/us_equity_bars/minute/ibm/20131007_trade.zip",),
    ("ohlcv/gbpusd_m1_bid_2012.csv.gz", "ohlcv/gbpusd_m1_ask_2012.csv.gz"),
)
_DEAD_LETTERS = 1  # the last packet of DEEP10 breaks off


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kind_of_file_goes_the_whole_way(shared: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_log(settings.log) as log:
        create_topics(log, 1)
        summaries = [feed(log, [shared / path for path in call], FeedOptions()) for call in _CALLS]
        assert all(summary.rows for summary in summaries)
        assert sum(summary.rejected for summary in summaries) == _DEAD_LETTERS
        run_until_end(log, list(catalog().values()))
        with store_process(tmp_path / "store"):
            with Lander(log, settings.store, settings.lake_path) as lander:
                lander.run_until_end()
            told = io.StringIO()
            assert (
                run_audit(
                    log, settings.store, settings.lake_path, values=True, as_json=True, out=told
                )
                == 0
            ), told.getvalue()
        _replays_are_the_same(log)


def _replays_are_the_same(log: Log) -> None:
    told = io.StringIO()
    assert run_replay(log, [], as_json=True, out=told) == 0, told.getvalue()
    compared = {one["topic"]: one["rows_in_log"] for one in orjson.loads(told.getvalue())}
    for name in ("bars", "indicators", "nbbo", "book_top", "trade_signs", "composite_quotes"):
        assert compared[name] > 1_000, name
