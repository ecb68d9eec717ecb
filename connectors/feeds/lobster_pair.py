"""A LOBSTER message file with the orderbook file beside it: messages, and what only the orderbook tells.

The messages alone do not say what the book was at the start, nor what happens outside the best N levels. So
rows that are no messages are put beside them, all with action ``level`` or ``clear`` and without an order id (a message
never has these), with the time of the message that they stand beside:

- before the first message a ``clear`` and the whole size of each level: the first line of the orderbook file, less what
  the first message did;
- behind a message, where the book that the rows so far make (as `flows.book` makes it) is not what the orderbook file
  shows in its N levels, the whole size of the price that is not: a level that came into view, or that changed or
  went (size 0) while it was out of view;
- before a cancel or execution of an order that no message named, and that cannot be among those unnamed ones
  which the level has: 0 and then the level's size, so that all its orders are unnamed.

The last row of these with a message has ``is_last``. So the best N levels of the book are the vendor's at every message,
and these rows say all that the messages did not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.feeds.archive import ByteStream, count_lines, line_blocks
from connectors.feeds.lobster_rows import (
    ADD,
    CANCEL,
    CLEAR,
    COLUMNS,
    EXECUTE,
    LEVEL,
    Messages,
    messages_of,
    rows_of,
    understood,
)
from connectors.feeds.source import Block, BrokenFileError, Fault, Rows, Source, first_times
from connectors.feeds.text import Layout, line_text, read_lines
from connectors.feeds.times import DECIMAL_SECONDS
from flows.kernels.book_reconcile import ADD as BOOK_ADD
from flows.kernels.book_reconcile import (
    BEFORE,
    OTHER,
    TAKE,
    Corrections,
    grown,
    needs_growth,
    new_book,
    reconcile,
)
from flows.kernels.integer_text import parse_integers
from schemas.arrays import Bools, Int64s

# Prices of levels that are not there: their sizes are 0.
_NO_PRICE = 9_999_999_999
_ORDER_ID = list(COLUMNS).index("order_id")
# Levels a side that are kept, in view or out of it, and orders to begin with.
_LEVELS = 4096
_ORDERS = 1 << 14
_NO_LINE = (
    "the orderbook file's line has not the columns of {levels} levels: the book is not compared"
)


class PairBlock(Block):
    """Whole lines of a message file, with the rows that the orderbook file adds."""

    def __init__(
        self,
        data: bytes,
        first_line: int,
        *,
        rows: Rows,
        lines: Int64s,
        faults: list[Fault],
        last_line: int,
    ) -> None:
        self._data = data
        self._first_line = first_line
        self.rows = rows
        self.lines = lines
        self.faults = tuple(faults)
        self.last_line = last_line

    def text(self, line: int) -> bytes:
        """The text of a line of the message file."""
        return line_text(self._data, line - self._first_line)


class PairSource(Source):
    """A message file and its orderbook file.

    Parameters
    ----------
    path, orderbook : pathlib.Path
        The two files, plain or gzip.
    layout : Layout
        Of the message file.
    block_bytes : int
        How much of its text is read into one block.
    levels : int
        N, as the names say.
    symbol : str
        Of all rows.
    midnight_ns : int
        What the messages' times are counted from, ns since 1970 UTC.
    """

    def __init__(
        self,
        path: Path,
        orderbook: Path,
        layout: Layout,
        block_bytes: int,
        *,
        levels: int,
        symbol: str,
        midnight_ns: int,
    ) -> None:
        self.path = path
        self.topic = layout.topic
        self._layout = layout
        self._block_bytes = block_bytes
        self._levels = levels
        self._symbol = symbol
        self._midnight_ns = midnight_ns
        self._stream = ByteStream(path)
        self._orderbook = ByteStream(orderbook)
        self.bytes_total = self._stream.bytes_total + self._orderbook.bytes_total

    @property
    def bytes_done(self) -> int:
        """Bytes of both files read so far."""
        return self._stream.bytes_done + self._orderbook.bytes_done

    def blocks(self, after_line: int = 0) -> Iterator[PairBlock]:
        """Blocks of rows behind a line; the lines before are read too, for the book that they leave."""
        shown = _Shown(self._orderbook, self._levels)
        book = _Book(self._levels)
        for data, first_line in line_blocks(self._stream, self._block_bytes):
            count = count_lines(data)
            values, good = shown.take(count)
            messages, at, faults = self._messages(data, first_line, count)
            if len(values) < count:
                # What has no line beside it is not fed: it may be, from whole files.
                with_line = at < len(values)
                messages, at = messages.only(with_line), at[with_line]
                faults = [fault for fault in faults if fault.line < first_line + len(values)]
            reason = _NO_LINE.format(levels=self._levels)
            faults += [
                Fault(first_line + bad, reason, line_text(data, bad))
                for bad in np.flatnonzero(~good).tolist()
            ]
            shown_at = slice(None) if len(at) == len(values) else at
            rows, of = book.apply(messages, values[shown_at], good[shown_at])
            last_line = first_line + len(values) - 1
            if last_line > after_line:
                yield self._block(
                    data,
                    first_line,
                    rows,
                    first_line + at[of],
                    faults,
                    last_line=last_line,
                    after_line=after_line,
                )
            if len(values) < count:
                raise BrokenFileError(
                    f"{self.path}: its orderbook file ends, or breaks off, behind line {last_line}; "
                    "fetch both files again"
                )
        if len(shown.take(1)[0]):
            raise BrokenFileError(f"{self.path}: its orderbook file has more lines than it")

    def scan(self) -> dict[str, int]:
        """Key to first event time: of the first rows."""
        return first_times(self, whole=False)

    def _messages(
        self, data: bytes, first_line: int, count: int
    ) -> tuple[Messages, Int64s, list[Fault]]:
        """Messages in whole lines, the place of each one's line, and the lines that are no messages."""
        values = np.empty((count, len(COLUMNS)), np.int64)
        good = np.zeros(count, np.bool_)
        parse_integers(np.frombuffer(data, np.uint8), 0, DECIMAL_SECONDS.scale, 0, values, good)
        if good.all() and (values[:, _ORDER_ID] >= 0).all():
            numbers = np.ascontiguousarray(values.T)
            found = messages_of(
                numbers[0],
                None,
                numbers[1],
                numbers[_ORDER_ID].view(np.uint64),
                *numbers[_ORDER_ID + 1 :],
                midnight_ns=self._midnight_ns,
            )
            return found, np.arange(count), []
        # The slower reader says what is wrong with a line.
        columns, lines, faults = read_lines(data, first_line, self._layout)
        return understood(columns, self._midnight_ns), lines - first_line, faults

    def _block(
        self,
        data: bytes,
        first_line: int,
        rows: Messages,
        lines: Int64s,
        faults: list[Fault],
        *,
        last_line: int,
        after_line: int,
    ) -> PairBlock:
        built = rows_of(rows, self._symbol)
        if first_line <= after_line:
            keep = lines > after_line
            refused = {reason: bad[keep] for reason, bad in built.refused.items()}
            built = Rows(batch=built.batch.filter(pa.array(keep)), refused=refused)
            lines = lines[keep]
            faults = [fault for fault in faults if fault.line > after_line]
        faults.sort(key=lambda fault: fault.line)
        return PairBlock(
            data, first_line, rows=built, lines=lines, faults=faults, last_line=last_line
        )


