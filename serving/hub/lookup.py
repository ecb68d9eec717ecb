"""The newest rows of keys: from memory, and once a key from ClickHouse what is older than memory goes back."""

from collections.abc import Sequence

from schemas.registry import TOPICS
from schemas.topic import Topic
from serving.hub.hub import Hub
from serving.latest.groups import group_fields
from serving.latest.history import LONGEST_LIMIT, History
from serving.latest.parts import Entry, newest_rows

# Keys for which ClickHouse was asked; beyond that all are asked for once more.
_ASKED_MAX = 100_000


class Lookup:
    """Newest rows of the topics that the hub follows.

    Parameters
    ----------
    hub : Hub
        Memory.
    history : History
        ClickHouse.
    """

    name = "lookup"

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history
        self._asked: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Nothing: all is asked for when it is needed."""

    async def stop(self) -> None:
        """Nothing to give back."""

    async def newest(self, topic: Topic, keys: Sequence[str]) -> list[Entry]:
        """The newest row of each group of some keys.

        Raises
        ------
        serving.latest.history.HistoryError
            Where memory does not have them and ClickHouse does not answer.
        """
        view = self._hub.view(topic.name)
        if not self._hub.is_whole(topic):
            missing = [key for key in keys if self._must_ask(topic, key)]
            if missing:
                found = await self._history.newest(topic, missing, LONGEST_LIMIT)
                if found.num_rows:
                    view.fill(newest_rows(topic, found))
                if len(self._asked) > _ASKED_MAX:
                    self._asked.clear()
                self._asked.update((topic.name, key) for key in missing)
        return list(view.entries(keys))

    @staticmethod
    def place(topic: Topic, field: str) -> int:
        """Which value of an entry's group is that of a field."""
        return group_fields(topic).index(field)

    def _must_ask(self, topic: Topic, key: str) -> bool:
        if (topic.name, key) in self._asked:
            return False
        # An account's rows must be whole: a position that did not change since the start is one, too.
        is_account = topic.key == TOPICS["positions"].key
        return is_account or not any(True for _ in self._hub.view(topic.name).entries([key]))
