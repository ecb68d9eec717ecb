"""The one writer of orders: what comes while a commit runs shares the next one, and its sync of the disk.

A plain object with a thread of its own; it knows the log, and neither HTTP nor asyncio.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.audit_log import AuditEntry
from connectors.log import Chunk, Log, LogError, NewRecord
from connectors.metrics import DOOR_COMMITS, DOOR_ORDERS
from connectors.records import Partitioner, decode_rows, is_rows, rows_record
from schemas.field import INT64, TEXT
from schemas.orders import ORDERS
from serving.gateway.first_commands import chunks_by_time, row_at, words_at
from serving.gateway.known_orders import KnownOrders, Place, packed, unpacked
from serving.gateway.order_rows import at_time, partitions_of, rows_of_commands, said

# Rows of one commit: more would make those that wait behind it wait longer than they would gain.
_COMMIT_ROWS = 20_000
# Rows that wait; whoever comes then is told so at once.
WAITING_MAX = 100_000
# Records at the end of the log whose orders are known after a start.
_REMEMBERED_RECORDS = 200_000

CONFLICT, INVALID = "conflict", "invalid"

Append = Callable[[Sequence[AuditEntry], Sequence[NewRecord]], list[int]]


class BusyError(RuntimeError):
    """More orders wait for the disk than may."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was not taken: ``kind`` is `CONFLICT` or `INVALID`."""

    kind: str
    reason: str


USED_BEFORE = Refusal(
    CONFLICT,
    "the client order id was used before, for another order: a retry must say the same, a new order needs a new id",
)


@dataclass(eq=False, slots=True)
class Submission:
    """Commands that came together, and what became of them.

    Parameters
    ----------
    commands : list of dict or None
        One or few, see `serving.gateway.order_rows.command_row`; checked when they are written.
    batch : pyarrow.RecordBatch or None
        Or many, checked already.
    audit : AuditEntry or None
        What the audit log says of it, in the same commit; nothing where all of it is refused.
    waiter : Any
        Whoever is told.
    order_ids : list of str
        Once done: of each row.
    places : list of int
        Once done: of each row, packed (`serving.gateway.known_orders`); -1 where it was refused.
    refused : dict of int to Refusal
        Once done: rows that were not taken.
    unread : dict of int to dict
        Once done: what retries say whose first row the log keeps no more; others compare it.
    error : Exception or None
        Once done: why nothing at all is known to be in the log.
    """

    commands: list[dict[str, Any]] | None = None
    batch: pa.RecordBatch | None = None
    audit: AuditEntry | None = None
    waiter: Any = None
    order_ids: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    unread: dict[int, dict[str, Any]] = field(default_factory=dict)
    error: BaseException | None = None

    @property
    def rows(self) -> int:
        """How many commands."""
        if self.batch is not None:
            return int(self.batch.num_rows)
        return len(self.commands or ())


@dataclass(eq=False, slots=True)
class _Block:
    """Rows that go into the log together: whose each is, and which of them make which order."""

    batch: pa.RecordBatch
    owners: list[tuple[Submission, int]]
    order_ids: list[str]
    makes: dict[str, int]