class _Shown:
    """The lines of an orderbook file, as many as are asked for."""

    def __init__(self, stream: ByteStream, levels: int) -> None:
        self._chunks = iter(stream)
        self._columns = 4 * levels
        self._held = b""

    def take(self, lines: int) -> tuple[Int64s, Bools]:
        """The next lines' numbers, and which lines are good; fewer where the file ends or breaks off."""
        values = np.empty((lines, self._columns), np.int64)
        good = np.zeros(lines, np.bool_)
        row = 0
        while True:
            text = np.frombuffer(self._held, np.uint8)
            row, at = parse_integers(text, 0, 0, row, values, good)
            self._held = self._held[at:]
            if row == lines:
                break
            chunk = self._next()
            if not chunk:
                # The last line may lack its end.
                chunk = b"\n" if self._held and not self._held.endswith(b"\n") else b""
            if not chunk:
                break
            self._held += chunk
        return values[:row], good[:row]

    def _next(self) -> bytes:
        try:
            return next(self._chunks, b"")
        except BrokenFileError:
            # What is missing is told with the line from which on it is.
            return b""


class _Book:
    """The book that the rows make, and the rows that make it the vendor's."""

    def __init__(self, levels: int) -> None:
        self._depth = levels
        self._book = new_book(_LEVELS, _ORDERS)
        self._begun = False

    def apply(self, messages: Messages, values: Int64s, good: Bools) -> tuple[Messages, Int64s]:
        """Messages and what the vendor shows after each: all rows, and the message of each."""
        seeds = np.empty((0, 5), np.int64)
        seeded = not self._begun and bool(len(good)) and bool(good[0])
        if seeded:
            self._begun = True
            seeds = self._reconcile(
                (np.array([OTHER]), np.zeros(1, np.uint64), *np.zeros((3, 1), np.int64)),
                _before(messages, values[0])[None],
                np.ones(1, np.bool_),
            )
        bad = np.logical_or.reduce([*messages.refused.values()])
        takes = (messages.action == CANCEL) | (messages.action == EXECUTE)
        action = np.where(messages.action == ADD, BOOK_ADD, np.where(takes, TAKE, OTHER))
        action[bad] = OTHER
        corrections = self._reconcile(
            (action, messages.order_id, messages.side, messages.price, messages.size),
            values,
            good & self._begun,
        )
        return _woven(messages, seeds, corrections, seeded=seeded)

    def _reconcile(self, messages: tuple[Any, ...], shown: Int64s, known: Bools) -> Int64s:
        count = len(messages[0])
        found: list[Int64s] = []
        out = Corrections(
            used=np.zeros(1, np.int64),
            rows=np.empty((count + 2 * _LEVELS + 16 * self._depth, 5), np.int64),
        )
        at = 0
        while at < count:
            at = reconcile(at, messages, shown, known, _NO_PRICE, self._book, out)
            found.append(out.rows[: out.used[0]].copy())
            out.used[0] = 0
            if at < count and needs_growth(self._book):
                self._book = grown(self._book)
        return np.concatenate(found) if found else np.empty((0, 5), np.int64)


