"""Execution: works orders that passed the order system's checks, at paper venues, by algorithms, at brokers.

Each symbol has a desk (`flows.trading.desk`), which is told of the symbol's market only while it has orders. Of all
other symbols the newest quotes and trades are kept by column, so that a stream of quotes costs little whoever
trades. What the paper venues do and do not is in ``docs/orders.md``.

Market time is each symbol's own: the running maximum of its quotes', trades' and books' event times and of their
watermark rows, so that one symbol's history can be fed while another's orders wait.
"""

import json

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.flow import (
    Carried,
    Emitted,
    Flow,
    Input,
    InputRows,
    Late,
    Order,
    Params,
    Rows,
    Watermarks,
)
from flows.instruments import InstrumentTable
from flows.intervals import LONGEST_NS
from flows.quote_conditions import NOT_COUNTED, QuoteKinds, checked
from flows.snapshot import pack, unpack
from flows.trading.at_once import AtOnce
from flows.trading.broker_fills import Misfit, take_report, unknown
from flows.trading.context import Context, new_curves
from flows.trading.desk import Desk
from flows.trading.hours import Hours
from flows.trading.inputs import Instructions, broker_reports
from flows.trading.interfaces import QuoteEvent, TradeEvent
from flows.trading.outbox import OUTPUTS
from flows.trading.past_parts import Origin, PastPart
from flows.trading.plain_orders import PlainOrders
from flows.trading.replacing import replace_order
from flows.trading.symbol_market import SymbolMarket
from flows.trading.tape import Tape, Trade
from flows.trading.trade_kinds import CLOSING, OFF_BOOK, OPENING, UNCODED
from flows.trading.working import Working
from schemas.bars import BARS
from schemas.book import BOOK_TOP
from schemas.execution import BROKER_REPORTS
from schemas.instruments import INSTRUMENTS
from schemas.market import QUOTES, TRADES
from schemas.orders import INSTRUCTIONS
from schemas.sessions import DEFAULT_CALENDAR

_SECOND_NS = 1_000_000_000
_MARKET = (QUOTES, TRADES, BOOK_TOP)

# Plain orders of a batch from which on it is less work to take them by column.
_BY_COLUMN_FROM = 64
_AUCTIONS = {OPENING: "open", CLOSING: "close", UNCODED: "any"}

# Of snapshots; one that was made by another layout is of an earlier version. 2: what the tape has shown of venues.
_LAYOUT = 2


class ExecutionParams(Params):
    """Parameters of `Execution`.

    Parameters
    ----------
    smart_routing : bool
        Whether orders without a venue are spread over the venue models, or go to the one paper market ``PAPER``.
    brokers : tuple of str
        Venues that are outside brokers: an order that names one goes to ``broker_orders``.
    stale_after : int
        How long a quote stands that is not renewed, ns.
    not_counted : tuple of str
        Conditions that keep a quote from counting; see `flows.quote_conditions`.
    suspicious : bool
        Whether rows that the source doubts count like others; if not, they say nothing.
    calendar : str
        Calendar (exchange_calendars) of symbols that ``instruments`` does not know.
    calendars : dict of str to str
        The same of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    max_orders : int
        How many orders a shard works at once; one more is rejected.
    max_ended : int
        Of how many ended orders the numbers of their reports are kept, for what is asked too late; the oldest
        are forgotten, and a report of those begins at 1 again. Of so many parts at brokers a fill is booked that
        is told when they have ended.
    """

    smart_routing: bool = True
    brokers: tuple[str, ...] = ("ALPACA",)
    stale_after: int = Field(default=300 * _SECOND_NS, ge=1, le=LONGEST_NS)
    not_counted: tuple[str, ...] = NOT_COUNTED
    suspicious: bool = False
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)
    max_orders: int = Field(default=200_000, ge=1)
    max_ended: int = Field(default=10_000, ge=1)

    _not_counted = field_validator("not_counted")(checked)


