"""The ledger as a snapshot: a JSON head, and numbers in arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.orders.book import Book
from flows.orders.corporate_actions import Actions
from flows.orders.ledger import Ledger
from flows.orders.lots import Lot
from flows.orders.position import Position

# Stands for a number that is not there.
_NONE = -(2**127)


def saved(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and arrays that hold all of a ledger's state."""
    book = ledger.book
    numbers = {id(one): at for at, one in enumerate(book.positions)}
    accounts = book.accounts.values()
    lots = [lot for position in book.positions for lot in position.lots.open]
    head = {
        "market_time": ledger.market_time,
        "tell_at": ledger.tell_at,
        "untold": [numbers[id(one)] for one in ledger.untold],
        "seen": [list(one) for one in ledger.seen],
        "said": list(ledger.seen.values()),
        "actions": ledger.actions.saved(),
        "accounts": list(book.accounts),
        "currencies": [one.currency for one in accounts],
        "cash": [list(one.cash) for one in accounts],
        "positions": [
            [one.account, one.strategy, one.symbol, one.currency] for one in book.positions
        ],
        "lots": [lot.lot_id for lot in lots],
        "marks": list(book.marks),
    }
    arrays = {
        "counts": np.array(
            [
                (one.position_rows, one.closing_rows, one.balance_rows, one.fault_rows)
                for one in accounts
            ],
            np.int64,
        ).reshape(-1, 4),
        "cash": _halves([amount for one in accounts for amount in one.cash.values()]),
        "sums": _halves(
            [
                number
                for one in book.positions
                for number in (
                    one.realised,
                    one.dividends,
                    one.fees,
                    _NONE if one.mark_told is None else one.mark_told,
                )
            ]
        ),
        "told": np.array([one.ts_told for one in book.positions], np.int64),
        "open": np.array([len(one.lots.open) for one in book.positions], np.int64),
        "opened": np.array([lot.ts_opened for lot in lots], np.int64),
        "lots": _halves([number for lot in lots for number in (lot.quantity, lot.cost)]),
        "marks": np.array(list(book.marks.values()), np.float64),
        "mark_times": np.array(list(book.mark_times.values()), np.int64),
    }
    return head, arrays


def restore(ledger: Ledger, head: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Take over what `saved` gave."""
    ledger.market_time = head["market_time"]
    ledger.tell_at = head["tell_at"]
    said = head.get("said", [None] * len(head["seen"]))
    for (kind, account, name), check_sum in zip(head["seen"], said, strict=True):
        ledger.seen[kind, account, name] = check_sum
    ledger.actions = Actions(head["actions"])
    _restore_accounts(ledger.book, head, arrays)
    _restore_positions(ledger.book, head, arrays)
    times = arrays["mark_times"].tolist()
    for symbol, price, ts_ns in zip(head["marks"], arrays["marks"].tolist(), times, strict=True):
        ledger.book.put_mark(symbol, ts_ns, price)
    ledger.untold = {ledger.book.positions[at]: None for at in head["untold"]}


def _restore_accounts(book: Book, head: dict[str, Any], arrays: dict[str, Any]) -> None:
    amounts = iter(_joined(arrays["cash"]))
    rows = zip(
        head["accounts"], head["currencies"], head["cash"], arrays["counts"].tolist(), strict=True
    )
    for name, currency, cash, counts in rows:
        account = book.account(name)
        account.currency = currency
        account.cash = {one: next(amounts) for one in cash}
        (
            account.position_rows,
            account.closing_rows,
            account.balance_rows,
            account.fault_rows,
        ) = counts


def _restore_positions(book: Book, head: dict[str, Any], arrays: dict[str, Any]) -> None:
    sums = iter(_joined(arrays["sums"]))
    names = iter(head["lots"])
    opened = iter(arrays["opened"].tolist())
    numbers = iter(_joined(arrays["lots"]))
    rows = zip(head["positions"], arrays["told"].tolist(), arrays["open"].tolist(), strict=True)
    for key, ts_told, count in rows:
        position = book.take_over(Position(*key))
        position.realised, position.dividends, position.fees = next(sums), next(sums), next(sums)
        mark = next(sums)
        position.mark_told = None if mark == _NONE else mark
        position.ts_told = ts_told
        for _ in range(count):
            position.lots.add(Lot(next(names), next(opened), next(numbers), next(numbers)))


def _halves(values: Sequence[int]) -> Any:
    """Integers of up to 128 bits as pairs of 64."""
    data = b"".join(value.to_bytes(16, "little", signed=True) for value in values)
    return np.frombuffer(data, np.int64).reshape(-1, 2)


def _joined(halves: Any) -> list[int]:
    data = halves.tobytes()
    return [
        int.from_bytes(data[at : at + 16], "little", signed=True) for at in range(0, len(data), 16)
    ]
