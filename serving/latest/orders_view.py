"""How orders stand: commands, events and executions of the newest orders, found by order and by account.

Written by the thread that reads the log, read by any. What it does not hold any more is in ClickHouse. A row costs
one look-up and one entry of a dictionary here; it becomes an object only when somebody asks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from flows.orders.states import ENDED, UNKNOWN
from schemas.field import TEXT
from schemas.json_codec import encode_lines
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic
from serving.latest.row_store import RowStore

ROWS_MAX = 200_000
"""Rows of each of the three topics that are kept, so about as many orders."""

FOLLOWED = (ORDERS, ORDER_EVENTS, EXECUTIONS)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rows of an order are: its command, or -1, and its newest event, or -1."""

    order_id: str
    command: int
    event: int


class _Chains:
    """Rows of a topic by order: the newest, and from each row the one before it of the same order."""

    def __init__(self, topic: Topic, rows_max: int) -> None:
        self.store = RowStore(topic, rows_max)
        self.newest: dict[str, int] = {}
        self._before: dict[int, int] = {}
        self._rows_max = rows_max

    def append(self, partition: int, offset: int, batch: pa.RecordBatch) -> list[str]:
        """Take the rows of a record in; returns their orders."""
        order_ids: list[str] = batch.column("order_id").to_pylist()
        number = self.store.append(partition, offset, batch)
        for order_id in order_ids:
            before = self.newest.get(order_id)
            if before is not None:
                self._before[number] = before
            self.newest[order_id] = number
            number += 1
        if len(self.newest) + len(self._before) > 4 * self._rows_max:
            self._purge()
        return order_ids

    def numbers(self, order_id: str) -> list[int]:
        """Rows of an order that are kept, oldest first."""
        found = []
        number = self.newest.get(order_id)
        while number is not None and number >= self.store.first:
            found.append(number)
            number = self._before.get(number)
        return found[::-1]

    def _purge(self) -> None:
        first = self.store.first
        self.newest = {name: row for name, row in self.newest.items() if row >= first}
        self._before = {row: before for row, before in self._before.items() if before >= first}


class OrdersView:
    """Orders by identifier and account.

    Parameters
    ----------
    rows_max : int
        Rows of each topic that are kept.
    """

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._commands: dict[str, int] = {}
        self._command_rows = RowStore(ORDERS, rows_max)
        self._events = _Chains(ORDER_EVENTS, rows_max)
        self._executions = _Chains(EXECUTIONS, rows_max)
        # Orders of an account as they first came; a dict, for its keys keep their order and say what is there.
        self._of_account: dict[str, dict[str, None]] = {}
        self._open: dict[str, dict[str, None]] = {}
        self._count = 0

    def append(self, topic: Topic, partition: int, offset: int, batch: pa.RecordBatch) -> None:
        """Take in the rows of a record of one of `FOLLOWED`."""
        if topic is EXECUTIONS:
            self._executions.append(partition, offset, batch)
            return
        if topic is ORDER_EVENTS and UNKNOWN in batch.column("status").dictionary.to_pylist():
            # They answer commands that speak of no order.
            batch = batch.filter(pc.not_equal(batch.column("status").cast(TEXT), UNKNOWN))
        accounts = _words(batch.column("account"))
        if topic is ORDER_EVENTS:
            order_ids = self._events.append(partition, offset, batch)
            self._note(accounts, order_ids)
            self._note_open(accounts, order_ids, _words(batch.column("status")))
            return
        commands = batch.column("command")
        number = self._command_rows.append(partition, offset, batch)
        rows: Sequence[int] = range(batch.num_rows)
        order_ids = batch.column("order_id").to_pylist()
        if commands.dictionary.to_pylist() != ["new"]:
            new = [row for row, command in enumerate(_words(commands)) if command == "new"]
            accounts, order_ids = [accounts[row] for row in new], [order_ids[row] for row in new]
            rows = new
        if self._commands.keys().isdisjoint(order_ids):
            # Of a retry the first row counts; here is none, but within the record.
            pairs = zip(reversed(order_ids), (number + row for row in reversed(rows)), strict=True)
            self._commands.update(pairs)
        else:
            for row, order_id in zip(rows, order_ids, strict=True):
                self._commands.setdefault(order_id, number + row)
        self._note(accounts, order_ids)
        told = self._events.newest
        received = [order_id for order_id in order_ids if order_id not in told]
        if len(received) < len(order_ids):
            # What an order's events say counts, and not that it was given again.
            kept = set(received)
            accounts = [a for a, name in zip(accounts, order_ids, strict=True) if name in kept]
        for account, names in _by_account(accounts, received):
            self._open.setdefault(account, {}).update(dict.fromkeys(names))

    def order(self, order_id: str) -> Json | None:
        """How an order stands, with its events and executions, oldest first; None where it is not known."""
        found = self._one(order_id)
        if found is not None:
            for name, chains in (("events", self._events), ("executions", self._executions)):
                numbers = chains.numbers(order_id)
                found[name] = list(_objects(chains.store, numbers).values())
        return found

    def account_of(self, order_id: str) -> tuple[str, str, str] | None:
        """Account, client order id and symbol of an order, or None."""
        found = self._one(order_id)
        return (
            None if found is None else (found["account"], found["client_order_id"], found["symbol"])
        )

    def executions(self) -> RowStore:
        """The newest executions."""
        return self._executions.store

    def offsets(self) -> dict[int, int]:
        """Of each partition of `orders` the offset from which on its rows are kept."""
        return self._command_rows.offsets()

    @property
    def is_whole(self) -> bool:
        """Whether every row that came is still here."""
        return not (self._command_rows.first or self._events.store.first)

    def _one(self, order_id: str) -> Json | None:
        standing = self._standing(order_id)
        shaped = [] if standing is None else self._shaped([standing])
        return shaped[0] if shaped else None

    def accounts(self) -> list[str]:
        """Accounts that have orders here."""
        return list(self._of_account)

    def newest_first(
        self, account: str, behind: str | None, block: int, *, only_open: bool = False
    ) -> Iterator[list[Json]]:
        """Orders of an account as they stand, newest first, in blocks.

        Parameters
        ----------
        account : str
            Whose.
        behind : str or None
            Begin behind this order; where it is not known, nothing is found.
        block : int
            Orders of a block.
        only_open : bool
            Only those that have not ended.
        """
        order_ids = list(self._of_account.get(account, ()))
        if behind is not None:
            known = behind in self._of_account.get(account, {})
            del order_ids[order_ids.index(behind) if known else 0 :]
        if only_open:
            standing = self._open.get(account, {})
            order_ids = [name for name in order_ids if name in standing]
        end = len(order_ids)
        for stop in range(end, 0, -block):
            names = order_ids[max(0, stop - block) : stop]
            found = [self._standing(name) for name in reversed(names)]
            yield self._shaped([one for one in found if one is not None])

    def _note(self, accounts: list[str], order_ids: list[str]) -> None:
        for account, names in _by_account(accounts, order_ids):
            orders = self._of_account.setdefault(account, {})
            before = len(orders)
            # An order that is there keeps its place.
            orders.update(dict.fromkeys(names))
            self._count += len(orders) - before
        if self._count > 2 * self._rows_max:
            self._purge()

    def _note_open(self, accounts: list[str], order_ids: list[str], statuses: list[str]) -> None:
        for account, order_id, status in zip(accounts, order_ids, statuses, strict=True):
            if status in ENDED:
                self._open.get(account, {}).pop(order_id, None)
            else:
                self._open.setdefault(account, {}).setdefault(order_id)

    def _purge(self) -> None:
        """Forget orders of which no row is kept."""
        first = self._command_rows.first
        self._commands = {name: row for name, row in self._commands.items() if row >= first}
        kept = {
            account: {name: None for name in orders if self._standing(name) is not None}
            for account, orders in self._of_account.items()
        }
        self._of_account = {account: orders for account, orders in kept.items() if orders}
        self._count = sum(map(len, self._of_account.values()))
        for account, orders in self._open.items():
            for name in [name for name in orders if name not in self._of_account.get(account, {})]:
                del orders[name]

    def _standing(self, order_id: str) -> Standing | None:
        command = self._commands.get(order_id, -1)
        event = self._events.newest.get(order_id, -1)
        command = command if command >= self._command_rows.first else -1
        event = event if event >= self._events.store.first else -1
        return None if command < 0 and event < 0 else Standing(order_id, command, event)

    def _shaped(self, standings: list[Standing]) -> list[Json]:
        asked = [one.command for one in standings if one.command >= 0]
        said = [one.event for one in standings if one.event >= 0]
        commands = _objects(self._command_rows, asked)
        events = _objects(self._events.store, said)
        pairs = [(commands.get(one.command), events.get(one.event)) for one in standings]
        # Rows that were dropped meanwhile are in neither.
        return [order_json(*pair) for pair in pairs if pair != (None, None)]


