"""Reads and decodes ahead of who computes, in a thread of its own: SQLite, LZ4 and Arrow work without the GIL."""

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Of some 8,000 rows each; more would only cost memory.
_AHEAD = 8
# How often a reader whose items nobody takes any more looks whether it may end.
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class _Ended:
    """The items are at their end, or at an error."""

    error: BaseException | None = None


class _Reader(threading.Thread, Generic[T]):
    """Takes items out of an iterable and into a queue until told to stop."""

    def __init__(self, items: Iterable[T]) -> None:
        super().__init__(name="read-ahead", daemon=True)
        self.waiting: queue.Queue[T | _Ended] = queue.Queue(_AHEAD)
        self.stop = threading.Event()
        self._items = items

    def run(self) -> None:
        ended = _Ended()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        # Whatever it is, it belongs to the thread that computes, which raises it again.
        except BaseException as error:  # noqa: BLE001
            ended = _Ended(error)
        self._put(ended)

    def _put(self, item: T | _Ended) -> bool:
        while not self.stop.is_set():
            try:
                self.waiting.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False


def read_ahead(items: Iterable[T]) -> Generator[T]:
    """The same items in the same order, made by another thread, a few ahead.

    An error of ``items`` is raised where its item would have come. Closing the generator ends the thread.
    """
    reader = _Reader(items)
    reader.start()
    try:
        while True:
            item = reader.waiting.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        reader.stop.set()
        reader.join()
