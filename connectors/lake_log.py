"""A read-only log over the lake alone: the records of a log that was landed, its own file being cut or gone.

Records are those of the log in meaning: same offsets, append times, keys, headers and rows in the same order.
Their bytes may differ (a dictionary has other codes). What is not in the lake are snapshots, which can be computed
again, and the lander's own records: those topics are empty here. The lake is read as it was when it was opened.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from connectors.lake_control import read_catalog
from connectors.lake_partition import LakePartition, Window
from connectors.log import (
    Chunk,
    Log,
    LogError,
    NewRecord,
    Record,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    Writer,
)
from connectors.parquet import LakeError
from schemas.registry import TOPICS
from schemas.topic import Topic

_PREFIX = "lake:///"
# Of all windows that are kept: one of each input of a few flows.
_KEPT_BYTES = 768 << 20


class LakeLog(Log):
    """A lake, read as the log that was landed in it.

    Parameters
    ----------
    url : str
        ``lake:///relative/path`` or ``lake:////absolute/path``.
    topics : iterable of Topic
        Whose rows the lake has.

    Raises
    ------
    LogError
        Where the folder is no lake.
    """

    may_end_within_a_commit = True

    def __init__(self, url: str, topics: Iterable[Topic] = tuple(TOPICS.values())) -> None:
        self.url = url
        self.path = _path_of(url)
        declared = {topic.name: topic for topic in topics}
        try:
            self._configs = read_catalog(self.path)
        except LakeError as error:
            raise LogError(str(error)) from error
        # Progress first: what it speaks of landed before it, so it is there when the rest is listed.
        names = sorted(self._configs, key=lambda name: (not name.startswith("_progress."), name))
        self._partitions = {
            (name, partition): LakePartition(
                lake=self.path, name=name, partition=partition, topic=declared.get(name)
            )
            for name in names
            for partition in range(self._configs[name].partitions)
        }
        self._windows: OrderedDict[tuple[str, int, int], Window] = OrderedDict()
        self._lock = threading.Lock()

    def topics(self) -> dict[str, TopicConfig]:
        """The topics by name."""
        return dict(sorted(self._configs.items()))

    def read(self, topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        """Records from ``offset`` on."""
        place = self._place(topic, partition)
        if not place.start <= offset <= place.end:
            raise TruncatedError(
                f"{topic}[{partition}] in lake {self.path}: offset {offset} was asked for, the lake holds "
                f"{place.start} to {place.end - 1}: what came before was cut before it landed, and what "
                "comes after has not landed yet"
            )
        at = offset
        while at < place.end:
            records, reached = self._window(place, at).records(at, max_bytes)
            if records or reached >= place.end:
                return Chunk(tuple(records), reached)
            at = reached
        return Chunk((), at)

    def start(self, topic: str, partition: int) -> int:
        """The first offset that landed."""
        return self._place(topic, partition).start

    def end(self, topic: str, partition: int) -> int:
        """The offset that follows the last one that had landed when the lake was opened."""
        return self._place(topic, partition).end

    def last(self, topic: str, partition: int) -> Record | None:
        """The newest record, or None."""
        offset = self._place(topic, partition).last_offset()
        return (
            None if offset is None else self.read(topic, partition, offset, max_bytes=1).records[0]
        )

    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """Whether there is something at or beyond a position; nothing ever comes while one waits."""
        if any(self.end(*where) > offset for where, offset in positions.items()):
            return True
        time.sleep(timeout_s)
        return False

    def create_topic(self, config: TopicConfig) -> None:
        """Refused."""
        self._refuse(f"topic {config.name} cannot be made")

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Refused."""
        self._refuse(f"{len(records)} records cannot be appended")

    def writer(self, name: str) -> Writer:
        """Refused."""
        self._refuse(f"writer {name} cannot be opened")

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Refused."""
        self._refuse(f"{topic}[{partition}] cannot be cut before {before}")

    def delete_topic(self, name: str) -> None:
        """Refused."""
        self._refuse(f"topic {name} cannot be deleted")

    def close(self) -> None:
        """Let go of what was read."""
        with self._lock:
            self._windows.clear()

    def _refuse(self, what: str) -> NoReturn:
        raise LogError(
            f"{what}: {self.url} is a lake, which is only read; name the log that is landed there"
        )

    def _place(self, topic: str, partition: int) -> LakePartition:
        place = self._partitions.get((topic, partition))
        if place is None:
            raise UnknownTopicError(
                f"{topic}[{partition}] in lake {self.path}: the log that landed there has no such topic or "
                f"partition; it has {', '.join(self.topics())}"
            )
        return place

    def _window(self, place: LakePartition, offset: int) -> Window:
        where = (place.name, place.partition)
        with self._lock:
            for key, known in self._windows.items():
                if key[:2] == where and known.first <= offset < known.stop:
                    self._windows.move_to_end(key)
                    return known
        window = place.window(offset)
        with self._lock:
            self._windows[(*where, offset)] = window
            # The one in use stays, however large it is.
            while len(self._windows) > 1 and self._kept_bytes() > _KEPT_BYTES:
                self._windows.popitem(last=False)
        return window

    def _kept_bytes(self) -> int:
        return sum(one.size_bytes for one in self._windows.values())


def _path_of(url: str) -> Path:
    if not url.startswith(_PREFIX) or len(url) == len(_PREFIX):
        raise LogError(
            f"log URL {url!r}: lake:/// and a folder were needed, as in lake:////var/lib/tapeflow/lake"
        )
    return Path(url.removeprefix(_PREFIX)).absolute()
