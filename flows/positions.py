"""Positions: what accounts hold, what it cost, what it is worth, and what cash they have; to the cent.

What changes an account, and where amounts are rounded, is in `flows.orders.ledger`, which lots a sale closes in
`flows.orders.lots`. A row of ``positions`` is told with each fill and corporate action, and when the mark of what
is held has changed, at most once in `PositionsParams.interval` of market time; rows of ``lot_closings`` and
``balances`` with each lot that is closed and each change of cash. What cannot be booked as it came is in
``ledger_faults``, and nowhere else.

Market time is the newest event time of marks and executions. Before the first of these a row's time is that of
what caused it.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import Field

from flows.columns import floats_or_nan
from flows.flow import Carried, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.intervals import LONGEST_NS
from flows.orders.book import Bounds
from flows.orders.corporate_actions import OF_ACTION
from flows.orders.ledger import Fill, Ledger, Movement
from flows.orders.ledger_rows import WRITTEN
from flows.orders.ledger_state import restore, saved
from flows.orders.rows import lists
from flows.snapshot import pack, unpack
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS, FIRM
from schemas.orders import EXECUTIONS
from schemas.positions import MARKS

# Of snapshots; one that was made by another layout is of an earlier version.
_LAYOUT = 1


class PositionsParams(Params):
    """Parameters of `Positions`.

    Parameters
    ----------
    interval : int
        Market time between two rows of a position that only marks have changed, ns; 0 tells every change.
    max_accounts, max_positions, max_symbols : int
        Bounds of the state, of a shard; one account, position (account, strategy, symbol and currency) or symbol
        with a mark more is an error.
    max_lots : int
        Of a position; where there would be more, the two oldest become one.
    max_seen : int
        Identifiers of fills and movements, of a shard, that are remembered so that a repeated one changes nothing;
        the oldest are forgotten first.
    """

    interval: int = Field(default=1_000_000_000, ge=0, le=LONGEST_NS)
    max_accounts: int = Field(default=100_000, ge=1)
    max_positions: int = Field(default=1_000_000, ge=1)
    max_symbols: int = Field(default=100_000, ge=1)
    max_lots: int = Field(default=10_000, ge=2)
    max_seen: int = Field(default=200_000, ge=1)


class Positions(Flow):
    """Positions, lots and cash of accounts.

    Parameters
    ----------
    params : PositionsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "positions"
    version = 1
    inputs = (
        Input(topic=ACCOUNTS, broadcast=True),
        Input(topic=CORPORATE_ACTIONS, broadcast=True),
        Input(topic=MARKS, broadcast=True),
        Input(topic=CASH_MOVEMENTS),
        Input(topic=EXECUTIONS),
    )
    outputs = WRITTEN
    order = Order.ARRIVAL
    params_type = PositionsParams
    carried = Carried(layout=_LAYOUT)

    def __init__(self, params: PositionsParams, snapshot: bytes | None) -> None:
        bounds = Bounds(
            accounts=params.max_accounts,
            positions=params.max_positions,
            lots=params.max_lots,
            symbols=params.max_symbols,
            seen=params.max_seen,
        )
        self._ledger = Ledger(bounds, params.interval)
        self._take = {
            ACCOUNTS.name: self._take_accounts,
            CORPORATE_ACTIONS.name: self._take_actions,
            MARKS.name: self._take_marks,
            CASH_MOVEMENTS.name: self._take_movements,
            EXECUTIONS.name: self._take_executions,
        }
        if snapshot:
            restore(self._ledger, *unpack(snapshot, self.name, _LAYOUT))

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Book what the rows say; give all that this changes."""
        at, given = rows.only
        self._take[self.inputs[at].name](given.batch)
        return self._ledger.book.rows.taken()

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Nothing is open that time could close."""
        return []

    def snapshot(self) -> bytes:
        """Accounts, positions with their lots, actions, marks, and identifiers that were seen."""
        return pack(self.name, _LAYOUT, *saved(self._ledger))

    def _take_accounts(self, batch: pa.RecordBatch) -> None:
        for account, currency in zip(*lists(batch, ("account", "currency")), strict=True):
            if account != FIRM:
                self._ledger.take_account(account, currency)

    def _take_actions(self, batch: pa.RecordBatch) -> None:
        for values in _rows(batch, tuple(OF_ACTION.values())):
            self._ledger.take_action(dict(zip(OF_ACTION, values, strict=True)))

    def _take_marks(self, batch: pa.RecordBatch) -> None:
        price = batch.column("price")
        prices: list[Any] = floats_or_nan(price).tolist()
        if price.null_count:
            prices = price.to_pylist()
        for (symbol, ts_ns), one in zip(_rows(batch, ("symbol", "ts_event")), prices, strict=True):
            self._ledger.take_mark(symbol, ts_ns, one)

    def _take_movements(self, batch: pa.RecordBatch) -> None:
        for values in _rows(batch, Movement._fields):
            self._ledger.take_movement(Movement(*values))

    def _take_executions(self, batch: pa.RecordBatch) -> None:
        for values in _rows(batch, Fill._fields):
            self._ledger.take_fill(Fill(*values))


def _rows(batch: pa.RecordBatch, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    return zip(*lists(batch, names), strict=True)
