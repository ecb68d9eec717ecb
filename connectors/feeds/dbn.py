"""Databento market-by-order files (DBN, plain or zstandard): orders into `book_events`, trades into `trades`.

``NAME.mbo.dbn.zst``, DBN versions 1 to 3. The symbol of an instrument comes from the file's metadata, by
date; the venue is the first part of the dataset's name (``GLBX.MDP3`` is GLBX).

Actions: A is ``add``, C ``cancel`` (the size taken away), M ``modify``, F ``fill`` (the book changes with the
cancel or modify behind it), R ``clear``, T a trade. A venue's event ends with the flag F_LAST; its last row of
`book_events` has ``is_last``, even where the event's own last record is a trade.

A snapshot (records with F_SNAPSHOT) says which orders are there, not when they came: its rows have the time of
the snapshot (DBN's ``ts_recv``), and are one event. Where the file has no R before it, a ``clear`` row is put
before it, so that an earlier file's orders do not stay; it is the only row that is no record of the file.

Source: https://databento.com/docs/schemas-and-data-formats/mbo and the layout of `MboMsg` in the dbn crate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import databento_dbn
import numpy as np
import orjson
import pyarrow as pa

from connectors.feeds.archive import ByteStream
from connectors.feeds.categories import coded, constant
from connectors.feeds.dbn_events import Events, whole_events
from connectors.feeds.dbn_records import HEADER_BYTES, MBO, Records, read_records
from connectors.feeds.source import (
    Block,
    BrokenFileError,
    Fault,
    FeedError,
    Format,
    Probe,
    Rows,
    Source,
    first_times,
)
from schemas.arrays import Bools, Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, TRADES
from schemas.topic import Topic

_MAGIC = b"DBN"
_PRICE_SCALE = 1e9
_NO_PRICE = np.iinfo(np.int64).max
_ACTIONS = ("add", "cancel", "modify", "fill", "clear")
_CLEAR = _ACTIONS.index("clear")
_LETTERS = b"ACMFR"
_NO_ACTION = len(_ACTIONS)
_SIDES = ("buy", "sell")


def _lookup(letters: bytes, none: int) -> Int64s:
    """From a letter's byte to its place, or to ``none``."""
    table = np.full(256, none, np.int64)
    table[np.frombuffer(letters, np.uint8)] = np.arange(len(letters))
    return table


_ACTION_OF = _lookup(_LETTERS, _NO_ACTION)
_SIDE_OF = _lookup(b"BA", -1)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a file's metadata says.

    Parameters
    ----------
    venue : str
        Of all its instruments.
    spans : tuple of (int, int, int, int)
        Instrument id, the times from which and before which (ns since 1970 UTC) it has a symbol, and that
        symbol's place in ``symbols``.
    symbols : tuple of str
        In upper case.
    """

    venue: str
    spans: tuple[tuple[int, int, int, int], ...]
    symbols: tuple[str, ...]

    def of(self, instruments: Int64s, times: Int64s) -> Int64s:
        """Place of each record's symbol; -1 where it has none."""
        found = np.full(len(instruments), -1, np.int64)
        for instrument, start_ns, end_ns, at in self.spans:
            mine = (instruments == instrument) & (times >= start_ns) & (times < end_ns)
            found[mine] = at
        return found


class Dbn(Format):
    """Databento market-by-order files."""

    name = "dbn"
    summary = "Databento market-by-order, NAME.mbo.dbn or .dbn.zst"

    def matches(self, probe: Probe) -> bool:
        """Whether the content is DBN."""
        return probe.head.startswith(_MAGIC)

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file: its book events and its trades.

        Raises
        ------
        FeedError
            Where it holds another schema than mbo, or its metadata cannot be read.
        """
        listing, start = _read_metadata(probe)
        return tuple(
            DbnSource(probe, topic, listing, start=start, block_bytes=block_bytes)
            for topic in (BOOK_EVENTS, TRADES)
        )


class DbnBlock(Block):
    """Records of a file; a record's number stands for its line, its JSON for its text."""

    def __init__(
        self, records: Records, rows: Rows, at: Int64s, *, faults: tuple[Fault, ...]
    ) -> None:
        self._records = records
        self.rows = rows
        self.lines = records.lines[at]
        self.faults = faults
        self.last_line = records.last_line

    def text(self, line: int) -> bytes:
        """The record as JSON."""
        at = int(np.searchsorted(self._records.lines, line))
        record = self._records.values[at]
        fields = {name: record[name].item() for name in MBO.names or ()}
        return orjson.dumps(fields)


