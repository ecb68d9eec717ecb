"""A positions flow that is told of fills, cash, actions and marks in plain words, and all that it gave."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from flows.flow import Emit, InputRows, Rows
from flows.positions import Positions, PositionsParams
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS
from schemas.orders import EXECUTIONS
from schemas.positions import MARKS
from schemas.topic import Topic

SECOND = 1_000_000_000
NOON = 1_381_161_600 * SECOND

Row = dict[str, Any]


class Books:
    """A flow and its rows by topic; times are seconds after `NOON`, numbers are decimals in text."""

    def __init__(self, **params: Any) -> None:
        self.params = PositionsParams(**params)
        self.flow = Positions(self.params, None)
        self.rows: dict[str, list[Row]] = {topic.name: [] for topic in Positions.outputs}
        self.given: dict[str, list[Row]] = {one.name: [] for one in Positions.inputs}
        self._count = 0

    def account(self, name: str = "A", currency: str = "USD") -> None:
        self.give(
            ACCOUNTS,
            {
                "account": name,
                "ts_event": NOON,
                "ts_recv": NOON,
                "currency": currency,
                "type": "margin",
                "self_trade_allowed": False,
                "halted": False,
                "user": "test",
            },
        )

    def cash(
        self, amount: str, *, account: str = "A", currency: str = "USD", name: str = ""
    ) -> None:
        self.give(
            CASH_MOVEMENTS,
            {
                "account": account,
                "ts_event": NOON,
                "ts_recv": NOON,
                "movement_id": name or self._name("m"),
                "kind": "deposit",
                "amount": Decimal(amount),
                "currency": currency,
            },
        )

    def fill(self, side: str, quantity: str, price: str, at: float = 0, **more: Any) -> str:
        """A fill; its identifier."""
        name = str(more.pop("name", "")) or self._name("x")
        row: Row = {
            "account": "A",
            "ts_event": NOON + int(at * SECOND),
            "execution_id": name,
            "order_id": "o",
            "client_order_id": "c",
            "symbol": "IBM",
            "side": side,
            "quantity": Decimal(quantity),
            "price": Decimal(price),
            "currency": "USD",
            "fees": Decimal(more.pop("fees", "0")),
            "liquidity": "removed",
            "venue": "XNYS",
            "strategy": "",
        }
        self.give(EXECUTIONS, row | more)
        return name

    def act(self, action: str, at: float, symbol: str = "IBM", **terms: Any) -> str:
        """A corporate action; its identifier."""
        name = str(terms.pop("name", "")) or self._name("a")
        texts = ("currency", "new_symbol")
        row: Row = {
            "symbol": symbol,
            "ts_event": NOON + int(at * SECOND),
            "ts_recv": NOON,
            "action_id": name,
            "action": action,
        }
        numbers = {key: value if key in texts else Decimal(value) for key, value in terms.items()}
        self.give(CORPORATE_ACTIONS, row | numbers)
        return name

    def mark(self, at: float, price: float | None, symbol: str = "IBM") -> None:
        row = {"symbol": symbol, "ts_event": NOON + int(at * SECOND), "price": price}
        self.give(MARKS, row | dict.fromkeys(("bid", "ask", "last"), price))

    def give(self, topic: Topic, *rows: Row) -> None:
        """Rows of an input as one batch; fields that are left out are null."""
        self.given[topic.name] += rows
        names = rows[0]
        batch = topic.batch({name: [row[name] for row in rows] for name in names})
        given = InputRows(
            batch=batch,
            partition=0,
            offset=np.zeros(len(rows), np.int64),
            row=np.arange(len(rows), dtype=np.int32),
        )
        inputs = tuple(given if one.topic is topic else None for one in Positions.inputs)
        for emitted in self.flow.on_rows(Rows(inputs=inputs)):
            assert isinstance(emitted, Emit)
            emitted.batch.validate(full=True)
            self.rows[emitted.topic.name] += emitted.batch.to_pylist()

    def resume(self) -> None:
        """Go on with a fresh flow from a snapshot."""
        self.flow = Positions(self.params, self.flow.snapshot())

    def last(self, symbol: str = "IBM", account: str = "A", strategy: str = "") -> Row:
        """The newest row of a position."""
        return self._newest("positions", account=account, symbol=symbol, strategy=strategy)

    def balance(self, currency: str = "USD", account: str = "A") -> Decimal:
        """What there is of a currency."""
        found: Decimal = self._newest("balances", account=account, currency=currency)["balance"]
        return found

    def faults(self) -> list[str]:
        """Kinds of all faults, in order."""
        return [row["kind"] for row in self.rows["ledger_faults"]]

    def _newest(self, topic: str, **key: str) -> Row:
        mine = [row for row in self.rows[topic] if all(row[k] == v for k, v in key.items())]
        return mine[-1]

    def _name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"


def told(row: Mapping[str, Any], *names: str) -> tuple[str | None, ...]:
    """Fields as texts, without zeros at their ends."""
    return tuple(
        None if row[name] is None else format(row[name].normalize(), "f") for name in names
    )