class OrderWriter:
    """Appends commands to `orders`.

    Parameters
    ----------
    log : Log
        With the topic made, and synced.
    deliver : callable
        Told of submissions that are done, from the writer's thread.
    append : callable, optional
        Appends audit entries and records in one commit, and returns the records' offsets
        (`connectors.audit_log.AuditWriter.append`); without it, nothing is audited.
    known : KnownOrders, optional
        What is known of the log's orders.
    clock : callable
        Wall time, ns since 1970 UTC: when the door took a command.

    Raises
    ------
    LogError
        Where the topic does not promise that an append is on disk before it is acknowledged.
    """

    def __init__(
        self,
        log: Log,
        deliver: Callable[[list[Submission]], None],
        *,
        append: Append | None = None,
        known: KnownOrders | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        config = log.topics()[ORDERS.name]
        if not config.synced:
            raise LogError(
                f"topic {ORDERS.name} in {log.url} was made without being synced to disk: an order could be "
                "lost after it was acknowledged; make the topic anew"
            )
        self._log = log
        self._deliver = deliver
        self._append = append or (lambda _, records: log.append(records))
        self._known = KnownOrders() if known is None else known
        self._clock = clock
        self._partitioner = Partitioner(config.partitions)
        self._next: dict[int, int] = {}
        self._wake = threading.Condition()
        self._waiting: list[Submission] = []
        self._waiting_rows = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="order-writer", daemon=True)

    def start(self) -> None:
        """Learn the newest orders of the log, then begin to write."""
        for partition in range(self._partitioner.partitions):
            start = self._log.start(ORDERS.name, partition)
            end = self._log.end(ORDERS.name, partition)
            self._next[partition] = max(start, end - _REMEMBERED_RECORDS)
        # One partition after the other, those known at the end would be the last one's.
        for partition, chunk in chunks_by_time(self._log, dict(self._next)):
            self._know(partition, chunk)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Have commands written; `deliver` tells when they are.

        Raises
        ------
        BusyError
            Where too many wait, or the writer is ending.
        """
        with self._wake:
            if self._ending:
                raise BusyError("the door is closing; nothing of this was taken")
            if self._waiting_rows + submission.rows > WAITING_MAX:
                raise BusyError(f"{self._waiting_rows:,} orders wait for the disk; try again")
            self._waiting.append(submission)
            self._waiting_rows += submission.rows
            self._wake.notify()

    def first_command(self, order_id: str) -> pa.RecordBatch | None:
        """The command that made an order, as the log has it, one row; None where it is not known.

        May be called from any thread: what was acknowledged a moment ago is found, too.
        """
        place = self._known.find(order_id)
        return None if place is None else row_at(self._log, place)

    def first_place(self, order_id: str) -> Place | None:
        """Where the command is that made an order; None where it is not known. May be called from any thread."""
        place = self._known.find(order_id)
        return None if place is None else unpacked(place)

    def stop(self) -> None:
        """Write what waits, then end."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            try:
                self._commit(group)
            # Whatever it is, whoever waits is told: a thread that died would leave all waiting for ever.
            except BaseException as error:  # noqa: BLE001 - handed over to every submission, which raises it
                for one in group:
                    one.error = error
            self._deliver(group)

    def _take(self) -> list[Submission]:
        """All that wait, up to a commit's size; none once the end has come."""
        with self._wake:
            while not self._waiting and not self._ending:
                self._wake.wait()
            taken, rows = 0, 0
            for one in self._waiting:
                if taken and rows + one.rows > _COMMIT_ROWS:
                    break
                taken += 1
                rows += one.rows
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._waiting_rows -= rows
            return group

    def _catch_up(self, partition: int) -> None:
        """Learn what others have appended: the inbox's orders, those of another door."""
        for _, chunk in chunks_by_time(self._log, {partition: self._next[partition]}):
            self._know(partition, chunk)

    def _know(self, partition: int, chunk: Chunk) -> None:
        for record in chunk.records:
            if is_rows(record):
                block = _block(decode_rows(ORDERS, record), [])
                self._known.add(block.makes, partition, record.offset)
        self._next[partition] = chunk.next_offset

    def _commit(self, group: list[Submission]) -> None:
        positions = {(ORDERS.name, partition): at for partition, at in self._next.items()}
        for _, partition in self._log.news(positions):
            self._catch_up(partition)
        repeats: list[_Repeat] = []
        blocks: list[_Block] = []
        for block in _blocks(group, self._clock()):
            blocks.append(self._without_repeats(block, blocks, repeats))
        parts = [part for block in blocks for part in self._parts(block)]
        entries = [
            one.audit for one in group if one.audit is not None and len(one.refused) < one.rows
        ]
        if parts or entries:
            records = [rows_record(ORDERS, partition, part.batch) for partition, part in parts]
            offsets = self._append(entries, records)
            DOOR_COMMITS.inc()
            for (partition, part), offset in zip(parts, offsets, strict=True):
                self._note(part, partition, offset)
        for (one, row), (first, first_row) in repeats:
            one.places[row] = first.places[first_row]

    def _parts(self, block: _Block) -> Iterator[tuple[int, _Block]]:
        """A block by partition."""
        if not block.owners:
            return
        if self._partitioner.partitions == 1:
            yield 0, block
            return
        partitions = partitions_of(block.batch, self._partitioner.of)
        for partition in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == partition)
            if len(rows) == block.batch.num_rows:
                yield partition, block
            else:
                owners = [block.owners[row] for row in rows.tolist()]
                yield partition, _block(block.batch.take(pa.array(rows)), owners)

    def _note(self, part: _Block, partition: int, offset: int) -> None:
        """Say where the rows of a record are, and know its orders from now on."""
        DOOR_ORDERS.inc(len(part.owners))
        base = packed(partition, offset, 0)
        for at, (one, row) in enumerate(part.owners):
            one.places[row] = base + at
        if self._next[partition] == offset:
            self._next[partition] = offset + 1
            # Those that were known are no part of it.
            self._known.add(part.makes, partition, offset, are_new=True)

    def _without_repeats(
        self, block: _Block, before: list[_Block], repeats: list["_Repeat"]
    ) -> _Block:
        """A block without new orders that are known already: these get the first one's answer."""
        made = sum(map(bool, block.order_ids))
        if (
            made == len(block.makes)
            and self._known.has_none(block.makes)
            and all(one.makes.keys().isdisjoint(block.makes) for one in before)
        ):
            return block
        kept = []
        words = said(block.batch)
        found_places = map(self._known.find, block.makes)
        firsts = words_at(self._log, [place for place in found_places if place is not None])
        for row, (order_id, owner) in enumerate(zip(block.order_ids, block.owners, strict=True)):
            earlier = [one for one in before if order_id in one.makes]
            place = self._known.find(order_id) if order_id else None
            if place is not None:
                owner[0].places[owner[1]] = place
                if place not in firsts:
                    owner[0].unread[owner[1]] = words[row]
                    continue
                first = firsts[place]
            elif earlier:
                found = earlier[0].makes[order_id]
                repeats.append((owner, earlier[0].owners[found]))
                first = said(earlier[0].batch.slice(found, 1))[0]
            elif order_id and block.makes[order_id] != row:
                repeats.append((owner, block.owners[block.makes[order_id]]))
                first = words[block.makes[order_id]]
            else:
                kept.append(row)
                continue
            if first != words[row]:
                if place is None:
                    repeats.pop()
                owner[0].places[owner[1]] = -1
                owner[0].refused[owner[1]] = USED_BEFORE
        return _block(block.batch.take(pa.array(kept, INT64)), [block.owners[row] for row in kept])


