"""A live feed of real Binance messages: what a message costs from the wire to the log, beside reading its JSON only."""

import gzip
import tempfile
import time
from pathlib import Path
from statistics import median

import orjson

from bench.report import Result
from connectors.live.adapter import Message
from connectors.live.sink import LiveSink, SinkOptions
from connectors.live.sources import LiveSource, open_adapter
from connectors.log import open_log
from connectors.topics import create_topics

_CAPTURE = (
    Path(__file__).resolve().parents[2]
    / "shared"
    / "data"
    / "ticks"
    / "binance"
    / "usdm_btcusdt_20240808.jsonl.gz"
)
# What waits after a pause of some hundredths of a second: the fewer, the dearer each.
_BATCHES = (16, 1024)


def run(quick: bool) -> list[Result]:
    """Messages a second of processor time; none where the shared data are absent."""
    if not _CAPTURE.exists():
        return []
    messages = _messages(10_000 if quick else 50_000)
    rounds = 3 if quick else 5
    plain = len(messages) / median(_reading(messages) for _ in range(rounds))
    return [
        Result(
            name=f"live Binance messages into a SQLite log, {batch:,} a commit",
            value=len(messages) / median(_feeding(messages, batch) for _ in range(rounds)),
            unit="messages/s of processor time",
            baseline=plain,
            baseline_name="orjson.loads only",
            note="USD-M: trades, best quotes, depth with a row a level",
        )
        for batch in _BATCHES
    ]


def _messages(count: int) -> list[Message]:
    messages = []
    with gzip.open(_CAPTURE) as file:
        for number, line in enumerate(file, 1):
            recv, payload = line.rstrip().split(b" ", 1)
            messages.append(Message(number=number, recv_ns=int(recv), payload=payload))
            if number == count:
                break
    return messages


def _reading(messages: list[Message]) -> float:
    began = time.process_time()
    for message in messages:
        orjson.loads(message.payload)
    return time.process_time() - began


def _feeding(messages: list[Message], batch: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_log(f"sqlite:///{folder}/log.db") as log,
    ):
        create_topics(log, 1)
        adapter = open_adapter(LiveSource(name="binance-usdm"))
        sink = LiveSink(log, adapter, SinkOptions())
        began = time.process_time()
        for at in range(0, len(messages), batch):
            part = messages[at : at + batch]
            sink.take(part, adapter.parse(part))
        sink.finish()
        spent = time.process_time() - began
        sink.close()
    return spent