def order_json(command: Json | None, event: Json | None) -> Json:
    """An order as the API gives it: what was asked, and how it stands by its newest event.

    Parameters
    ----------
    command, event : dict or None
        Rows of `orders` and `order_events`, of which one is there at least.
    """
    found: Json = dict(_NOTHING_KNOWN)
    if command is not None:
        found |= {name: value for name, value in command.items() if name not in _NOT_SHOWN}
        found |= {
            "ts_received": command["ts_event"],
            "parent_order_id": None,
            "status": "received",
            "filled_quantity": "0.0000000000",
            "remaining_quantity": command["quantity"],
            "average_price": None,
        }
    if event is not None:
        found |= {name: value for name, value in event.items() if name not in _NOT_STANDING}
    return found


def _words(column: pa.DictionaryArray) -> list[str]:
    """The word of each row; Arrow's own list of a dictionary's words takes 1.3 us a row."""
    words: list[str] = column.cast(TEXT).to_pylist()
    return words


def _by_account(accounts: list[str], order_ids: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Orders of each account, in their order."""
    if len(set(accounts)) == 1:
        yield accounts[0], order_ids
        return
    found: dict[str, list[str]] = {}
    for account, order_id in zip(accounts, order_ids, strict=True):
        found.setdefault(account, []).append(order_id)
    yield from found.items()


_NOT_SHOWN = ("ts_event", "ts_recv", "command")
# Of the event itself; the list of events has it.
_NOT_STANDING = ("sequence", "event", "execution_id", "correlation_id")
# Exits of brackets were never commanded, and of a command nothing may have been heard yet: all orders have the same fields.
_NOTHING_KNOWN: Json = dict.fromkeys(
    [
        *(name for name in ORDERS.schema.names if name not in _NOT_SHOWN),
        "ts_received",
        *(name for name in ORDER_EVENTS.schema.names if name not in _NOT_STANDING),
    ]
)


def _objects(store: RowStore, numbers: list[int]) -> dict[int, Json]:
    """Rows as JSON objects, by number."""
    if not numbers:
        return {}
    found, batch = store.rows(numbers)
    lines = encode_lines(store.topic, batch).splitlines()
    return {number: orjson.loads(line) for number, line in zip(found, lines, strict=True)}