# Whoever repeats an order of the same commit, and whoever was first.
_Repeat = tuple[tuple[Submission, int], tuple[Submission, int]]


def _blocks(group: list[Submission], time_ns: int) -> Iterator[_Block]:
    """The good rows of submissions, in their order, at the time when the door took them.

    What came singly is gathered into one block.
    """
    singles: list[Submission] = []
    for one in group:
        if one.batch is None:
            singles.append(one)
            continue
        if singles:
            yield _gathered(singles, time_ns)
            singles = []
        one.places = [-1] * one.rows
        one.order_ids = one.batch.column("order_id").to_pylist()
        yield _block(at_time(one.batch, time_ns), [(one, row) for row in range(one.rows)])
    if singles:
        yield _gathered(singles, time_ns)


def _gathered(singles: list[Submission], time_ns: int) -> _Block:
    owners: list[tuple[Submission, int]] = []
    commands: list[dict[str, Any]] = []
    for one in singles:
        one.places = [-1] * one.rows
        one.order_ids = [command["order_id"] for command in one.commands or ()]
        owners += [(one, row) for row in range(one.rows)]
        commands += one.commands or ()
    found = rows_of_commands(commands, time_ns)
    for at, reason in zip(found.rejected.tolist(), found.reasons, strict=True):
        one, row = owners[at]
        one.refused[row] = Refusal(INVALID, reason)
    bad = set(found.rejected.tolist())
    good = [at for at in range(len(owners)) if at not in bad]
    made = [commands[at]["order_id"] if commands[at]["command"] == "new" else "" for at in good]
    return _block_of(found.good, [owners[at] for at in good], made)


def _block(batch: pa.RecordBatch, owners: list[tuple[Submission, int]]) -> _Block:
    order_ids = batch.column("order_id").to_pylist()
    commands = batch.column("command")
    if commands.dictionary.to_pylist() != ["new"]:
        order_ids = [
            order_id if command == "new" else ""
            for order_id, command in zip(order_ids, commands.cast(TEXT).to_pylist(), strict=True)
        ]
    return _block_of(batch, owners, order_ids)


def _block_of(
    batch: pa.RecordBatch, owners: list[tuple[Submission, int]], order_ids: list[str]
) -> _Block:
    """Rows, and of each the identifier of the order that it makes, empty where it makes none."""
    makes = dict(zip(order_ids, range(len(order_ids)), strict=True))
    if len(makes) < len(order_ids):
        # Of an identifier that comes twice the first row counts.
        makes = {}
        for row, order_id in enumerate(order_ids):
            makes.setdefault(order_id, row)
    makes.pop("", None)
    return _Block(batch, owners, order_ids, makes)
