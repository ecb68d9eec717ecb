"""Reading market data files into validated batches, beside other readers of the same bytes."""

import gzip
import tempfile
import time
import zipfile
from pathlib import Path

import databento_dbn
import numpy as np
import pandas as pd
import zstandard

from bench.report import Result, seconds
from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.dbn import Dbn
from connectors.feeds.lobster import Lobster
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Format
from connectors.feeds.taq import Taq
from connectors.log import open_log
from connectors.topics import create_topics

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "ticks"
_BLOCK_BYTES = 1 << 21
_WANTED = "1 M rows/s"
_QUOTES = "aig/20131009_quote.zip"
_TRADES = "spy/20131008_trade.zip"
_RECORDS = "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
_MESSAGES = "GOOG_2012-06-21_34200000_57600000_message_10.csv.gz"


def run(quick: bool) -> list[Result]:
    """Rows a second of each format, and of a whole feed into a SQLite log."""
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        taq, real = _SHARED / "us_equity_taq", _SHARED.is_dir()
        messages = _SHARED / "lobster" / _MESSAGES
        if not real:
            taq = _generated_taq(folder / "taq")
            messages = _generated_messages(folder / "messages" / _MESSAGES)
        note = "real files" if real else "generated files: the shared data are absent"
        # Without the orderbook file that may lie beside it.
        alone = folder / _MESSAGES
        alone.symlink_to(messages.resolve())
        results = [
            _reading("TAQ quotes into batches", Taq(VENDOR), taq / _QUOTES, rounds, note),
            _reading("TAQ trades into batches", Taq(VENDOR), taq / _TRADES, rounds, note),
            _reading("LOBSTER messages into batches", Lobster(), alone, rounds, note),
        ]
        if real:
            # Generated ones would flatter: what makes these hard is what real markets do.
            results += [_pairs(messages, rounds), _records(_SHARED / "cme_mbo" / _RECORDS, rounds)]
        return [*results, _feeding(folder, taq / _QUOTES, note)]


def _reading(name: str, form: Format, path: Path, rounds: int, note: str) -> Result:
    rows = _read(form, path)
    ours = rows / seconds(lambda: _read(form, path), rounds)
    pandas_s = seconds(lambda: pd.read_csv(path, header=None), rounds)
    return Result(
        name=name,
        value=ours,
        unit="rows/s",
        wanted=_WANTED,
        baseline=rows / pandas_s,
        baseline_name="pandas.read_csv, text only",
        note=note,
    )


def _pairs(messages: Path, rounds: int) -> Result:
    """Messages a second, not rows: the orderbook file adds some."""
    orderbook = messages.with_name(messages.name.replace("_message_", "_orderbook_"))
    count = len(pd.read_csv(messages, header=None))
    both = (messages, orderbook)
    pandas_s = seconds(lambda: [pd.read_csv(path, header=None) for path in both], rounds)
    _read(Lobster(), messages)
    return Result(
        name="LOBSTER pairs of ten levels into batches",
        value=count / seconds(lambda: _read(Lobster(), messages), rounds),
        unit="messages/s",
        wanted=_WANTED,
        baseline=count / pandas_s,
        baseline_name="pandas.read_csv of both, text only",
        note="real files",
    )


def _records(path: Path, rounds: int) -> Result:
    """Both parts: a file is read once for its book events and once for its trades."""

    def decoded() -> int:
        decoder = databento_dbn.DBNDecoder()
        with path.open("rb") as file:
            decoder.write(zstandard.ZstdDecompressor().stream_reader(file).read())
        return len(decoder.decode()) - 1

    count = decoded()
    _read(Dbn(), path)
    return Result(
        name="Databento market-by-order records into batches",
        value=count / seconds(lambda: _read(Dbn(), path), rounds),
        unit="records/s",
        wanted=_WANTED,
        baseline=count / seconds(decoded, rounds),
        baseline_name="databento-dbn into record objects",
        note="real files; book events and trades",
    )


def _read(form: Format, path: Path) -> int:
    rows = 0
    for source in form.open(probe(path), _BLOCK_BYTES):
        read = batches(source, after_line=0, window=Window(), latest_ns=time.time_ns())
        rows += sum(batch.batch.num_rows for batch in read)
    return rows


def _feeding(folder: Path, path: Path, note: str) -> Result:
    """One round: a log takes a file once."""
    with open_log(f"sqlite:///{folder / 'log.db'}") as log:
        create_topics(log, 2)
        began = time.perf_counter()
        summary = feed(log, [path], FeedOptions())
        passed = time.perf_counter() - began
    return Result(
        name="feed of TAQ quotes into a SQLite log",
        value=sum(summary.rows.values()) / passed,
        unit="rows/s",
        note=note,
    )


def _generated_taq(folder: Path) -> Path:
    rows = 500_000
    random = np.random.default_rng(1)
    ms = np.sort(random.integers(34_200_000, 57_600_000, rows))
    price = 490_000 + 100 * random.integers(0, 50, rows)
    size = 100 * random.integers(1, 20, rows)
    quotes = [f"{at},{p},{s},0,0,N,1,0\n" for at, p, s in zip(ms, price, size, strict=True)]
    trades = [f"{at},{p},{s},P,20000020,0\n" for at, p, s in zip(ms, price, size, strict=True)]
    for name, kind, lines in ((_QUOTES, "Quote", quotes), (_TRADES, "Trade", trades)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name[4:12]}_{name[:3]}_{kind}_Tick.csv", "".join(lines))
    return folder


def _generated_messages(path: Path) -> Path:
    rows = 150_000
    random = np.random.default_rng(1)
    ns = np.sort(random.integers(34_200 * 10**9, 57_600 * 10**9, rows))
    lines = [
        f"{at // 10**9}.{at % 10**9:09d},1,{number},100,5794000,1\n" for number, at in enumerate(ns)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path
