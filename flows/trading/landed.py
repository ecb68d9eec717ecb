"""Executions of parts that were filled on arrival (`flows.trading.in_flight`), collected until they are a batch."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flows.orders.money import decimal_column
from flows.trading.blocks import Block, taken
from flows.trading.fill_columns import execution_ids
from schemas.arrays import Int64s
from schemas.field import TIMESTAMP
from schemas.orders import EXECUTIONS

if TYPE_CHECKING:
    from flows.trading.sent_orders import SentOrders
    from flows.trading.symbol_market import SymbolMarket

# What an execution says of its order, and its order's number.
_OF_ORDER = (
    "sequence",
    "account",
    "order_id",
    "client_order_id",
    "parent_order_id",
    "symbol",
    "side",
    "currency",
    "strategy",
    "lot_method",
    "lots",
    "correlation_id",
)


Fill = tuple[int, int, int, int, int, str]
"""Row of the order, the how many-th of the order it is, size, price and fees (scaled), and venue."""


class Landed:
    """Fills of orders that were sent by column, in order."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._numbers: list[int] = []
        self._quantities: list[int] = []
        self._prices: list[int] = []
        self._fees: list[int] = []
        self._venues: list[str] = []
        # Fills of one batch's orders at one time of a symbol: whose they are, their first, and what holds of them.
        self._sent: list[SentOrders] = []
        self._begins: list[int] = []
        self._now: list[int] = []
        self._bids: list[int | None] = []
        self._asks: list[int | None] = []
        self._before: list[int] = []

    def begin(self, sent: "SentOrders", market: "SymbolMarket", before: int) -> None:
        """What follows is of a batch's orders, in a market as it stands, behind so many rows of others."""
        self._sent.append(sent)
        self._begins.append(len(self.rows))
        self._now.append(market.now)
        self._bids.append(market.bid)
        self._asks.append(market.ask)
        self._before.append(before)

    def add(self, fills: list[Fill]) -> None:
        """Some fills, of which there is one."""
        rows, numbers, quantities, prices, fees, venues = zip(*fills, strict=True)
        self.rows += rows
        self._numbers += numbers
        self._quantities += quantities
        self._prices += prices
        self._fees += fees
        self._venues += venues

    def block(self) -> Block:
        """All of it."""
        count = len(self.rows)
        lengths = np.diff([*self._begins, count])
        run = pa.array(np.repeat(np.arange(len(lengths)), lengths))
        of_order = self._of_orders(np.array(self.rows, np.int64), lengths)
        numbers = np.array(self._numbers, np.int64)
        own = {
            "ts_event": pa.array(self._now, pa.int64()).take(run).view(TIMESTAMP),
            "execution_id": execution_ids(of_order["order_id"], of_order["sequence"], numbers),
            "quantity": decimal_column(self._quantities),
            "price": decimal_column(self._prices),
            "fees": decimal_column(self._fees),
            "liquidity": pa.repeat("removed", count),
            "venue": pa.array(self._venues, pa.string()),
            "bid": decimal_column(self._bids).take(run),
            "ask": decimal_column(self._asks).take(run),
        }
        columns = of_order | own
        before = np.repeat(np.array(self._before, np.int64), lengths)
        return Block([columns[field.name] for field in EXECUTIONS.fields], before)

    def _of_orders(self, rows: Int64s, lengths: Int64s) -> dict[str, pa.Array]:
        """What of each fill is its instruction's."""
        batches = list({id(one): one.batch for one in self._sent}.items())
        places = {key: at for at, (key, _) in enumerate(batches)}
        of_fill = np.repeat(np.array([places[id(one)] for one in self._sent]), lengths)
        # From batch after batch back to the order of the fills.
        order = np.argsort(np.argsort(of_fill, kind="stable"), kind="stable")
        columns = {}
        for name in _OF_ORDER:
            parts = [
                taken(batch, name, rows[of_fill == at]) for at, (_, batch) in enumerate(batches)
            ]
            columns[name] = (
                parts[0] if len(parts) == 1 else pa.concat_arrays(parts).take(pa.array(order))
            )
        return columns
