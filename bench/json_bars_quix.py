"""1-minute bars of one-event JSON trades with Quix Streams, as its documentation writes them.

`bench_json_bars` runs it in a process of its own: ``python -m bench.json_bars_quix BROKER COUNT``.
It prints one JSON object: messages, and seconds from the first to the last of them.
"""

import json
import sys
import tempfile
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import uuid4

from quixstreams import Application


def main(broker: str, count: int) -> None:
    times: list[float] = []
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=broker,
            consumer_group=f"quix-{uuid4().hex}",
            auto_offset_reset="earliest",
            state_dir=state,
            loglevel="ERROR",
            on_message_processed=lambda *_: times.append(perf_counter()),
        )
        trades = app.topic(
            "trades.in",
            key_deserializer="str",
            timestamp_extractor=lambda value, *_: value["ts_event"] // 1_000_000,
        )
        bars = app.topic("bars.quix", key_serializer="str")
        frame = app.dataframe(trades)
        frame = frame.tumbling_window(timedelta(minutes=1)).reduce(_add, _first).final()
        frame.to_topic(bars)
        app.run(count=count, timeout=30)
    print(json.dumps({"messages": len(times), "seconds": times[-1] - times[0]}))


def _first(trade: dict[str, Any]) -> dict[str, Any]:
    price = trade["price"]
    return {
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": trade["size"],
        "count": 1,
    }


def _add(bar: dict[str, Any], trade: dict[str, Any]) -> dict[str, Any]:
    price = trade["price"]
    return {
        "open": bar["open"],
        "high": max(bar["high"], price),
        "low": min(bar["low"], price),
        "close": price,
        "volume": bar["volume"] + trade["size"],
        "count": bar["count"] + 1,
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
