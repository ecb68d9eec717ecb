"""The part of the API that takes orders: the writer's thread, awaited from the event loop."""

import asyncio

import pyarrow as pa

from connectors.log import Log
from serving.gateway.known_orders import Place
from serving.gateway.order_writer import Append, OrderWriter, Submission


class OrderGateway:
    """Takes commands of requests and answers once they are on disk.

    Parameters
    ----------
    log : Log
        With the topic `orders`.
    append : callable, optional
        See `serving.gateway.order_writer.OrderWriter`.
    """

    name = "orders"

    def __init__(self, log: Log, append: Append | None = None) -> None:
        self._log = log
        self._append = append
        self._writer: OrderWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Learn the newest orders of the log, then take new ones."""
        self._loop = asyncio.get_running_loop()
        self._writer = await asyncio.to_thread(
            OrderWriter, self._log, self._deliver, append=self._append
        )
        await asyncio.to_thread(self._writer.start)

    async def stop(self) -> None:
        """Write what was taken, then end."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.stop)
            # What was delivered last is told by a callback that has not run yet.
            await asyncio.sleep(0)

    async def first_command(self, order_id: str) -> pa.RecordBatch | None:
        """The command that made an order, one row; None where it is not known."""
        if self._writer is None:
            raise RuntimeError("the gateway was not started")
        return await asyncio.to_thread(self._writer.first_command, order_id)

    def first_place(self, order_id: str) -> Place | None:
        """Where in the log the command is that made an order; None where it is not known."""
        if self._writer is None:
            raise RuntimeError("the gateway was not started")
        return self._writer.first_place(order_id)

    async def submit(self, submission: Submission) -> Submission:
        """Write what was submitted, and return it once it is on disk.

        Raises
        ------
        BusyError
            Where too much waits; nothing of it was taken.
        LogError
            Where the log cannot be written.
        """
        if self._writer is None or self._loop is None:
            raise RuntimeError("the gateway was not started")
        submission.waiter = self._loop.create_future()
        self._writer.submit(submission)
        # A client that goes away, so that this is cancelled, does not take its orders back: the writer has them.
        await submission.waiter
        if submission.error is not None:
            raise submission.error
        return submission

    def _deliver(self, group: list[Submission]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_tell, group)


def _tell(group: list[Submission]) -> None:
    for one in group:
        if not one.waiter.done():
            one.waiter.set_result(None)
