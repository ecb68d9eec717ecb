"""The clock passes time on for keys of live sources only, and never further than every source of a key has come."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from connectors.clock import Clock
from connectors.log import Headers, Log, open_log
from connectors.records import decode_watermarks, is_watermarks, rows_record
from connectors.scan import scan_records
from connectors.topics import create_topics
from schemas.codec import HEADER_LIVE, HEADER_SOURCE
from schemas.market import TRADES
from schemas.partition import partition_of
from schemas.registry import market_topics

SECOND = 1_000_000_000
START = 1_767_632_400 * SECOND
LATENESS = 2 * SECOND
KEYS = ("A", "B", "C", "D")
HISTORY = ("H", "I")


@dataclass
class Source:
    """What is known of a live source by brute force."""

    largest_ns: int = 0
    appended_ns: int = 0
    keys: set[str] = field(default_factory=set)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("live"),
            st.sampled_from(["one", "two"]),
            st.sampled_from(KEYS),
            st.integers(-30, 60),
        ),
        # History that is being fed, of years ago or of today; that it pauses or is killed is that none comes.
        st.tuples(st.just("history"), st.sampled_from(HISTORY + KEYS[:1]), st.integers(0, 10**6)),
        st.tuples(st.just("tick"), st.integers(0, 120)),
        st.tuples(st.just("killed")),
    ),
    min_size=5,
    max_size=25,
)


@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@drawn(steps=STEPS)
def test_only_keys_of_live_sources_are_told_a_time_and_none_beyond_its_sources(
    steps: list[tuple],
) -> None:
    with TemporaryDirectory() as folder, open_log(f"sqlite:///{Path(folder) / 'log.db'}") as log:
        create_topics(log, 1)
        sources: dict[str, Source] = {}
        clock = Clock(log, lateness_ns=LATENESS)
        wall = 0
        said = {topic.name: dict[str, int]() for topic in market_topics()}
        for step in steps:
            if step[0] == "live":
                _, name, key, ahead = step
                time = START + ahead * SECOND
                appended = trade(
                    log, key, time, ((HEADER_LIVE, b"1"), (HEADER_SOURCE, name.encode()))
                )
                source = sources.setdefault(name, Source())
                source.keys.add(key)
                if time > source.largest_ns:
                    source.largest_ns, source.appended_ns = time, appended
                wall = max(wall, appended)
            elif step[0] == "history":
                _, key, ago = step
                wall = max(wall, trade(log, key, START - ago * SECOND, ()))
            elif step[0] == "killed":
                clock = Clock(log, lateness_ns=LATENESS)
            else:
                clock.read()
                wall += step[1] * SECOND
                clock.tick(wall)
                check(log, said, sources, wall)


def check(log: Log, said: dict[str, dict[str, int]], sources: dict[str, Source], wall: int) -> None:
    """All watermark rows of the log, against what each source of their key has come to by now."""
    for topic, before in said.items():
        newest: dict[str, int] = {}
        for record in scan_records(log, topic, 0):
            if is_watermarks(record):
                batch = decode_watermarks(record)
                times = batch.column("ts_event").cast("int64").to_pylist()
                for key, time in zip(batch.column("key").to_pylist(), times, strict=True):
                    assert time >= newest.get(key, 0), "time does not go back"
                    newest[key] = time
        for key, time in newest.items():
            own = [one for one in sources.values() if key in one.keys]
            assert own, f"{key} is of no live source and must not be closed"
            if time != before.get(key):
                bound = min(one.largest_ns + wall - one.appended_ns for one in own)
                assert time <= bound - LATENESS
        before.update(newest)
    live = {key for one in sources.values() for key in one.keys}
    assert set(said["quotes"]) == live, (
        "a quiet key of a live source is told in topics without rows"
    )


def trade(log: Log, symbol: str, time_ns: int, headers: Headers) -> int:
    """Append one trade; the time at which the log took it."""
    batch = TRADES.batch(
        {
            "symbol": [symbol],
            "venue": ["X"],
            "ts_event": [time_ns],
            "ts_recv": [time_ns],
            "price": [10.0],
            "size": [1.0],
            "updates_high_low": [True],
            "updates_last": [True],
            "updates_volume": [True],
            "action": ["new"],
        }
    )
    log.append([rows_record(TRADES, partition_of(symbol, 1), batch, headers=headers)])
    last = log.last("trades", 0)
    assert last is not None
    return last.append_time_ns
