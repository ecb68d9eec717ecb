"""Databento files: every record against Databento's own decoder, and events against a plain reading."""

import random
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn as dbn
import numpy as np
import polars as pl
import pytest
import zstandard

from connectors.feeds.archive import probe
from connectors.feeds.dbn import Dbn
from connectors.feeds.dbn_records import MBO
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import BrokenFileError, Fault, FeedError, Source

NOW_NS = 1_767_268_800_000_000_000
DAY_NS = 1_703_462_400_000_000_000  # 2023-12-25
ACTIONS = {"A": "add", "C": "cancel", "M": "modify", "F": "fill", "R": "clear"}
SIDES = {"B": "buy", "A": "sell", "N": None}
LAST, SNAPSHOT = 128, 32


def opened(path: Path, block_bytes: int = 1 << 20) -> dict[str, Source]:
    return {source.part: source for source in Dbn().open(probe(path), block_bytes)}


def read(source: Source, after_line: int = 0) -> tuple[pl.DataFrame, list[Fault]]:
    found = list(batches(source, after_line=after_line, window=Window(), latest_ns=NOW_NS))
    rows = [
        pl.DataFrame(batch.batch).with_columns(line=pl.Series(batch.lines, dtype=pl.Int64))
        for batch in found
    ]
    return pl.concat(rows), [fault for batch in found for fault in batch.faults]


def metadata(**other: Any) -> bytes:
    # The encoder asks for attributes; the library's own classes of these are protocols.
    mappings = [
        SimpleNamespace(
            raw_symbol=name,
            intervals=[
                SimpleNamespace(
                    start_date=date(2023, 12, 25), end_date=date(2023, 12, 26), symbol=str(number)
                )
            ],
        )
        for number, name in enumerate(("esh4", "NQH4", "YMH4"), 1)
    ]
    told: dict[str, Any] = {
        "dataset": "GLBX.MDP3",
        "start": DAY_NS,
        "stype_in": dbn.SType.RAW_SYMBOL,
        "stype_out": dbn.SType.INSTRUMENT_ID,
        "schema": dbn.Schema.MBO,
        "mappings": mappings,
    }
    return dbn.Metadata(**told | other).encode()


def record(at: int, action: str, *, instrument: int = 1, flags: int = LAST, **other: Any) -> bytes:
    values: dict[str, Any] = {
        "length": 14,
        "rtype": 0xA0,
        "publisher_id": 1,
        "instrument_id": instrument,
        "ts_event": DAY_NS + 1000 * at,
        "ts_recv": DAY_NS + 1000 * at + 7,
        "order_id": 1 + at,
        "price": 4_800_250_000_000,
        "size": 3,
        "flags": flags,
        "action": ord(action),
        "side": ord("B"),
        "sequence": at,
    }
    made = np.zeros(1, MBO)
    for name, value in (values | other).items():
        made[name] = value
    return made.tobytes()


def file(folder: Path, *records: bytes, head: bytes | None = None) -> Path:
    path = folder / "day.mbo.dbn.zst"
    data = (metadata() if head is None else head) + b"".join(records)
    path.write_bytes(zstandard.compress(data))
    return path


