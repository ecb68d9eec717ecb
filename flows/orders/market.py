"""What checks know of the market: each symbol's prices, what it stands for, and rates of exchange; market time."""

from typing import Any

import numpy as np
import pyarrow as pa

from flows.columns import dictionary_codes, times_ns
from flows.flow import FlowError
from flows.instruments import Instrument, InstrumentTable
from flows.orders.exposure import Holding, Total
from flows.orders.money import ONE, of_float, rounded
from schemas.arrays import Int32s, Int64s

_FOREVER = 1 << 63
_BASIS_POINTS = 10_000
# Nobody borrows these to sell them: a sale opens a contract, or is one leg of an exchange.
_SOLD_FREELY = frozenset({"future", "option", "currency"})
_SHARES = frozenset({"stock", "fund"})


class Quoted:
    """A symbol: its newest prices, on its tick, and the terms of trading it, as of market time.

    ``tick`` and ``step`` (of quantities) are None where the instrument has none. ``currency`` is None while no
    instrument of the symbol is listed.
    """

    __slots__ = (
        "ask",
        "bid",
        "changes",
        "currency",
        "holdings",
        "name",
        "now",
        "price",
        "sold_freely",
        "step",
        "tick",
        "until",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        # Time of its newest mark, 0 before the first: one symbol may live in 2013 while another's market is open.
        self.now = 0
        self.bid: int | None = None
        self.ask: int | None = None
        self.price: int | None = None
        self.currency: str | None = None
        self.tick: int | None = None
        self.step: int | None = None
        self.sold_freely = False
        self.holdings: list[Holding] = []
        # Of what version of the table, and until when, the terms hold.
        self.changes = -1
        self.until = 0

    def list(self, instrument: Instrument | None) -> None:
        """Take the instrument's terms over; None ends them."""
        if instrument is None:
            self.currency = self.tick = self.step = None
            return
        self.currency = instrument.currency
        self.tick = _positive(instrument.tick_size)
        self.step = _positive(instrument.lot_size)
        if self.step is not None and instrument.type in _SHARES:
            # A round lot of shares is what exchanges quote; odd lots trade too, but whole shares.
            self.step = min(self.step, ONE)
        self.sold_freely = instrument.type in _SOLD_FREELY


class Market:
    """Instruments, prices and market time of one shard.

    Parameters
    ----------
    max_keys : int
        Bound of the state; one symbol more is an error.
    saved : dict or None
        What `saved` of an earlier market gave.
    cushion_bps : int
        What is set aside above the best price for a purchase without a limit, in basis points.
    """

    def __init__(
        self, max_keys: int, saved: dict[str, Any] | None = None, cushion_bps: int = 0
    ) -> None:
        self._cushion_bps = cushion_bps
        self._max_keys = max_keys
        known = saved or {"now": 0, "instruments": [], "prices": []}
        self.now: int = known["now"]
        self._table = InstrumentTable(known["instruments"], max_keys=max_keys)
        self._symbols: dict[str, Quoted] = {}
        # By currency, of all accounts that know this market.
        self.totals: dict[str, Total] = {}
        for name, *values in known["prices"]:
            one = self.symbol(name)
            one.now, one.bid, one.ask, one.price = values

    def take_instruments(self, batch: pa.RecordBatch) -> None:
        """Take rows of ``instruments`` in."""
        self._table.take(batch)

    def take_marks(self, batch: pa.RecordBatch) -> None:
        """Take rows of ``marks`` in; of each symbol only the last row and the last price say anything."""
        times = times_ns(batch.column("ts_event"))
        all_times = np.maximum.accumulate(times)
        codes = dictionary_codes(batch.column("symbol"))
        rows = last = _last_rows(codes)
        own_times = _newest(times, codes, last)
        if batch.column("price").null_count:
            priced = np.flatnonzero(batch.column("price").is_valid().to_numpy(zero_copy_only=False))
            priced = np.setdiff1d(priced[_last_rows(codes[priced])], last)
            rows = np.concatenate([priced, last])
            own_times = np.concatenate([_newest(times, codes, priced), own_times])
            in_order = np.argsort(rows)
            rows, own_times = rows[in_order], own_times[in_order]
        newest = batch.take(pa.array(rows))
        values = [newest.column(name).to_pylist() for name in ("symbol", "bid", "ask", "price")]
        both = (all_times[rows].tolist(), own_times.tolist())
        for now, own, name, bid, ask, price in zip(*both, *values, strict=True):
            self.pass_time(now)
            one = self.symbol(name)
            one.now = max(one.now, own)
            self._listed(one)
            one.bid, one.ask = _on_tick(bid, one.tick), _on_tick(ask, one.tick)
            if price is not None:
                one.price = value = _rounded(price, one.tick)
                for holding in one.holdings:
                    holding.revalue(value)
        self.pass_time(int(all_times[-1]))

    def pass_time(self, ts_ns: int) -> None:
        """Market time is at least this."""
        self.now = max(self.now, ts_ns)

    def fresh(self, name: str) -> Quoted | None:
        """As `listed`, but for a symbol whose terms have to be looked up: then None. Changes nothing."""
        one = self._symbols.get(name)
        if one is None or one.changes != self._table.changes or one.until <= (one.now or self.now):
            return None
        return one

    def listed(self, name: str) -> Quoted | None:
        """The symbol as of its newest mark, or before that as of market time; None where it is not listed.

        Before the first mark of all there is no market time: then as it is listed last.
        """
        one = self._symbols.get(name)
        if one is None:
            if self._table.at(name, self.now or _FOREVER) is None:
                return None
            one = self.symbol(name)
        if one.changes != self._table.changes or one.until <= (one.now or self.now):
            self._listed(one)
        return None if one.currency is None else one

    def currency(self, name: str) -> str | None:
        """What the symbol is traded in, as `listed` has it."""
        one = self.listed(name)
        return None if one is None else one.currency

    def symbol(self, name: str) -> Quoted:
        """The symbol, whether it is listed or not.

        Raises
        ------
        FlowError
            For more symbols than ``max_keys``.
        """
        found = self._symbols.get(name)
        if found is None:
            if len(self._symbols) >= self._max_keys:
                raise FlowError(
                    f"symbol {name!r} is one more than max_keys = {self._max_keys}; raise it"
                )
            found = self._symbols[name] = Quoted(name)
        return found

    def set_aside(self, limit: int | None, amount: int) -> int:
        """What is set aside for a purchase of an amount: more of it where no limit bounds what it will cost."""
        if limit is not None or not self._cushion_bps:
            return amount
        return amount - (-amount * self._cushion_bps // _BASIS_POINTS)

    def total(self, currency: str) -> Total:
        """What all accounts together have in a currency."""
        return self.totals.setdefault(currency, Total())

    def known(self, name: str) -> Quoted | None:
        """The symbol; None for one that has not been heard of."""
        return self._symbols.get(name)

    def converted(self, amount: int, currency: str, into: str) -> int | None:
        """An amount in another currency by the newest mark of the pair, such as EURUSD; rounded down.

        None where neither the pair nor its inverse has a price above zero.
        """
        if currency == into or not amount:
            return amount
        pair = self._symbols.get(currency + into)
        if pair is not None and pair.price is not None and pair.price > 0:
            return amount * pair.price // ONE
        pair = self._symbols.get(into + currency)
        if pair is not None and pair.price is not None and pair.price > 0:
            return amount * ONE // pair.price
        return None

    def saved(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "now": self.now,
            "instruments": self._table.saved(),
            "prices": [
                [one.name, one.now, one.bid, one.ask, one.price] for one in self._symbols.values()
            ],
        }

    def _listed(self, one: Quoted) -> None:
        now = one.now or self.now
        if one.changes != self._table.changes or one.until <= now:
            one.list(self._table.at(one.name, now or _FOREVER))
            # What was taken without a time holds for no time: the first mark asks again.
            one.until = (self._table.until(one.name, now) or _FOREVER) if now else 0
            one.changes = self._table.changes


def _last_rows(codes: Int32s) -> Int64s:
    """The last row of each code, ascending."""
    _, last = np.unique(codes[::-1], return_index=True)
    rows: Int64s = np.sort(len(codes) - 1 - last)
    return rows


def _newest(times: Int64s, codes: Int32s, rows: Int64s) -> Int64s:
    """Newest time of each of some rows' symbols up to that row; of each symbol one row at most, 0 at least."""
    until = np.full(int(codes.max()) + 1, -1)
    until[codes[rows]] = rows
    counted = np.arange(len(codes)) <= until[codes]
    newest = np.zeros(len(until), np.int64)
    np.maximum.at(newest, codes[counted], times[counted])
    found: Int64s = newest[codes[rows]]
    return found


def _positive(size: float | None) -> int | None:
    """A step, scaled; one below the tenth decimal is that of the numbers themselves."""
    return None if size is None else max(of_float(size), 1)


def _on_tick(price: float | None, tick: int | None) -> int | None:
    return None if price is None else _rounded(price, tick)


def _rounded(price: float, tick: int | None) -> int:
    """On the tick; one below half a tick is as it is, as an order at it would cost nothing otherwise."""
    exact = of_float(price)
    return rounded(exact, tick or 1) or exact