def _before(messages: Messages, shown: Int64s) -> Int64s:
    """What was shown before the first message, shape (4 N,), from what was shown after it."""
    shown = shown.copy()
    action, side, price = int(messages.action[0]), int(messages.side[0]), int(messages.price[0])
    size = int(messages.size[0])
    refused = any(bool(bad[0]) for bad in messages.refused.values())
    if refused or action not in (ADD, CANCEL, EXECUTE):
        return shown
    # Ask before bid in the file.
    prices, sizes = shown[2 * (1 - side) :: 4], shown[2 * (1 - side) + 1 :: 4]
    levels = {int(p): int(s) for p, s in zip(prices, sizes, strict=True) if s}
    levels[price] = levels.get(price, 0) + (-size if action == ADD else size)
    best = sorted((p for p, s in levels.items() if s > 0), reverse=side == 0)[: len(prices)]
    prices[:] = _NO_PRICE
    prices[: len(best)] = best
    sizes[: len(best)] = [levels[p] for p in best]
    return shown


def _woven(
    messages: Messages, seeds: Int64s, corrections: Int64s, *, seeded: bool
) -> tuple[Messages, Int64s]:
    """Messages with corrections before and behind them, and a clear and seeds first; the message of each row."""
    count = len(messages.action)
    before = corrections[:, 1] == BEFORE
    added, added_before = (
        np.bincount(corrections[which, 0], minlength=count) for which in (slice(None), before)
    )
    of = np.repeat(np.arange(count), 1 + added)
    is_level = np.ones(len(of), np.bool_)
    is_level[np.arange(count) + np.cumsum(added) - added + added_before] = False
    # The book is whole where the next row is another message's.
    is_last = np.append(of[1:] != of[:-1], np.True_)[: len(of)]
    levels = corrections
    if seeded:
        first = len(seeds) + 1
        of = np.concatenate([np.zeros(first, np.int64), of])
        is_level = np.concatenate([np.ones(first, np.bool_), is_level])
        is_last = np.concatenate([np.arange(first) == first - 1, is_last])
        levels = np.concatenate([np.zeros((1, corrections.shape[1]), np.int64), seeds, corrections])
    action, side, price, size = (
        column[of] for column in (messages.action, messages.side, messages.price, messages.size)
    )
    action[is_level] = LEVEL
    side[is_level], price[is_level], size[is_level] = levels[:, 2:].T
    order_id = messages.order_id[of]
    order_id[is_level] = 0
    if seeded:
        action[0] = CLEAR
    woven = Messages(
        ts_event=messages.ts_event[of],
        action=action,
        order_id=order_id,
        side=side,
        price=price,
        size=size,
        is_last=is_last,
        refused={reason: bad[of] & ~is_level for reason, bad in messages.refused.items()},
    )
    return woven, of