class DbnSource(Source):
    """The book events or the trades of a file."""

    def __init__(
        self, probe: Probe, topic: Topic, listing: Listing, *, start: int, block_bytes: int
    ) -> None:
        self.path = probe.path
        self.topic = topic
        self.part = topic.name
        self._listing = listing
        self._start = start
        self._records = max(1, block_bytes // MBO.itemsize)
        self._stream = ByteStream(probe.path)
        self.bytes_total = self._stream.bytes_total

    @property
    def bytes_done(self) -> int:
        """Bytes of the file read so far."""
        return self._stream.bytes_done

    def blocks(self, after_line: int = 0) -> Iterator[DbnBlock]:
        """Blocks of rows behind a record number."""
        book = self.topic is BOOK_EVENTS
        build = partial(_book_events if book else _trades, listing=self._listing)
        read = read_records(self._stream, self._start, self._records)
        for records, events in whole_events(read, self._records):
            if records.last_line <= after_line:
                continue
            rows, at = build(records, events)
            # Of records that belong to neither topic, the book part tells.
            faults = records.faults if book else ()
            if after_line and len(records.lines) and records.lines[0] <= after_line:
                keep = records.lines[at] > after_line
                rows, at = _behind(rows, keep), at[keep]
                faults = tuple(fault for fault in faults if fault.line > after_line)
            yield DbnBlock(records, rows, at, faults=faults)

    def scan(self) -> dict[str, int]:
        """Key to first event time; only a file of several instruments is read whole."""
        return first_times(self, whole=len(self._listing.symbols) > 1)


def _read_metadata(probe: Probe) -> tuple[Listing, int]:
    """What the metadata says, and where the records begin."""
    held = b""
    for chunk in ByteStream(probe.path):
        held += chunk
        if len(held) >= HEADER_BYTES:
            size = HEADER_BYTES + int.from_bytes(held[4:HEADER_BYTES], "little")
            if len(held) >= size:
                break
    else:
        raise BrokenFileError(f"{probe.path}: the DBN file is truncated within its metadata")
    try:
        metadata = databento_dbn.Metadata.decode(held[:size])
    except (databento_dbn.DBNError, ValueError) as error:
        raise FeedError(f"{probe.path}: the DBN metadata cannot be read: {error}") from error
    if str(metadata.schema) != "mbo":
        raise FeedError(
            f"{probe.path}: DBN schema {metadata.schema}; only mbo (market by order) can be fed"
        )
    if metadata.ts_out:
        raise FeedError(
            f"{probe.path}: its records have the time of sending behind them (ts_out); ask for them without"
        )
    return _listing(probe, metadata), size


def _listing(probe: Probe, metadata: databento_dbn.Metadata) -> Listing:
    from_id = str(metadata.stype_in) == "instrument_id"
    if not from_id and str(metadata.stype_out) != "instrument_id":
        raise FeedError(
            f"{probe.path}: its metadata map {metadata.stype_in} to {metadata.stype_out}; a mapping from "
            "or to instrument_id was needed to name the instruments"
        )
    spans = []
    symbols: dict[str, int] = {}
    for name, intervals in metadata.mappings.items():
        for interval in intervals:
            given = str(interval["symbol"])
            # An interval without a symbol says that there is none in it.
            if given:
                instrument, symbol = (name, given) if from_id else (given, name)
                if not instrument.isdecimal():
                    raise FeedError(
                        f"{probe.path}: its metadata map {symbol!r} to {instrument!r}, which is no "
                        "instrument_id; fetch it again"
                    )
                at = symbols.setdefault(symbol.upper(), len(symbols))
                begins, ends = _ns(interval["start_date"]), _ns(interval["end_date"])
                spans.append((int(instrument), begins, ends, at))
    venue = metadata.dataset.partition(".")[0]
    return Listing(venue=venue, spans=tuple(spans), symbols=tuple(symbols))


def _ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000


def _book_events(records: Records, events: Events, *, listing: Listing) -> tuple[Rows, Int64s]:
    """Rows of `book_events`, and the record of each."""
    action = _ACTION_OF[records.values["action"]]
    book = records.values["action"] != ord("T")
    at, synthetic = _with_clears(np.flatnonzero(book), events.snapshot_starts)
    values, action = records.values[at], action[at]
    action[synthetic] = _CLEAR
    cleared = action == _CLEAR
    symbol, ts_event, refused = _named(values, events.snapshot[at], listing)
    refused["column action: A, C, F, M, R or T was needed"] = action == _NO_ACTION
    side = _SIDE_OF[values["side"]]
    price, order_id = values["price"], values["order_id"]
    batch = BOOK_EVENTS.batch(
        {
            "symbol": symbol,
            "venue": constant(listing.venue, len(at)),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "action": coded(np.minimum(action, _CLEAR), _ACTIONS),
            "order_id": pa.array(order_id, mask=cleared | (order_id == 0)),
            "side": coded(np.maximum(side, 0), _SIDES, mask=cleared | (side < 0)),
            "price": pa.array(price / _PRICE_SCALE, mask=cleared | (price == _NO_PRICE)),
            "size": pa.array(values["size"].astype(np.float64), mask=cleared),
            "sequence": pa.array(values["sequence"].astype(np.uint64), mask=synthetic),
            "is_last": pa.array(events.book_ends[at] & ~synthetic),
        }
    )
    return Rows(batch=batch, refused=refused), at


def _trades(records: Records, events: Events, *, listing: Listing) -> tuple[Rows, Int64s]:
    """Rows of `trades`, and the record of each."""
    at = np.flatnonzero(records.values["action"] == ord("T"))
    values = records.values[at]
    symbol, ts_event, refused = _named(values, events.snapshot[at], listing)
    side, price = _SIDE_OF[values["side"]], values["price"]
    yes = pa.repeat(pa.scalar(True), len(at))
    batch = TRADES.batch(
        {
            "symbol": symbol,
            "venue": constant(listing.venue, len(at)),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "price": pa.array(price / _PRICE_SCALE, mask=price == _NO_PRICE),
            "size": values["size"].astype(np.float64),
            "side": coded(np.maximum(side, 0), _SIDES, mask=side < 0),
            "updates_high_low": yes,
            "updates_last": yes,
            "updates_volume": yes,
            "action": constant("new", len(at)),
        }
    )
    return Rows(batch=batch, refused=refused), at


def _with_clears(at: Int64s, starts: Int64s) -> tuple[Int64s, Bools]:
    """Records with those that begin a snapshot twice, and where the first of such two stands."""
    places = np.searchsorted(at, starts)
    synthetic = np.zeros(len(at) + len(starts), np.bool_)
    synthetic[places + np.arange(len(starts))] = True
    return np.insert(at, places, starts), synthetic


def _named(
    values: np.ndarray[Any, Any], snapshot: Bools, listing: Listing
) -> tuple[pa.Array, pa.Array, dict[str, Bools]]:
    """Symbol and time of each record, and those that have none."""
    found = listing.of(values["instrument_id"], values["ts_recv"])
    times = np.where(snapshot, values["ts_recv"], values["ts_event"])
    refused: dict[str, Bools] = {
        "column instrument_id: one that the file's metadata name on its date was needed": found < 0,
        "column ts_event: a time was needed": times < 0,
    }
    symbols = coded(np.maximum(found, 0), listing.symbols or ("",))
    return symbols, pa.array(np.maximum(times, 0)).view(TIMESTAMP), refused


def _behind(rows: Rows, keep: Bools) -> Rows:
    return Rows(
        batch=rows.batch.filter(pa.array(keep)),
        refused={reason: refused[keep] for reason, refused in rows.refused.items()},
    )