@pytest.mark.shared
@pytest.mark.parametrize("day", ["20231224", "20231225"])
def test_every_value_is_that_of_databentos_decoder(shared: Path, day: str) -> None:
    path = shared / "ticks/cme_mbo" / f"esh4-glbx-mdp3-{day}.mbo.dbn.zst"
    decoder = dbn.DBNDecoder()
    with path.open("rb") as file:
        decoder.write(zstandard.ZstdDecompressor().stream_reader(file).read())
    records = decoder.decode()[1:]
    for topic, wanted in (("book_events", "ACMFR"), ("trades", "T")):
        got, faults = read(opened(path)[topic])
        assert faults == []
        synthetic = got.filter((pl.col("line") == 1) & (pl.col("action") == "clear"))
        assert len(synthetic) == (topic == "book_events")
        got = got.filter(pl.col("action") != "clear")
        mine = [at for at in records if str(at.action) in wanted]
        times = [at.ts_recv if int(at.flags) & SNAPSHOT else at.ts_event for at in mine]
        assert got["ts_event"].to_physical().to_list() == times
        assert got["price"].to_list() == [at.price / 1e9 for at in mine]
        assert got["size"].to_list() == [float(at.size) for at in mine]
        assert got["side"].to_list() == [SIDES[str(at.side)] for at in mine]
        assert set(got["symbol"].unique()) <= {"ESH4"}
        assert set(got["venue"].unique()) <= {"GLBX"}
        if topic == "book_events":
            assert got["action"].to_list() == [ACTIONS[str(at.action)] for at in mine]
            assert got["order_id"].to_list() == [at.order_id for at in mine]
            assert got["sequence"].to_list() == [at.sequence for at in mine]
            assert got["ts_event"].is_sorted()


def plain_book_ends(flags: list[tuple[int, str, int]]) -> list[bool]:
    """Of each record (instrument, action, flags): whether it is its event's last one that is no trade."""
    ends = [False] * len(flags)
    for at, (instrument, _, flag) in enumerate(flags):
        later = [f for i, _, f in flags[at + 1 :] if i == instrument]
        ended = flag & LAST or (flag & SNAPSHOT and not (later and later[0] & SNAPSHOT))
        if not ended:
            continue
        for before in range(at, -1, -1):
            i, action, f = flags[before]
            if i != instrument:
                continue
            if before < at and f & LAST:
                break
            if action != "T":
                ends[before] = True
                break
    return ends


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block_bytes", [56, 56 * 7, 1 << 20])
def test_events_end_with_their_last_row_of_the_book_in_any_blocks(
    tmp_path: Path, seed: int, block_bytes: int
) -> None:
    drawn = random.Random(seed)
    flags = [
        (drawn.randint(1, 3), drawn.choice("ACMFT"), drawn.choice((0, LAST))) for _ in range(300)
    ]
    # A file may end within an event, which then has no end.
    flags += [(instrument, "A", LAST * (seed % 2)) for instrument in (1, 2, 3)]
    path = file(
        tmp_path,
        *(record(at, action, instrument=i, flags=f) for at, (i, action, f) in enumerate(flags)),
    )
    got, faults = read(opened(path, block_bytes)["book_events"])
    assert faults == []
    ends = plain_book_ends(flags)
    assert got["line"].to_list() == [at + 1 for at, one in enumerate(flags) if one[1] != "T"]
    assert got["is_last"].to_list() == [ends[line - 1] for line in got["line"].to_list()]
    names = {1: "ESH4", 2: "NQH4", 3: "YMH4"}
    assert got["symbol"].to_list() == [names[flags[line - 1][0]] for line in got["line"].to_list()]
    assert opened(path, block_bytes)["book_events"].scan().keys() == set(names.values())


@pytest.mark.parametrize("block_bytes", [56, 1 << 20])
def test_a_snapshot_empties_the_book_first_is_one_event_and_has_its_own_time(
    tmp_path: Path, block_bytes: int
) -> None:
    early = DAY_NS - 10**15
    path = file(
        tmp_path,
        record(1, "A"),
        record(5, "A", flags=SNAPSHOT, ts_event=early),
        record(5, "A", flags=SNAPSHOT, ts_event=early, instrument=2),
        record(5, "A", flags=SNAPSHOT, ts_event=early),
        record(6, "C"),
        record(7, "R", flags=SNAPSHOT),
        record(7, "A", flags=SNAPSHOT | LAST, ts_event=early),
    )
    got, faults = read(opened(path, block_bytes)["book_events"])
    assert faults == []
    assert got.select("line", "symbol", "action", "is_last").rows() == [
        (1, "ESH4", "add", True),
        (2, "ESH4", "clear", False),
        (2, "ESH4", "add", False),
        (3, "NQH4", "clear", False),
        (3, "NQH4", "add", True),
        (4, "ESH4", "add", True),
        (5, "ESH4", "cancel", True),
        (6, "ESH4", "clear", False),
        (7, "ESH4", "add", True),
    ]
    times = [(at - DAY_NS) for at in got["ts_event"].to_physical().to_list()]
    assert times == [1000, 5007, 5007, 5007, 5007, 5007, 6000, 7007, 7007]
    clears = got.filter(pl.col("action") == "clear")
    assert clears["order_id"].null_count() == clears["price"].null_count() == 3
    # The clear that is a record has its number.
    assert clears["sequence"].to_list() == [None, None, 7]


