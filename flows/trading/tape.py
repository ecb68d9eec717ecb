"""The markets of all symbols of a shard, by column: newest quotes, levels and trades, whoever has orders there.

Rows of symbols without orders cost a pass of a kernel. For the others the `Listener` is told twice: before a
row, that time has come to it, and behind it, that the market has it in it.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.columns import Codes, floats_or_nan, times_ns
from flows.kernels import paper_quotes as kernel
from flows.kernels import venue_activity as seen
from flows.kernels.nbbo import IS_BEST
from flows.kernels.venue_quotes import VENUES_MAX
from flows.keys import KeySlots
from flows.quote_conditions import QuoteKinds
from flows.trading.market import Seen
from flows.trading.trade_kinds import OFF_EXCHANGE, PLAIN, UNCODED, TradeKinds
from schemas.arrays import Int64s
from schemas.book import BOOK_TOP, LEVELS

# What there is room for from the start.
_SYMBOLS, _VENUES, _PLACES = 64, 8, 16

_LEVEL_COLUMNS = tuple(
    BOOK_TOP.schema.get_field_index(name)
    for level in range(1, LEVELS + 1)
    for name in (f"bid_{level}", f"bid_size_{level}", f"ask_{level}", f"ask_size_{level}")
)
_STOPPED = Codes(["halted", "quoting"])
_SIDES = Codes(["buy", "sell"])
_ACTIONS = Codes(["new"])

SIDE_NAMES = ("buy", "sell", None)


class Listener(Protocol):
    """Who works orders in a symbol."""

    def before(self, slot: int, ts_event: int) -> None:
        """Time has come to a row that is not in the market yet."""

    def quoted(self, slot: int, ts_event: int, venue: int, *, best: bool, depth: bool) -> None:
        """A quote (or, with ``depth``, a row of ``book_top``) is in the market; ``best``: others may be gone."""

    def traded(self, slot: int, ts_event: int, trade: "Trade") -> None:
        """A trade is in the market."""


class Trade:
    """A trade print, as the market has it."""

    __slots__ = ("kind", "price", "sets_price", "side", "size", "venue")

    def __init__(
        self,
        venue: str,
        price: float,
        size: float,
        side: str | None,
        sets_price: bool,  # noqa: FBT001 - one of six columns
        kind: int,
    ) -> None:
        self.venue = venue
        self.price = price
        self.size = size
        self.side = side
        self.sets_price = sets_price
        self.kind = kind


class Tape:
    """Newest quotes, levels and trades of all symbols.

    Parameters
    ----------
    head, arrays : dict
        What `saved` gave, or nothing to begin.
    kinds : QuoteKinds
        Says which quotes count.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    def __init__(
        self, head: dict[str, Any], arrays: dict[str, Any], kinds: QuoteKinds, max_keys: int
    ) -> None:
        self.keys = KeySlots(head.get("keys", []), max_keys)
        self.venues = KeySlots(head.get("venues", []), VENUES_MAX, "venues of a shard")
        self._kinds = kinds
        self._trade_kinds = TradeKinds()
        self._places: dict[int, int] = {}
        self._make(_SYMBOLS, _VENUES)
        self._levels = np.full((_PLACES, 4 * LEVELS), np.nan)
        self._make_room()
        if arrays:
            self._restore(head, arrays)

    def now(self, slot: int) -> int | None:
        """Market time of a symbol; None before its first event."""
        now = int(self.symbols[slot]["now"])
        return None if now == kernel.NEVER else now

    def last(self, slot: int) -> float:
        """Price of the last trade that sets it; NaN if none did."""
        return float(self.symbols[slot]["last"])

    def sold(self, slot: int) -> int:
        """When that trade was; long ago before the first."""
        return int(self.symbols[slot]["sold"])

    def touches(self, slot: int) -> list[Any]:
        """Of each venue by number: bid and ask, each price (NaN for none), size and time."""
        found: list[Any] = self._touches[slot].tolist()
        return found

    def touch(self, slot: int, venue: int) -> list[Any]:
        """The same of one venue."""
        found: list[Any] = self._touches[slot, venue].tolist()
        return found

    def is_halted(self, slot: int, venue: int) -> bool:
        """Whether the venue was told not to trade the symbol."""
        return bool(self._halted[slot, venue])

    def levels(self, slot: int, venue: int) -> list[float]:
        """Levels of the newest row of ``book_top``: bid, size, ask, size, and again; empty if there was none."""
        place = self._places.get(slot * VENUES_MAX + venue)
        found: list[float] = [] if place is None else self._levels[place].tolist()
        return found

    def minute(self, slot: int) -> float:
        """When what `seen` tells of a symbol was told: minute since 1970; 0 before its first event."""
        return float(self._course[slot, seen.TOLD, seen.MINUTE])

    def seen(self, slot: int) -> Seen:
        """What was seen of a symbol until its present minute began."""
        course = self._course[slot, seen.TOLD].tolist()
        activity = self._activity[slot, seen.TOLD].tolist()
        venues = {
            name: tuple(sums)
            for name, sums in zip(self.venues.keys, activity, strict=False)
            if sums[seen.TRADED] > 0.0
        }
        return Seen(
            minute=course[seen.MINUTE],
            squares=course[seen.SQUARES],
            seconds=course[seen.SECONDS],
            volume=course[seen.VOLUME],
            minutes=course[seen.MINUTES],
            prints=course[seen.PRINTS],
            venues=venues,
        )

    def pass_time(self, slot: int, ts_ns: int) -> None:
        """Time goes on without an event."""
        self.symbols[slot]["now"] = max(int(self.symbols[slot]["now"]), ts_ns)

    def slot(self, symbol: str) -> int:
        """Slot of a symbol, new where it is."""
        slot = self.keys.slot(symbol)
        self._make_room()
        return slot

    def slots(self, symbols: pa.DictionaryArray) -> Int64s:
        """Slot of each row's symbol, new where it is."""
        slots = self.keys.of(symbols)
        self._make_room()
        return slots

    def take_quotes(self, batch: pa.RecordBatch, listener: Listener) -> None:
        """Take rows of ``quotes`` in."""
        slots, venues, times = self._read(batch)
        columns = tuple(
            floats_or_nan(batch.column(name)) for name in ("bid", "bid_size", "ask", "ask_size")
        )
        kinds = self._kinds.of(batch.column("condition"))

        def step(first: int, taken: bool) -> int:  # noqa: FBT001 - as the kernel
            return kernel.take_quotes(
                first, taken, slots, venues, times, columns, kinds, self.active, *self._flat
            )

        def told(row: int) -> None:
            listener.quoted(
                int(slots[row]),
                int(times[row]),
                int(venues[row]),
                best=bool(kinds[row] & IS_BEST),
                depth=False,
            )

        _walk(step, slots, times, listener, told)

    def take_tops(self, batch: pa.RecordBatch, listener: Listener) -> None:
        """Take rows of ``book_top`` in."""
        slots, venues, times = self._read(batch)
        matrix = np.stack([floats_or_nan(batch.column(at)) for at in _LEVEL_COLUMNS])
        stops = _STOPPED.of(batch.column("state")) >= 0
        places = self._placed(slots * VENUES_MAX + venues)

        def step(first: int, taken: bool) -> int:  # noqa: FBT001 - as the kernel
            return kernel.take_tops(
                first,
                taken,
                slots,
                venues,
                times,
                matrix,
                stops,
                places,
                self.active,
                self._levels,
                self._halted.reshape(-1),
                *self._flat,
            )

        def told(row: int) -> None:
            listener.quoted(
                int(slots[row]), int(times[row]), int(venues[row]), best=False, depth=True
            )

        _walk(step, slots, times, listener, told)

    def take_trades(self, batch: pa.RecordBatch, listener: Listener) -> None:
        """Take rows of ``trades`` in; a correction or cancellation of an earlier trade changes nothing here."""
        batch = batch.filter(pc.equal(batch.column("action"), "new"))
        slots, venues, times = self._read(batch)
        prices, sizes = (floats_or_nan(batch.column(name)) for name in ("price", "size"))
        sets = batch.column("updates_last").to_numpy(zero_copy_only=False)
        counts = batch.column("updates_volume").to_numpy(zero_copy_only=False)
        kinds = self._trade_kinds.of(batch.column("conditions"))
        sides = _SIDES.of(batch.column("side"))
        # Auctions meet no queue, and averages no book: they say nothing of where orders are filled.
        in_book = np.where(counts & ((kinds == PLAIN) | (kinds == UNCODED)), sizes, 0.0)
        off_exchange = np.array([name in OFF_EXCHANGE for name in self.venues.keys], np.bool_)

        def step(first: int, taken: bool) -> int:  # noqa: FBT001 - as the kernel
            return kernel.take_trades(
                first,
                taken,
                slots,
                venues,
                times,
                prices,
                in_book,
                off_exchange,
                sets,
                self.active,
                *self._flat,
            )

        def told(row: int) -> None:
            trade = Trade(
                self.venues.keys[int(venues[row])],
                float(prices[row]),
                float(sizes[row]) if counts[row] else 0.0,
                SIDE_NAMES[sides[row]],
                bool(sets[row]),
                int(kinds[row]),
            )
            listener.traded(int(slots[row]), int(times[row]), trade)

        _walk(step, slots, times, listener, told)

    def saved(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Head and arrays for a snapshot."""
        symbols, venues = len(self.keys), len(self.venues)
        touches = np.ascontiguousarray(self._touches[:symbols, :venues])
        head = {
            "keys": self.keys.keys,
            "venues": self.venues.keys,
            "places": list(self._places),
        }
        arrays = {
            **_saved_symbols(self.symbols[:symbols]),
            "touches": touches.view(np.int64),
            "newest": self._newest[:symbols, :venues],
            "halted": self._halted[:symbols, :venues].astype(np.int8),
            "levels": self._levels[: len(self._places)],
            "course": self._course[:symbols],
            "activity": self._activity[:symbols, :, :venues],
        }
        return head, arrays

    def _restore(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        symbols, venues = arrays["newest"].shape
        _restore_symbols(self.symbols[:symbols], arrays)
        touches = arrays["touches"].view(kernel.TOUCH).reshape(symbols, venues, 2)
        self._touches[:symbols, :venues] = touches
        self._newest[:symbols, :venues] = arrays["newest"]
        self._halted[:symbols, :venues] = arrays["halted"] != 0
        self._course[:symbols] = arrays["course"]
        self._activity[:symbols, :, :venues] = arrays["activity"]
        self._places = {pair: place for place, pair in enumerate(head["places"])}
        self._make_places()
        self._levels[: len(self._places)] = arrays["levels"]

    @property
    def _flat(self) -> tuple[Any, ...]:
        return (
            self.symbols,
            self._touches.reshape(-1),
            self._newest.reshape(-1),
            self._course,
            self._activity,
        )

    def _read(self, batch: pa.RecordBatch) -> tuple[Int64s, Int64s, Int64s]:
        slots = self.keys.of(batch.column("symbol"))
        venues = self.venues.of(batch.column("venue"))
        self._make_room()
        return slots, venues, times_ns(batch.column("ts_event"))

    def _make(self, symbols: int, venues: int) -> None:
        self.symbols = np.zeros(symbols, kernel.SYMBOL)
        self.symbols["now"] = kernel.NEVER
        self.symbols["last"] = np.nan
        self.symbols["sold"] = kernel.NEVER
        self._touches = np.zeros((symbols, venues, 2), kernel.TOUCH)
        self._touches["price"] = np.nan
        self._newest = np.full((symbols, venues), kernel.NEVER, dtype=np.int64)
        self._halted = np.zeros((symbols, venues), dtype=np.bool_)
        self.active = np.zeros(symbols, dtype=np.bool_)
        self._course = np.zeros((symbols, 2, seen.COURSE_FIELDS))
        self._activity = np.zeros((symbols, 2, venues, seen.ACTIVITY_FIELDS))

    def _make_room(self) -> None:
        symbols, venues = self._newest.shape
        known, quoting = len(self.keys), len(self.venues)
        if known <= symbols and quoting <= venues:
            return
        old = (self.symbols, self._touches, self._newest, self._halted, self.active)
        course, activity = self._course, self._activity
        self._make(
            symbols if known <= symbols else 2 * known, venues if quoting <= venues else 2 * quoting
        )
        self.symbols[:symbols] = old[0]
        self._touches[:symbols, :venues] = old[1]
        self._newest[:symbols, :venues] = old[2]
        self._halted[:symbols, :venues] = old[3]
        self.active[:symbols] = old[4]
        self._course[:symbols] = course
        self._activity[:symbols, :, :venues] = activity

    def _placed(self, pairs: Int64s) -> Int64s:
        used, first, of_row = np.unique(pairs, return_index=True, return_inverse=True)
        for at in np.argsort(first).tolist():
            self._places.setdefault(int(used[at]), len(self._places))
        self._make_places()
        places = np.array([self._places[int(pair)] for pair in used], dtype=np.int64)
        found: Int64s = places[of_row]
        return found

    def _make_places(self) -> None:
        if len(self._places) > len(self._levels):
            more = np.full((2 * len(self._places), 4 * LEVELS), np.nan)
            more[: len(self._levels)] = self._levels
            self._levels = more


def _saved_symbols(symbols: Any) -> dict[str, Any]:
    """Time and last price side by side, as there was nothing else once; and when that price was paid."""
    pairs = np.stack([symbols["now"], symbols["last"].copy().view(np.int64)], axis=1)
    return {"symbols": pairs.reshape(-1), "sold": symbols["sold"].copy()}


def _restore_symbols(symbols: Any, arrays: dict[str, Any]) -> None:
    pairs = arrays["symbols"].reshape(-1, 2)
    symbols["now"] = pairs[:, 0]
    symbols["last"] = pairs[:, 1].copy().view(np.float64)
    # Where an earlier version did not say when, it was in the session that was open.
    symbols["sold"] = arrays.get("sold", symbols["now"])


def _walk(
    step: Callable[[int, bool], int],
    slots: Int64s,
    times: Int64s,
    listener: Listener,
    told: Callable[[int], None],
) -> None:
    row = step(0, False)
    while row < len(slots):
        listener.before(int(slots[row]), int(times[row]))
        following = step(row, True)
        told(row)
        row = following
