"""Sides of trades by Lee and Ready against the best bid and offer, their spreads and their impact on the price.

A trade above the middle of the best bid and offer was a buy, below it a sell; at the middle, or where there is
none (one side missing, or crossed), the tick test says: a buy if the last different price was lower, a sell
if it was higher. Lee and Ready (1991), "Inferring Trade Direction from Intraday Data", Journal of Finance 46,
733-746. They held trades against the quotes of five seconds before, which no longer fits; the lag is 0 here
unless the parameter says otherwise.

At equal times trades come first: what counts is the best that stood strictly before the trade (and before the lag).
On tapes stamped to the millisecond a quote of the same stamp is mostly the trade's effect: Holden and
Jacobsen (2014), "Liquidity Measurement Problems in Fast, Competitive Markets", Journal of Finance 69, 1747-1785.

With D = 1 for buys and -1 for sells, p the price and m the middle: quoted spread ask - bid; effective spread
2 D (p - m); realised spread 2 D (p - m'), and price impact 2 D (m' - m), m' the middle a horizon later. So
effective = realised + impact: Huang and Stoll (1996), "Dealer versus Auction Markets", Journal of Financial
Economics 41, 313-357, there as half-spreads; 17 CFR 242.600(b) (for Rule 605) with five minutes for the
average realised spread, there as full spreads.

What the horizon shows is known when it is over, so that it is a row of its own topic then. More trades of a
symbol that wait than are kept get a row at once that says so.

New trades that count in volume are signed (``trades`` says which else). The tick test follows the same trades.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from flows.columns import Codes, chosen, columns, float_columns, floats_or_nan, times_ns
from flows.flow import (
    Emit,
    Emitted,
    Flow,
    FlowError,
    Input,
    InputRows,
    Order,
    Params,
    Rows,
    Watermarks,
)
from flows.intervals import LONGEST_NS
from flows.kernels import trade_sign_rows
from flows.kernels import trade_signs as kernel
from flows.kernels.queues import Queues
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Int32s
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.market import TRADES
from schemas.nbbo import NBBO
from schemas.trade_signs import IMPACT_STATUS, TRADE_IMPACTS, TRADE_SIGNS

_SECOND_NS = 1_000_000_000

# What one pass of the kernel can write before it is taken away.
_ROOM = 8192

# Keys that there is room for from the start.
_KEYS = 64

_FLAGS = {"volume": "updates_volume", "last": "updates_last", "high_low": "updates_high_low"}
_SIDES = pa.array(["buy", "sell"], pa.string())
_RULES = pa.array(["quote", "tick"], pa.string())
_FAULTS = pa.array(["lag_queue_full"], pa.string())
_STATUS = pa.array(IMPACT_STATUS, pa.string())

# What stands for an input that has no rows this time.
_NO_TRADES = InputRows(
    batch=TRADES.empty(), partition=0, offset=np.empty(0, np.int64), row=np.empty(0, np.int32)
)
_NO_QUOTES = InputRows(
    batch=NBBO.empty(), partition=0, offset=np.empty(0, np.int64), row=np.empty(0, np.int32)
)


class TradeSignsParams(Params):
    """Parameters of `TradeSigns`.

    Parameters
    ----------
    lag : int
        How much older than the trade the best bid and offer must be, ns.
    horizon : int
        After how long the middle is looked at again, ns.
    trades : {"volume", "last", "high_low", "all"}
        Which new trades are signed: those that may set a bar's volume, last price, or high and low, or all.
    max_keys : int
        Bound of the state; one symbol more is an error.
    max_waiting : int
        Trades of a symbol that wait for their horizon; one more gets a row in ``trade_impacts`` at once.
    max_young : int
        Changes of a symbol's best within the lag; with more, trades have rows with a fault.
    """

    lag: int = Field(default=0, ge=0, le=LONGEST_NS)
    horizon: int = Field(default=300 * _SECOND_NS, ge=1, le=LONGEST_NS)
    trades: Literal["volume", "last", "high_low", "all"] = "volume"
    max_keys: int = Field(default=20_000, ge=1)
    max_waiting: int = Field(default=200_000, ge=1)
    max_young: int = Field(default=200_000, ge=1)


class TradeSigns(Flow):
    """Sides, spreads and impacts of trades.

    Parameters
    ----------
    params : TradeSignsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "trade_signs"
    version = 1
    inputs = (Input(topic=TRADES), Input(topic=NBBO))
    outputs = (TRADE_SIGNS, TRADE_IMPACTS)
    order = Order.EVENT
    params_type = TradeSignsParams

    def __init__(self, params: TradeSignsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._spec = (params.lag, params.horizon, params.max_young, params.max_waiting)
        self._actions = Codes(("new",))
        self._signs = np.empty(_ROOM, trade_sign_rows.SIGN)
        self._impacts = np.empty(_ROOM, trade_sign_rows.IMPACT)
        self._counts = np.zeros(2, dtype=np.int64)
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        room = max(_KEYS, len(self._keys))
        self._state = kernel.new_keys(room)
        self._young = Queues(kernel.QUOTE, room)
        self._waiting = Queues(kernel.WAITING, room)
        if arrays:
            self._state[: len(self._keys)] = arrays["keys"].view(kernel.KEY)
            self._young = Queues.resumed(kernel.QUOTE, "young", arrays, room)
            self._waiting = Queues.resumed(kernel.WAITING, "waiting", arrays, room)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take trades and best quotes in; give the trades with their sides, and impacts then known."""
        given_trades, given_quotes = rows.inputs
        if rows.input_index is None or rows.row_index is None:
            raise FlowError(
                f"{self.name}: rows came without their merged order; it is a flow of EVENT"
            )
        trades = (given_trades or _NO_TRADES).batch
        quotes = (given_quotes or _NO_QUOTES).batch
        arguments = (
            rows.input_index,
            rows.row_index,
            (
                self._keys.of(trades.column("symbol")),
                times_ns(trades.column("ts_event")),
                floats_or_nan(trades.column("price")),
                floats_or_nan(trades.column("size")),
                self._is_signed(trades),
            ),
            (
                self._keys.of(quotes.column("symbol")),
                times_ns(quotes.column("ts_event")),
                floats_or_nan(quotes.column("bid")),
                floats_or_nan(quotes.column("ask")),
            ),
            self._spec,
        )
        self._make_room()
        emitted: list[Emitted] = []
        step = 0
        while step < trades.num_rows + quotes.num_rows:
            step = kernel.add_steps(step, *arguments, self._arrays, self._written)
            emitted += self._take_written(trades)
            for queues in (self._young, self._waiting):
                if queues.is_full:
                    queues.add_room()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Give the impacts of trades whose horizon ended before each key's time."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_time(
                row, slots, watermarks.times, self._spec, self._arrays, self._written
            )
            emitted += self._take_written(_NO_TRADES.batch)
        return emitted

    def snapshot(self) -> bytes:
        """Keys in order of slot, the state of as many, and what waits, key by key."""
        count = len(self._keys)
        arrays = {"keys": self._state[:count].view(np.int64)}
        arrays |= self._young.snapshot("young", count) | self._waiting.snapshot("waiting", count)
        return pack(self.name, self.version, {"keys": self._keys.keys}, arrays)

    @property
    def _arrays(self) -> tuple[NDArray[np.generic], ...]:
        return (self._state, *self._young.arguments, *self._waiting.arguments)

    @property
    def _written(self) -> tuple[NDArray[np.generic], ...]:
        return (self._signs, self._impacts, self._counts)

    def _is_signed(self, trades: pa.RecordBatch) -> NDArray[np.bool_]:
        is_new: NDArray[np.bool_] = self._actions.of(trades.column("action")) == 0
        if self._params.trades != "all":
            flags = trades.column(_FLAGS[self._params.trades])
            is_new &= flags.to_numpy(zero_copy_only=False)
        return is_new

    def _make_room(self) -> None:
        have = len(self._state)
        if len(self._keys) <= have:
            return
        bigger = kernel.new_keys(2 * len(self._keys))
        bigger[:have] = self._state
        self._state = bigger
        for queues in (self._young, self._waiting):
            queues.add_keys(len(bigger))

    def _take_written(self, trades: pa.RecordBatch) -> list[Emitted]:
        signs, impacts = self._counts.tolist()
        emitted: list[Emitted] = []
        if signs:
            emitted.append(Emit(topic=TRADE_SIGNS, batch=self._signs_batch(signs, trades)))
        if impacts:
            emitted.append(Emit(topic=TRADE_IMPACTS, batch=self._impacts_batch(impacts)))
        self._counts[:] = 0
        return emitted

    def _signs_batch(self, count: int, trades: pa.RecordBatch) -> pa.RecordBatch:
        codes, integers, floats, undefined, bitmap = trade_sign_rows.sign_columns(
            self._signs, count
        )
        (key,) = columns((INT32,), codes[:1])
        at = pa.array(integers[0])
        (number,) = columns((INT64,), integers[1:2])
        bid, ask, mid, quoted, effective = float_columns(floats, undefined, bitmap)
        never = integers[2] == kernel.NEVER
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(key),
                trades.column("ts_event").take(at),
                number,
                *(trades.column(name).take(at) for name in ("venue", "trade_id", "price", "size")),
                bid,
                ask,
                pa.array(np.where(never, 0, integers[2]), mask=never).view(TIMESTAMP),
                mid,
                _chosen_or_null(_SIDES, codes[1]),
                _chosen_or_null(_RULES, codes[2]),
                _chosen_or_null(_SIDES, codes[3]),
                quoted,
                effective,
                _chosen_or_null(_FAULTS, codes[4]),
            ],
            schema=TRADE_SIGNS.schema,
        )

    def _impacts_batch(self, count: int) -> pa.RecordBatch:
        codes, integers, floats, undefined, bitmap = trade_sign_rows.impact_columns(
            self._impacts, count
        )
        key, _, status = columns((INT32, INT32, INT32), codes)
        ts_event, number, ts_trade = columns((TIMESTAMP, INT64, TIMESTAMP), integers)
        price, size, mid, mid_after, *spreads = float_columns(floats, undefined, bitmap)
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(key),
                ts_event,
                number,
                ts_trade,
                price,
                size,
                _chosen_or_null(_SIDES, codes[1]),
                mid,
                mid_after,
                *spreads,
                chosen(_STATUS, status),
            ],
            schema=TRADE_IMPACTS.schema,
        )


def _chosen_or_null(values: pa.Array, codes: Int32s) -> pa.DictionaryArray:
    # A dictionary-encoded column; null where the number is negative.
    missing = codes < 0
    if not missing.any():
        return chosen(values, pa.array(codes))
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), values)