@pytest.mark.parametrize("after_line", [0, 1, 2, 5, 20])
def test_reading_goes_on_behind_any_record(tmp_path: Path, after_line: int) -> None:
    drawn = random.Random(1)
    records = [
        record(at, drawn.choice("ACMT"), flags=drawn.choice((0, LAST, SNAPSHOT)))
        for at in range(20)
    ]
    path = file(tmp_path, *records, record(20, "A"))
    for topic in ("book_events", "trades"):
        every, _ = read(opened(path, 300)[topic])
        rest, _ = read(opened(path, 300)[topic], after_line)
        assert rest.equals(every.filter(pl.col("line") > after_line))


def test_what_cannot_be_a_row_is_a_fault_with_its_record(tmp_path: Path) -> None:
    heartbeat = bytes([4, 0x17]) + bytes(14)
    path = file(
        tmp_path,
        record(1, "A"),
        heartbeat,
        record(2, "A", instrument=9),
        record(3, "A", ts_event=-1),
        record(4, "Q"),
        record(5, "A", price=np.iinfo(np.int64).max),
        record(6, "C"),
        record(7, "T"),
    )
    got, faults = read(opened(path)["book_events"])
    assert got["line"].to_list() == [1, 7]
    reasons = ["record type 0x17", "instrument_id", "ts_event", "column action", "must be given"]
    assert [fault.line for fault in faults] == [2, 3, 4, 5, 6]
    for fault, reason in zip(faults, reasons, strict=True):
        assert reason in fault.reason
    assert b'"instrument_id":9' in faults[1].text
    # Of what belongs to neither topic, one part tells.
    assert read(opened(path)["trades"])[1] == []


def test_a_truncated_file_gives_its_whole_records_first(tmp_path: Path) -> None:
    path = file(tmp_path, record(1, "A"), record(2, "C"), record(3, "C")[:30])
    source = opened(path)["book_events"]
    given = []
    with pytest.raises(BrokenFileError, match="truncated behind record 2"):
        given.extend(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    assert sum(batch.batch.num_rows for batch in given) == 2
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BrokenFileError, match="truncated"):
        read(opened(path)["book_events"])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"schema": dbn.Schema.TRADES}, "only mbo"),
        ({"ts_out": True}, "ts_out"),
        ({"stype_in": dbn.SType.PARENT, "stype_out": dbn.SType.RAW_SYMBOL}, "instrument_id"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, head: dict[str, Any], message: str
) -> None:
    with pytest.raises(FeedError, match=message):
        opened(file(tmp_path, record(1, "A"), head=metadata(**head)))


def test_a_record_without_a_time_does_not_make_the_file_older(tmp_path: Path) -> None:
    records = [record(1, "A", ts_event=-1), record(2, "A")]
    book = opened(file(tmp_path, *records))["book_events"]
    assert book.scan() == {"ESH4": DAY_NS + 2000}


def test_metadata_that_name_no_instrument_are_an_error(tmp_path: Path) -> None:
    head = metadata().replace(b"1\0", b"x\0")
    assert head != metadata()
    with pytest.raises(FeedError, match="which is no instrument_id"):
        opened(file(tmp_path, record(1, "A"), head=head))
