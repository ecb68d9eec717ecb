"""Where live rows meet the log: sessions end neither early nor never, and restarts go on."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.ledger import DONE, FileState, read_ledger
from connectors.feeds.pace import Clock
from connectors.feeds.source import FeedError
from connectors.live.adapter import Message, Parsed
from connectors.live.capture import CaptureWriter
from connectors.live.generic import GenericAdapter
from connectors.live.items import ClientOptions
from connectors.live.mapping import LiveMapping
from connectors.live.program import LiveOptions, replay_capture, replay_captures
from connectors.live.sink import LiveSink, SinkOptions
from connectors.log import Log, open_log
from connectors.receipts import receipt
from connectors.records import decode_rows, decode_watermarks, is_watermarks
from connectors.topics import create_topics
from schemas.feed_events import FEED_EVENTS
from schemas.market import TRADES
from tests.connectors.live.conftest import feeding, records, rows
from tests.connectors.live.test_client import MAPPING, adapter, numbers, trade
from tests.connectors.live.venue import Close, Hear, Say, Venue

SECOND = 1_000_000_000
MIDNIGHT = 1_767_571_200 * SECOND  # 2026-01-05T00:00:00Z
LATENESS = 5 * SECOND


def sink(log: Log, now_ns: int, **options: Any) -> tuple[GenericAdapter, LiveSink]:
    adapter = GenericAdapter(LiveMapping(**MAPPING), credentials={})
    given = {
        "calendar": "24/7",
        "lateness_ns": LATENESS,
        "clock": Clock(now_ns=lambda: now_ns),
        **options,
    }
    return adapter, LiveSink(log, adapter, SinkOptions(**given))


def message(number: int, symbol: str, seconds: float, recv_s: float | None = None) -> Message:
    """A trade so many seconds from midnight, received then or at another time."""
    ts = MIDNIGHT + round(seconds * SECOND)
    payload = json.dumps(
        {
            "type": "match",
            "symbol": symbol,
            "n": number,
            "time": f"{'2026-01-04T23:59' if seconds < 0 else '2026-01-05T00:00'}:{seconds % 60:012.9f}Z",
            "price": 1,
            "size": 1,
        }
    )
    received = ts if recv_s is None else MIDNIGHT + round(recv_s * SECOND)
    return Message(number=number, recv_ns=received, payload=payload.encode())


def trace(log: Log, key: str) -> list[tuple[str, float]]:
    """Rows and watermark rows of a key in log order, in seconds from midnight."""
    found = []
    for record in records(log, "trades"):
        if is_watermarks(record):
            batch, name, kind = decode_watermarks(record), "key", "watermark"
        else:
            batch, name, kind = decode_rows(TRADES, record), "symbol", "row"
        times = batch["ts_event"].cast("int64").to_pylist()
        found += [
            (kind, (time - MIDNIGHT) / SECOND)
            for symbol, time in zip(batch[name].to_pylist(), times, strict=True)
            if symbol == key
        ]
    return found


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_session_ends_when_no_row_of_it_may_come_any_more(log: Log, size: int) -> None:
    said = [
        message(1, "A", -2),
        message(2, "B", 3),
        message(3, "A", -1),
        message(4, "B", 5.5),
        message(5, "A", 6),
    ]
    adapter, one = sink(log, MIDNIGHT + 60 * SECOND)
    for at in range(0, len(said), size):
        part = said[at : at + size]
        one.take(part, adapter.parse(part))
    one.finish()
    one.close()
    assert trace(log, "A") == [("row", -2), ("row", -1), ("watermark", 0), ("row", 6)]
    # The next session is not over: a live source's end is no end.
    assert trace(log, "B") == [("row", 3), ("watermark", 0), ("row", 5.5)]


def test_a_venue_whose_clock_runs_ahead_ends_no_session(log: Log) -> None:
    adapter, one = sink(log, MIDNIGHT + SECOND)
    said = [message(1, "A", -2), message(2, "B", 40, recv_s=-1), message(3, "A", -1)]
    one.take(said, adapter.parse(said))
    one.finish()
    one.close()
    assert trace(log, "A") == [("row", -2), ("row", -1)]


def test_the_end_of_a_recording_ends_its_sessions_and_is_in_the_ledger(log: Log) -> None:
    state = FileState(name="folder/wire.jsonl", topic="")
    adapter, one = sink(log, MIDNIGHT + 60 * SECOND, live=False, file=("digest", state))
    said = [message(1, "A", -2), message(2, "A", 7)]
    one.take(said, adapter.parse(said))
    one.finish()
    one.close()
    assert trace(log, "A") == [("row", -2), ("watermark", 0), ("row", 7), ("watermark", 86_400)]
    (run,) = read_ledger(log).runs.values()
    assert (run.status, run.files["digest"].rows, run.files["digest"].status) == (DONE, 2, DONE)
    assert read_ledger(log).known_ns("trades", "A") == MIDNIGHT + 86_400 * SECOND


def test_a_source_that_starts_again_goes_on_behind_what_it_had(log: Log) -> None:
    for start in (1, 3):
        adapter, one = sink(log, MIDNIGHT + 60 * SECOND)
        said = [message(number, "A", number) for number in (start, start + 1)]
        one.take(said, adapter.parse(said))
        one.finish()
        one.close()
    assert [row["trade_id"] for row in rows(log, "trades")] == ["1", "2", "3", "4"]
    assert rows(log, "feed_events") == []


class _Dies(GenericAdapter):
    """Ends in the midst of its work, as a killed process does."""

    left = 3

    def parse(self, messages: Sequence[Message]) -> Parsed:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().parse(messages)


def test_a_replay_that_was_killed_is_gone_on_with(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    writer = CaptureWriter(path)
    numbers = [*range(1, 40), *range(45, 60), 50, *range(60, 99)]
    for at, number in enumerate(numbers, 1):
        said = message(number, "AB"[at % 2], at / 10 - 5)
        writer.write([replace(said, number=at)])
    writer.close()
    options = LiveOptions(
        sink=SinkOptions(calendar="24/7", lateness_ns=0), client=ClientOptions(batch_messages=7)
    )
    mapping = LiveMapping(**MAPPING)
    topics = [TRADES, FEED_EVENTS]

    with open_log(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        create_topics(whole, 2)
        counts = replay_capture(whole, GenericAdapter(mapping, credentials={}), path, options)
        with pytest.raises(KeyboardInterrupt):
            replay_capture(log, _Dies(mapping, credentials={}), path, options)
        assert 0 < len(rows(log, "trades")) <= 21
        again = replay_capture(log, GenericAdapter(mapping, credentials={}), path, options)
        assert again == counts
        assert receipt(log, topics) == receipt(whole, topics)
        for symbol in "AB":
            assert trace(log, symbol) == trace(whole, symbol)
    with pytest.raises(FeedError, match="was fed before"):
        replay_capture(log, GenericAdapter(mapping, credentials={}), path, options)


def test_a_session_behind_all_that_the_calendar_knows_ends_too(log: Log, tmp_path: Path) -> None:
    """Its end was held to be the start of the last session that is known: its last bars were never written."""
    path = tmp_path / "wire.jsonl"
    writer = CaptureWriter(path)
    first = message(1, "A", 1)
    told = first.payload.replace(b"2026-01-05T00", b"2050-06-15T10")
    writer.write([replace(first, payload=told, recv_ns=2_538_900_001 * SECOND)])
    writer.close()
    options = LiveOptions(
        sink=SinkOptions(calendar="XNYS", clock=Clock(now_ns=lambda: 2_538_900_010 * SECOND))
    )
    replay_capture(log, GenericAdapter(LiveMapping(**MAPPING), credentials={}), path, options)
    (_, row), (kind, end) = trace(log, "A")
    assert kind == "watermark"
    assert row < end <= row + 86_400


def test_recordings_of_one_session_are_one_session(log: Log, tmp_path: Path) -> None:
    """The first one ended the session, and all rows of the second were late for its bars."""
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    for at, path in enumerate(paths):
        writer = CaptureWriter(path)
        said = [message(1 + line, "AB"[at % 2], 10 * at + line) for line in range(5)]
        writer.write([*said, replace(message(6, "ABC"[at], 10 * at + 6), number=6)])
        writer.close()
    options = LiveOptions(
        sink=SinkOptions(calendar="24/7", lateness_ns=0), client=ClientOptions(batch_messages=1)
    )
    mapping = LiveMapping(**MAPPING)

    def open_adapter() -> GenericAdapter:
        return GenericAdapter(mapping, credentials={})

    with open_log(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        create_topics(whole, 2)
        counts = list(replay_captures(whole, open_adapter, paths, options))
        assert [one.rows for one in counts] == [{"trades": 6}] * 3
        assert all("behind" not in one.events for one in counts)
        # Killed in the midst of the second, the same call goes on there.
        assert next(replay_captures(log, open_adapter, paths, options)).messages == 6
        with pytest.raises(KeyboardInterrupt):
            replay_capture(log, _Dies(mapping, credentials={}), paths[1], options, more=True)
        again = list(replay_captures(log, open_adapter, paths, options))
        assert [one.messages for one in again] == [0, 6, 6]
        for one in (log, whole):
            assert receipt(one, [TRADES]) == receipt(whole, [TRADES])
            for symbol in "ABC":
                # A session ends once, behind all its rows.
                *before, last = trace(one, symbol)
                assert last[0] == "watermark"
                assert {kind for kind, _ in before} == {"row"}
    with pytest.raises(FeedError, match="was fed before"):
        list(replay_captures(log, open_adapter, paths, options))


def test_a_recording_tells_where_numbers_begin_anew(log: Log, tmp_path: Path) -> None:
    """All that came over the second connection was left out of a replay as duplicates."""
    path = tmp_path / "wire.jsonl"
    scripts = [
        [Hear(), *(Say(trade(number)) for number in (1, 2, 3)), Close()],
        [Hear(), *(Say(trade(number)) for number in (1, 2, 2, 5))],
    ]
    with Venue(scripts).running() as venue:
        live = adapter(venue, sequence_restarts=True)
        with feeding(log, live, capture=path) as running:
            running.until(lambda: 5 in numbers(log))
    assert numbers(log) == [1, 2, 3, 1, 2, 5]

    # A replay has no credentials, and may be cut into any parts and gone on with.
    mapping = LiveMapping(**MAPPING, sequence_restarts=True)
    options = LiveOptions(client=ClientOptions(batch_messages=2))
    with open_log(f"sqlite:///{tmp_path / 'other.db'}") as other:
        create_topics(other, 2)
        with pytest.raises(KeyboardInterrupt):
            replay_capture(other, _Dies(mapping, credentials={}), path, options)
        counts = replay_capture(other, GenericAdapter(mapping, credentials={}), path, options)
        assert receipt(other, [TRADES]) == receipt(log, [TRADES])
    assert (counts.rows, counts.rejected) == ({"trades": 6}, 0)
    assert counts.events == {"duplicate": 1, "gap": 1}


def test_a_bad_line_of_a_recording_is_a_dead_letter_with_its_bytes(
    log: Log, tmp_path: Path
) -> None:
    path = tmp_path / "wire.jsonl"
    lines = [
        b"%d %s" % (one.recv_ns, one.payload) for one in (message(1, "A", 1), message(2, "A", 2))
    ]
    path.write_bytes(b"\n".join([lines[0], b"torn", lines[1], lines[1][:25]]) + b"\n")
    options = LiveOptions(sink=SinkOptions(calendar="24/7", lateness_ns=0))
    adapter = GenericAdapter(LiveMapping(**MAPPING), credentials={})
    counts = replay_capture(log, adapter, path, options)
    assert (counts.messages, counts.rows, counts.rejected) == (4, {"trades": 2}, 2)
    letters = rows(log, "dead_letter")
    assert [(one["source_offset"], one["payload"]) for one in letters] == [
        (2, b"torn"),
        (4, lines[1][20:25]),
    ]


def test_a_recording_that_another_source_began_is_not_gone_on_with(
    log: Log, tmp_path: Path
) -> None:
    path = tmp_path / "wire.jsonl"
    writer = CaptureWriter(path)
    writer.write([message(number, "A", number) for number in range(1, 40)])
    writer.close()
    options = LiveOptions(
        sink=SinkOptions(calendar="24/7", lateness_ns=0), client=ClientOptions(batch_messages=7)
    )
    with pytest.raises(KeyboardInterrupt):
        replay_capture(log, _Dies(LiveMapping(**MAPPING), credentials={}), path, options)
    before = len(rows(log, "trades"))
    other = GenericAdapter(LiveMapping(**{**MAPPING, "name": "other"}), credentials={})
    with pytest.raises(FeedError, match="begun in another way"):
        replay_capture(log, other, path, options)
    assert len(rows(log, "trades")) == before


def test_a_sequence_number_near_the_end_of_all_numbers_ends_nothing(log: Log) -> None:
    adapter, one = sink(log, MIDNIGHT + 60 * SECOND)
    said = [message(number, "A", 1) for number in (1, 2**64 - 1, 2**63 - 1, 2)]
    said = [replace(message_, number=at) for at, message_ in enumerate(said, 1)]
    one.take(said, adapter.parse(said))
    one.close()
    assert one.counts.rejected == 1
    assert [row["trade_id"] for row in rows(log, "trades")] == ["1", str(2**63 - 1), "2"]
