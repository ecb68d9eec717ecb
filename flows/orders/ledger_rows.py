"""Rows that the ledger writes: collected one by one, given away as columns."""

from typing import Any

from flows.flow import Emit, Emitted
from flows.orders.rows import batch_of
from schemas.positions import BALANCES, LEDGER_FAULTS, LOT_CLOSINGS, POSITIONS

WRITTEN = (POSITIONS, LOT_CLOSINGS, BALANCES, LEDGER_FAULTS)


class LedgerRows:
    """Rows of the ledger's topics, each a tuple in the order of its topic's fields.

    Attributes
    ----------
    positions, closings, balances, faults : list of tuple
        Times as ns since 1970 UTC, exact numbers scaled.
    """

    def __init__(self) -> None:
        self.positions: list[tuple[Any, ...]] = []
        self.closings: list[tuple[Any, ...]] = []
        self.balances: list[tuple[Any, ...]] = []
        self.faults: list[tuple[Any, ...]] = []

    def taken(self) -> list[Emitted]:
        """What was written, by topic; nothing of it is left."""
        lists = (self.positions, self.closings, self.balances, self.faults)
        emitted: list[Emitted] = [
            Emit(topic=topic, batch=batch_of(topic, rows))
            for topic, rows in zip(WRITTEN, lists, strict=True)
            if rows
        ]
        for rows in lists:
            rows.clear()
        return emitted
