"""How orders stand: commands, events and executions of the newest orders, found by order and by account.

Written by the thread that reads the log, read by any. What it does not hold any more is in ClickHouse. A row costs
one look-up and one entry of a dictionary here; it becomes an object only when somebody asks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from flows.orders.states import ENDED, UNKNOWN
from schemas.field import CATEGORY, TEXT
from schemas.json_codec import encode_lines
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic
from serving.latest.order_chains import Chains, EventChains, Records
from serving.latest.row_store import RowStore

ROWS_MAX = 200_000
"""Rows of each of the three topics that are kept, so about as many orders."""

FOLLOWED = (ORDERS, ORDER_EVENTS, EXECUTIONS)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rows of an order are: its command, or -1, and the newest event that says how it stands, or -1."""

    order_id: str
    command: int
    event: int


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
        self._events = EventChains(rows_max)
        self._executions = Chains(EXECUTIONS, rows_max)
        # Orders of an account as they first came, and those of any that have ended.
        self._of_account: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        # Those that have exits: orders that nobody commanded, and of which the rows may have been dropped.
        self._with_exits: set[str] = set()
        # Orders whose command is here, and whose newest event is not or may not be: ClickHouse has it.
        self._elsewhere: set[str] = set()
        self._before_start: dict[int, int] = {}
        self._count = 0

    def begin_late(self, ends: dict[int, int]) -> None:
        """Events are read from later on than the log has them: those of commands before these offsets may be missing."""
        self._before_start = dict(ends)

    def append(
        self, topic: Topic, partition: int, offsets: list[int], batches: list[pa.RecordBatch]
    ) -> None:
        """Take in the rows of records of a partition of one of `FOLLOWED`: the offset and the rows of each."""
        if topic is ORDER_EVENTS:
            batches = [_known(batch) for batch in batches]
        store = self._store(topic)
        records = Records(offsets, [batch.num_rows for batch in batches], store.joined(batches))
        if topic is EXECUTIONS:
            self._executions.append(partition, records)
            if self._executions.is_full:
                self._executions.purge()
            return
        if topic is ORDERS:
            self._append_commands(partition, records)
        else:
            self._append_events(partition, records)
        if self._count > 2 * self._rows_max or self._events.is_full:
            self._purge()

    def _append_events(self, partition: int, records: Records) -> None:
        batch = records.batch
        order_ids = batch.column("order_id").to_pylist()
        # First, so that one whose end is the first that is heard of it is never listed as open.
        for order_id, status in zip(order_ids, _words(batch.column("status")), strict=True):
            if status in ENDED:
                self._ended.add(order_id)
            else:
                self._ended.discard(order_id)
        self._note(_words(batch.column("account")), order_ids)
        self._events.append(partition, records)
        if self._elsewhere:
            self._elsewhere.difference_update(order_ids)

    def _append_commands(self, partition: int, records: Records) -> None:
        batch = records.batch
        accounts = _words(batch.column("account"))
        number = self._command_rows.append(partition, records.offsets, records.lengths, batch)
        numbers: Sequence[int] = range(number, number + batch.num_rows)
        order_ids = batch.column("order_id").to_pylist()
        self._note_unheard(partition, records, order_ids)
        classes = _words(batch.column("order_class"))
        if classes.count("simple") < len(classes):
            named = zip(order_ids, classes, strict=True)
            self._with_exits.update(name for name, kind in named if kind != "simple")
        commands = _words(batch.column("command"))
        if commands.count("new") < len(commands):
            new = [row for row, command in enumerate(commands) if command == "new"]
            accounts, order_ids = [accounts[row] for row in new], [order_ids[row] for row in new]
            numbers = [number + row for row in new]
        if self._note(accounts, order_ids):
            self._commands.update(zip(order_ids, numbers, strict=True))
        else:
            # Of a retry the first row counts.
            for order_id, row in zip(order_ids, numbers, strict=True):
                self._commands.setdefault(order_id, row)

    def _note_unheard(self, partition: int, records: Records, order_ids: list[str]) -> None:
        until = self._before_start.get(partition, 0)
        pairs = zip(records.offsets, records.lengths, strict=True)
        old = sum(length for offset, length in pairs if offset < until)
        self._elsewhere.update(name for name in order_ids[:old] if name not in self._events.newest)

    def is_told(self, order_id: str) -> bool:
        """Whether what is here says how an order stands: no event of it was dropped behind the newest that is kept."""
        if order_id not in self._events.newest:
            return order_id not in self._elsewhere
        return self._events.standing(order_id) >= 0

    def standings(self, order_ids: Sequence[str]) -> dict[str, Json]:
        """How orders stand, by identifier; of those that are not known here there is nothing."""
        found = [self._standing(name) for name in order_ids]
        shaped = self._shaped([one for one in found if one is not None])
        return {one["order_id"]: one for one in shaped}

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

    def _store(self, topic: Topic) -> RowStore:
        if topic is ORDERS:
            return self._command_rows
        return self._events.store if topic is ORDER_EVENTS else self._executions.store

    def _one(self, order_id: str) -> Json | None:
        standing = self._standing(order_id)
        shaped = [] if standing is None else self._shaped([standing])
        return shaped[0] if shaped else None

    def accounts(self) -> list[str]:
        """Accounts that have orders here."""
        return list(self._of_account)

    def newest_first(
        self,
        account: str,
        behind: str | None,
        block: int,
        *,
        only_open: bool = False,
        and_parents: bool = False,
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
        only_open, and_parents : bool
            Only those that have not ended, and those that have exits, which may not have.
        """
        order_ids = list(self._of_account.get(account, ()))
        if behind is not None:
            try:
                del order_ids[order_ids.index(behind) :]
            except ValueError:
                return
        if only_open:
            also = self._with_exits if and_parents else ()
            order_ids = [name for name in order_ids if name not in self._ended or name in also]
        end = len(order_ids)
        for stop in range(end, 0, -block):
            names = order_ids[max(0, stop - block) : stop]
            found = [self._standing(name) for name in reversed(names)]
            yield self._shaped([one for one in found if one is not None])

    def _note(self, accounts: list[str], order_ids: list[str]) -> bool:
        """List the orders that no command or event spoke of before; whether all are such, and different ones."""
        heard = (self._commands.keys(), self._events.newest.keys())
        are_new = len(set(order_ids)) == len(order_ids) and all(
            known.isdisjoint(order_ids) for known in heard
        )
        if not are_new:
            pairs = zip(order_ids, accounts, strict=True)
            new = {
                name: account for name, account in pairs if not any(name in one for one in heard)
            }
            accounts, order_ids = list(new.values()), list(new)
        for account, names in _by_account(accounts, order_ids):
            self._of_account.setdefault(account, []).extend(names)
        self._count += len(order_ids)
        return are_new

    def _purge(self) -> None:
        """Forget orders of which no row is kept: what is listed is what has a command or an event here."""
        newest, kept_from = self._events.newest, self._events.store.first
        self._elsewhere.update(name for name, row in newest.items() if row < kept_from)
        self._events.purge()
        first = self._command_rows.first
        self._commands = {name: row for name, row in self._commands.items() if row >= first}
        self._elsewhere.intersection_update(self._commands)
        self._with_exits.intersection_update(self._commands)
        kept = {
            account: [name for name in orders if self._standing(name) is not None]
            for account, orders in self._of_account.items()
        }
        self._of_account = {account: orders for account, orders in kept.items() if orders}
        self._count = sum(map(len, self._of_account.values()))
        self._ended.intersection_update(chain.from_iterable(self._of_account.values()))

    def _standing(self, order_id: str) -> Standing | None:
        command = self._commands.get(order_id, -1)
        command = command if command >= self._command_rows.first else -1
        event = self._events.standing(order_id)
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
    return found if event is None else standing_after(found, event)


def standing_after(order: Json, event: Json) -> Json:
    """An order with what an event, or the same order by a newer one, says of how it stands."""
    return {**order, **{name: event[name] for name in _STANDING}}


def says_standing(event: Json) -> bool:
    """Whether an event says how its order stands: not an answer to what came long after its end, nor of no order."""
    return event["status"] != UNKNOWN and event["order_type"] is not None


def _known(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Events without those that answer commands which speak of no order."""
    if UNKNOWN not in batch.column("status").dictionary.to_pylist():
        return batch
    return batch.filter(pc.not_equal(batch.column("status").cast(TEXT), UNKNOWN))


def _words(column: pa.Array) -> list[str]:
    """The word of each row, none of them null; Arrow's own list of a dictionary's words takes 1.3 us a row."""
    # Of a row, or of a thousand alike, the dictionary's word is all; a cast takes 10 us.
    is_one = column.type == CATEGORY and len(column.dictionary) == 1
    words: list[str] = (column.dictionary if is_one else column.cast(TEXT)).to_pylist()
    return words * len(column) if is_one else words


def _by_account(accounts: list[str], order_ids: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Orders of each account, in their order."""
    if not accounts:
        return
    if accounts.count(accounts[0]) == len(accounts):
        yield accounts[0], order_ids
        return
    found: dict[str, list[str]] = {}
    for account, order_id in zip(accounts, order_ids, strict=True):
        found.setdefault(account, []).append(order_id)
    yield from found.items()


_NOT_SHOWN = ("ts_event", "ts_recv", "command")
# Of the event itself; the list of events has it.
_NOT_STANDING = ("sequence", "event", "execution_id", "correlation_id")
_STANDING = tuple(name for name in ORDER_EVENTS.schema.names if name not in _NOT_STANDING)
# Exits of brackets were never commanded, and of a command nothing may have been heard yet: all orders have the same fields.
_NOTHING_KNOWN: Json = dict.fromkeys(
    [
        *(name for name in ORDERS.schema.names if name not in _NOT_SHOWN),
        "ts_received",
        *_STANDING,
    ]
)


def _objects(store: RowStore, numbers: list[int]) -> dict[int, Json]:
    """Rows as JSON objects, by number."""
    if not numbers:
        return {}
    found, batch = store.rows(numbers)
    lines = encode_lines(store.topic, batch).splitlines()
    return {number: orjson.loads(line) for number, line in zip(found, lines, strict=True)}
