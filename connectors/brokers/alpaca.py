"""The program between the log and an Alpaca account: sends ``broker_orders``, appends ``broker_reports``.

Each step does what is new in the log and on the stream, and then commits its reports, its positions and what it knows
of open orders as one: a kill leaves all of a step or none of its record. What it had asked for before the kill it asks
for again under the same names, which Alpaca takes once; and whenever it connects it asks how every open order
stands, and for the fills since, so that nothing is missed and nothing ordered twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty
from threading import Event
from time import time_ns
from typing import Any

import pyarrow as pa

from connectors.brokers.alpaca_orders import AlpacaOrders, Report, new_terms, replacing_terms
from connectors.brokers.alpaca_rest import AlpacaRest, RefusalError, StoppedError
from connectors.brokers.alpaca_stream import AlpacaStream, Connected, Refused, Update
from connectors.brokers.errors import BrokerError
from connectors.control import control_record, control_value
from connectors.log import Log, NewRecord, TopicConfig
from connectors.records import Partitioner, decode_rows, is_rows, rows_record
from schemas.execution import BROKER_ORDERS, BROKER_REPORTS

BROKERS_TOPIC = "_brokers"
VENUE = "ALPACA"

_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class AlpacaAccount:
    """Where the account is, and its key."""

    url: str
    stream_url: str
    key: str
    secret: str


class AlpacaBroker:
    """Works one account's orders.

    Parameters
    ----------
    log : Log
        Has ``broker_orders`` and ``broker_reports``.
    account : AlpacaAccount
        Which.
    stop : threading.Event
        Set it to end.
    tell : callable
        Takes an event's name and its fields, for the program's log.
    seed : int
        Of the waits between attempts.
    """

    def __init__(
        self, log: Log, account: AlpacaAccount, stop: Event, tell: Callable[..., None], seed: int
    ) -> None:
        self._log = log
        self._stop = stop
        self._tell = tell
        self._rest = AlpacaRest(account.url, account.key, account.secret, stop, seed)
        self._stream = AlpacaStream(account.stream_url, account.key, account.secret, stop, seed)
        log.create_topic(TopicConfig(name=BROKERS_TOPIC, partitions=1, synced=True))
        topics = log.topics()
        self._partitioner = Partitioner(topics[BROKER_REPORTS.name].partitions)
        self._positions = {
            partition: log.start(BROKER_ORDERS.name, partition)
            for partition in range(topics[BROKER_ORDERS.name].partitions)
        }
        self._writer = log.writer("broker.alpaca")
        last = log.last(BROKERS_TOPIC, 0)
        state = {} if last is None else control_value(last)
        self._positions |= {int(at): offset for at, offset in state.get("positions", {}).items()}
        self._orders = AlpacaOrders(state.get("orders"), state.get("ended"))

    def run(self) -> None:
        """Go on until told to stop.

        Raises
        ------
        BrokerError
            Where the broker refuses the key.
        """
        self._stream.start()
        try:
            # Orders wait for the stream: what it tells of them is then not missed.
            self._take(self._stream.updates.get() if self._wait_for_stream() else None)
            while not self._stop.is_set():
                self._step()
        except StoppedError:
            # What was asked for without an answer is asked again at the next start.
            pass
        finally:
            self._stop.set()
            self._stream.join()
            self._writer.close()

    def _wait_for_stream(self) -> bool:
        while self._stream.updates.empty():
            if self._stop.wait(_POLL_S):
                return False
        return True

    def _step(self) -> None:
        where = {(BROKER_ORDERS.name, at): offset for at, offset in self._positions.items()}
        self._log.wait(where, _POLL_S)
        for partition in sorted(self._positions):
            self._work_off(partition)
        reports: list[Report] = []
        while True:
            try:
                update = self._stream.updates.get_nowait()
            except Empty:
                break
            reports += self._reports_of(update)
        self._commit(reports)

    def _work_off(self, partition: int) -> None:
        """Send what is new in a partition; a commit a record, so that little is asked for again after a kill."""
        while not self._stop.is_set():
            offset = self._positions[partition]
            chunk = self._log.read(BROKER_ORDERS.name, partition, offset)
            if chunk.next_offset == offset:
                return
            for record in chunk.records:
                reports: list[Report] = []
                if is_rows(record):
                    for row in decode_rows(BROKER_ORDERS, record).to_pylist():
                        reports += self._send(row) if row["venue"] == VENUE else []
                self._positions[partition] = record.offset + 1
                self._commit(reports, always=True)
            self._positions[partition] = chunk.next_offset

    def _send(self, row: dict[str, Any]) -> list[Report]:
        """Ask for what a row says."""
        name, symbol, number = row["broker_order_id"], row["symbol"], row["sequence"]
        action = row["action"]
        known = self._orders.open.get(name)
        refusal = {"new": "rejected", "replace": "replace_rejected", "cancel": "cancel_rejected"}
        if action != "new" and (known is None or not known.alpaca_ids):
            # It has ended, and that was reported; whoever asked knows it by now.
            return []
        try:
            if action == "new":
                order = self._rest.new(new_terms(row))
                begun = self._orders.began(name, symbol, order)
                # One that a kill kept from being noted may have been filled since.
                return [*begun, *self._missed()] if _has_moved(order) else begun
            if known is not None and action == "replace":
                self._replace(known.alpaca_ids[-1], replacing_terms(row))
            elif known is not None:
                self._rest.cancel(known.alpaca_ids[-1])
        except RefusalError as refused:
            self._tell("refused", order=name, action=action, words=refused.words)
            return self._orders.refused(name, symbol, refusal[action], number, refused.words)
        return []

    def _replace(self, alpaca_id: str, terms: dict[str, Any]) -> None:
        if self._rest.by_client_order_id(terms["client_order_id"]) is None:
            self._rest.replace(alpaca_id, terms)

    def _take(self, update: Update | None) -> None:
        if update is not None:
            self._commit(self._reports_of(update))

    def _reports_of(self, update: Update) -> list[Report]:
        if isinstance(update, Refused):
            raise BrokerError(
                f"Alpaca's stream does not let us in: {update.words}; look at alpaca_key and "
                "alpaca_secret of [credentials], and at whether they are of this address"
            )
        if not isinstance(update, Connected):
            if not self._orders.knows(update):
                # By hand or of another program; or of ours, so long ago that it is forgotten.
                self._tell(
                    "not ours", order=update["order"]["client_order_id"], what=update["event"]
                )
            return self._orders.updated(update)
        self._tell("connected", open_orders=len(self._orders.open))
        return list(self._missed())

    def _missed(self) -> Iterator[Report]:
        """What became of orders while nobody listened: fills first, in their order, then ends."""
        orders = self._orders
        since = orders.since
        if since is None:
            return
        standing = list(self._standing())
        for activity in self._rest.fills(since):
            yield from orders.fill(activity)
        for name, order in standing:
            if name in orders.open:
                yield from orders.stands(name, order)

    def _standing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """How open orders stand, those that replaced them too."""
        for name, known in list(self._orders.open.items()):
            alpaca_id: str | None = known.alpaca_ids[0] if known.alpaca_ids else None
            while alpaca_id is not None:
                order = self._rest.order(alpaca_id)
                if order is None:
                    break
                yield name, order
                alpaca_id = order.get("replaced_by")
                if alpaca_id is not None and alpaca_id not in known.alpaca_ids:
                    known.alpaca_ids.append(alpaca_id)

    def _commit(self, reports: list[Report], *, always: bool = False) -> None:
        """Append reports, positions and what is known of open orders, all or none."""
        if not reports and not always:
            return
        state = {
            "positions": {str(at): offset for at, offset in self._positions.items()},
            "orders": self._orders.saved(),
            "ended": self._orders.saved_ended(),
        }
        records: list[NewRecord] = []
        if reports:
            batch = _batch(reports)
            records += [
                rows_record(BROKER_REPORTS, partition, part)
                for partition, part in self._partitioner.split(batch.column("symbol"), batch)
            ]
        records.append(control_record(BROKERS_TOPIC, 0, state))
        offsets = self._writer.commit(records, self._writer.number + 1)
        self._log.trim(BROKERS_TOPIC, 0, offsets[-1])


def _has_moved(order: dict[str, Any]) -> bool:
    return order["status"] not in ("new", "accepted", "pending_new") or order["filled_qty"] != "0"


def _batch(reports: list[Report]) -> pa.RecordBatch:
    now = time_ns()
    same = {"ts_event": now, "ts_recv": now, "venue": VENUE}
    return BROKER_REPORTS.batch_of_rows([same | one for one in reports])