class Execution(Flow):
    """Works orders.

    Parameters
    ----------
    params : ExecutionParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "execution"
    version = 1
    inputs = (
        Input(topic=INSTRUMENTS, broadcast=True),
        Input(topic=BARS),
        Input(topic=QUOTES),
        Input(topic=TRADES),
        Input(topic=BOOK_TOP),
        Input(topic=INSTRUCTIONS),
        Input(topic=BROKER_REPORTS),
    )
    outputs = OUTPUTS
    order = Order.ARRIVAL
    params_type = ExecutionParams
    carried = Carried(layout=_LAYOUT)

    def __init__(self, params: ExecutionParams, snapshot: bytes | None) -> None:
        self._params = params
        self._context = Context(
            brokers=params.brokers,
            smart_routing=params.smart_routing,
            max_orders=params.max_orders,
            max_ended=params.max_ended,
        )
        head, arrays = unpack(snapshot, self.name, _LAYOUT) if snapshot else ({}, {})
        # Exact numbers are wider than the 64 bits that a snapshot's head may have.
        state = json.loads(arrays.pop("state").tobytes()) if arrays else {}
        self._instruments = InstrumentTable(state.get("instruments"), max_keys=params.max_keys)
        kinds = QuoteKinds(params.not_counted, suspicious=params.suspicious)
        self._tape = Tape(head, arrays, kinds, params.max_keys)
        self._context.curves = new_curves(state.get("curves"))
        self._context.ended.update(state.get("ended", ()))
        for name, (origin, seen) in state.get("past_parts", ()):
            self._context.past_parts[name] = PastPart(Origin(*origin), seen)
        self._hours: dict[str, Hours] = {}
        self._desks: dict[int, Desk] = {}
        self._known_until: dict[int, int | None] = {}
        for saved in state.get("desks", ()):
            slot = self._tape.slot(saved["symbol"])
            desk = self._new_desk(slot)
            desk.restore(saved)
            self._learn(slot, desk)
            # Behind the tick, whose change forgets what our fills used up.
            desk.market.restore(saved["market"])
            if desk.is_followed:
                desk.market.renew()
                self._tape.active[slot] = True

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take instructions, market data and brokers' reports in; give what becomes of orders."""
        at, given = rows.only
        topic = self.inputs[at].topic
        late: list[Emitted] = []
        if topic is QUOTES:
            self._tape.take_quotes(given.batch, self)
        elif topic is TRADES:
            self._tape.take_trades(given.batch, self)
        elif topic is BOOK_TOP:
            self._tape.take_tops(given.batch, self)
        elif topic is INSTRUCTIONS:
            self._take_instructions(given.batch)
        elif topic is BROKER_REPORTS:
            late = self._take_broker_reports(at, given)
        elif topic is INSTRUMENTS:
            self._take_instruments(given.batch)
        elif self._context.curves is not None:
            self._context.curves.take(given.batch)
        return self._context.outbox.emptied() + late

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Time of the market passes: what is due by then happens."""
        if self.inputs[watermarks.input].topic not in _MARKET:
            return []
        for key, time in zip(watermarks.keys, watermarks.times.tolist(), strict=True):
            slot = self._tape.slot(key)
            desk = self._desks.get(slot)
            if desk is not None and desk.has_orders:
                self.before(slot, time)
            self._tape.pass_time(slot, time)
        return self._context.outbox.emptied()

    def speaks_of(self, key: str) -> bool:
        """Of nothing: orders are not told by time."""
        del key
        return False

    def snapshot(self) -> bytes:
        """The markets by column; instruments, desks and what was learned of bars as JSON."""
        head, arrays = self._tape.saved()
        curves = self._context.curves
        state = {
            "instruments": self._instruments.saved(),
            "curves": None if curves is None else curves.saved(),
            "ended": list(self._context.ended.items()),
            "past_parts": list(self._context.past_parts.items()),
            "desks": [self._desks[slot].saved() for slot in sorted(self._desks)],
        }
        text = json.dumps(state, separators=(",", ":"), sort_keys=True).encode()
        return pack(self.name, _LAYOUT, head, arrays | {"state": np.frombuffer(text, np.uint8)})

    # What the tape tells (`flows.trading.tape.Listener`)

    def before(self, slot: int, ts_event: int) -> None:
        """Time has come to a row that is not in the market yet."""
        desk = self._desks[slot]
        if not desk.has_orders:
            desk.is_followed = self._tape.active[slot] = False
            return
        until = self._known_until[slot]
        if until is not None and ts_event >= until:
            self._learn(slot, desk, ts_event)
        desk.before(ts_event)

    def quoted(self, slot: int, ts_event: int, venue: int, *, best: bool, depth: bool) -> None:
        """A quote is in the market."""
        desk = self._desks[slot]
        if not desk.is_followed:
            return
        if best:
            desk.market.renew()
        else:
            desk.market.renew_venue(venue)
        desk.after(QuoteEvent(ts_event, self._tape.venues.keys[venue], depth))

    def traded(self, slot: int, ts_event: int, trade: Trade) -> None:
        """A trade is in the market."""
        desk = self._desks[slot]
        if not desk.is_followed:
            return
        market = desk.market
        price, size = market.price(trade.price), market.size(trade.size)
        if price is not None and size:
            meets_book = trade.kind != OFF_BOOK
            market.trade_left = size
            desk.after(
                TradeEvent(
                    ts_event,
                    trade.venue,
                    price,
                    size,
                    trade.side,
                    trade.sets_price,
                    meets_book,
                    _AUCTIONS.get(trade.kind),
                )
            )

    def _take_instruments(self, batch: pa.RecordBatch) -> None:
        """Take instruments in; desks learn row by row, or a tick that stood for a moment would hang on the cut."""
        slots = {desk.symbol: slot for slot, desk in self._desks.items()}
        begin = 0
        for end, symbol in enumerate(batch.column("symbol").to_pylist(), start=1):
            if symbol in slots or end == batch.num_rows:
                self._instruments.take(batch.slice(begin, end - begin))
                begin = end
            if symbol in slots:
                self._learn(slots[symbol], self._desks[slots[symbol]])

    def _take_instructions(self, batch: pa.RecordBatch) -> None:
        slots = self._tape.slots(batch.column("symbol"))
        rows = Instructions(batch)
        plain = self._plain_orders(batch)
        if plain is None:
            for row, slot in enumerate(slots.tolist()):
                self._take_instruction(self._followed(slot), *rows.at(row))
            return
        used, of_row = np.unique(slots, return_inverse=True)
        desks = [self._followed(slot) for slot in used.tolist()]
        at_once = AtOnce(batch, rows, plain, desks=desks, of_row=of_row, context=self._context)
        row = at_once.take(0)
        while row < len(slots):
            at_once.leave(row)
            self._take_instruction(desks[of_row[row]], *rows.at(row))
            at_once.renew(row)
            row = at_once.take(row + 1)
        at_once.finish()

    def _plain_orders(self, batch: pa.RecordBatch) -> PlainOrders | None:
        """Plain orders of a batch, where there are enough of them to be taken by column."""
        if batch.num_rows < _BY_COLUMN_FROM:
            return None
        plain = PlainOrders(batch, smart_routing=self._context.smart_routing)
        return plain if np.count_nonzero(plain.plain | plain.routed) >= _BY_COLUMN_FROM else None

    def _take_instruction(self, desk: Desk, action: str, terms: Working) -> None:
        desk.fallback_ns = max(desk.fallback_ns, terms.ts_begin)
        terms.ts_begin = desk.now
        desk.work(terms.order.order_id)
        if action == "new":
            self._context.recall(terms, filled=False)
            desk.begin(terms)
        else:
            self._context.recall(terms, filled=True)
            if action == "replace":
                replace_order(desk, terms)
            else:
                desk.cancel(terms)

    def _take_broker_reports(self, at: int, given: InputRows) -> list[Emitted]:
        # A batch of late rows has one reason; rows stay in their order, or that would hang on the cut.
        unfit: list[tuple[Misfit, list[int]]] = []
        for row, report in enumerate(broker_reports(given.batch)):
            slot = self._tape.slot(report.symbol)
            if slot in self._desks:
                desk = self._followed(slot)
                desk.in_flight.give_all_back()
                misfit = take_report(desk, report)
                desk.drain()
            else:
                misfit = unknown(report)
            if misfit is not None and unfit and unfit[-1][0] == misfit:
                unfit[-1][1].append(row)
            elif misfit is not None:
                unfit.append((misfit, [row]))
        times = given.batch.column("ts_event").view("int64").to_numpy()
        return [
            Late(
                input=at,
                index=index,
                window=["open order"] * len(rows),
                window_end=times[index],
                frontier=times[index],
                used=np.full(len(rows), misfit.used),
                reason=misfit.reason,
            )
            for misfit, rows in unfit
            for index in [np.array(rows, dtype=np.int64)]
        ]

    def _new_desk(self, slot: int) -> Desk:
        market = SymbolMarket(
            self._tape.keys.keys[slot], self._tape, slot, self._params.stale_after
        )
        desk = self._desks[slot] = Desk(market, self._context)
        self._learn(slot, desk)
        return desk

    def _followed(self, slot: int) -> Desk:
        """A symbol's desk; one that was not told of the market is given how that stands by now, and told from here on."""
        desk = self._desks.get(slot)
        if desk is None:
            desk = self._new_desk(slot)
        if desk.is_followed:
            return desk
        now = self._tape.now(slot)
        if now is not None:
            desk.has_time = True
            desk.market.now = max(desk.market.now, now)
        self._learn(slot, desk)
        desk.market.renew()
        desk.is_followed = self._tape.active[slot] = True
        return desk

    def _learn(self, slot: int, desk: Desk, ts_ns: int | None = None) -> None:
        """Ask ``instruments`` what the symbol is by now."""
        symbol = desk.symbol
        at = desk.now if ts_ns is None else ts_ns
        found = self._instruments.at(symbol, at)
        self._known_until[slot] = self._instruments.until(symbol, at)
        own = self._params.calendars.get(symbol, self._params.calendar)
        calendar = own if found is None else found.calendar
        if calendar not in self._hours:
            self._hours[calendar] = Hours(calendar)
        desk.market.set_instrument(found, self._hours[calendar])
        desk.market.listing = self._context.listing(found)
