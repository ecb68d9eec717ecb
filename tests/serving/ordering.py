"""Orders for tests of the door: as clients write them, and a writer whose answers can be waited for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.log import Log
from connectors.records import decode_rows, is_rows
from schemas.order_ids import order_id_of
from schemas.orders import ORDERS
from serving.gateway.order_rows import command_row, rows_of_columns
from serving.gateway.order_writer import OrderWriter, Submission
from serving.gateway.requests import order_model, read_many, read_one


def order(client_order_id: str, **fields: Any) -> dict[str, Any]:
    """A limit order as a client writes it."""
    return {
        "account": "A1",
        "client_order_id": client_order_id,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": "100",
        "order_type": "limit",
        "limit_price": "150.25",
        "time_in_force": "day",
        **fields,
    }


def one(client_order_id: str, **fields: Any) -> Submission:
    """An order that came by itself."""
    read = read_one(json.dumps(order(client_order_id, **fields)).encode(), order_model())
    read["order_id"] = order_id_of(read["account"], read["client_order_id"])
    return Submission(commands=[command_row(read, command="new", user="u", correlation_id="c")])


def many(*orders: dict[str, Any]) -> Submission:
    """Orders that came together."""
    read = read_many(json.dumps(orders).encode())
    assert not read.faults
    found = rows_of_columns(read.columns, user="u", correlation_id="c")
    assert not found.reasons
    return Submission(batch=found.good)


class Writing:
    """A writer, and whoever waits for it."""

    def __init__(self, log: Log, **options: Any) -> None:
        self._changed = threading.Condition()
        self._done: set[Submission] = set()
        self.writer = OrderWriter(log, self._deliver, **options)

    def put(self, *submissions: Submission) -> tuple[Submission, ...]:
        """Submit, and return once all are done."""
        for submission in submissions:
            self.writer.submit(submission)
        self.wait(*submissions)
        return submissions

    def wait(self, *submissions: Submission) -> None:
        """Return once all are done."""
        wanted = set(submissions)
        with self._changed:
            assert self._changed.wait_for(lambda: wanted <= self._done, 60)

    def _deliver(self, group: list[Submission]) -> None:
        with self._changed:
            self._done.update(group)
            self._changed.notify_all()


@contextmanager
def writing(log: Log, **options: Any) -> Iterator[Writing]:
    """A writer that runs."""
    found = Writing(log, **options)
    found.writer.start()
    try:
        yield found
    finally:
        found.writer.stop()


def orders_in(log: Log) -> list[dict[str, Any]]:
    """All rows of `orders`, partition by partition, each with its place."""
    rows = []
    for partition in range(log.topics()[ORDERS.name].partitions):
        at, end = log.start(ORDERS.name, partition), log.end(ORDERS.name, partition)
        while at < end:
            chunk = log.read(ORDERS.name, partition, at)
            for record in chunk.records:
                if is_rows(record):
                    for number, row in enumerate(decode_rows(ORDERS, record).to_pylist()):
                        rows.append({**row, "place": (partition, record.offset, number)})
            at = chunk.next_offset
    return rows
