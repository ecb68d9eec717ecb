"""The part of the API that follows the log: newest rows, orders as they stand, and streams."""

import asyncio
import sys
import threading

from connectors.landings import CLICKHOUSE, landed_positions
from connectors.log import Log, LogError
from schemas.orders import ORDER_EVENTS, ORDERS
from schemas.registry import TOPICS
from schemas.topic import Topic
from serving.hub.feed import TopicFeed
from serving.hub.frames import ACCOUNT
from serving.hub.position import PositionError
from serving.hub.reader import Arrived, Lost, TopicReader
from serving.hub.subscription import Subscription, Wanted
from serving.latest.groups import LATEST
from serving.latest.newest import LatestView
from serving.latest.orders_view import FOLLOWED, ROWS_MAX, OrdersView

# Reads that may be on their way to the event loop: the reader waits for it, and memory stays bounded.
_ON_THE_WAY = 1
_RECORDS_A_TURN = 16
_TURN_S = 0.0005
# Records at the end of a topic that a start reads; what changed before is asked of ClickHouse.
_RECORDS_BACK = 1_000
# How long a start waits for the reader: a long tail is read on while requests come.
_CATCH_UP_S = 30.0


class Hub:
    """Follows topics, from the newest records that there are when it starts.

    Parameters
    ----------
    log : Log
        With all topics made.
    followed : tuple of str
        Topics whose newest rows are kept from the start.
    rows_max : int
        Rows of each topic of orders that are kept.

    Attributes
    ----------
    failed : dict of str to str
        Topics that are not read on, and why: a record of theirs is none of theirs.
    """

    name = "hub"

    def __init__(
        self, log: Log, *, followed: tuple[str, ...] = LATEST, rows_max: int = ROWS_MAX
    ) -> None:
        self._orders = OrdersView(rows_max)
        self.failed: dict[str, str] = {}
        self._log = log
        self._followed = followed
        self._rows_max = rows_max
        self._reader = TopicReader(log, self._deliver, self._give_up)
        self._room = threading.BoundedSemaphore(_ON_THE_WAY)
        self._feeds: dict[str, TopicFeed] = {}
        self._subscriptions: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        # Topics of which all that the log has was read.
        self._whole: set[str] = set()

    async def start(self) -> None:
        """Follow, and return once what was in the log is known."""
        self._loop = asyncio.get_running_loop()
        # Requests, the reader and the writer of orders share one interpreter: with Python's 5 ms a request would
        # wait for so long whenever the others are busy.
        sys.setswitchinterval(_TURN_S)
        topics = [*FOLLOWED, *(TOPICS[name] for name in self._followed)]
        ends = {}
        landed = (await asyncio.to_thread(landed_positions, self._log))[CLICKHOUSE]
        for topic in topics:
            records = self._rows_max if topic in FOLLOWED else _RECORDS_BACK
            # What has not landed, ClickHouse cannot be asked for: an account would stand as it did when it last landed.
            there = landed.get(topic.name, {}) if topic.key == ACCOUNT else None
            begins, ends[topic.name] = await asyncio.to_thread(
                self._bounds, topic, records, None if topic in FOLLOWED else there
            )
            if not any(begins.values()):
                self._whole.add(topic.name)
            self._follow(topic, begins, newest=topic not in FOLLOWED)
        if ORDER_EVENTS.name not in self._whole:
            self._orders.begin_late(ends[ORDERS.name])
        self._reader.start()
        try:
            async with asyncio.timeout(_CATCH_UP_S):
                for topic in topics:
                    await self._reached(self._feeds[topic.name], ends[topic.name])
        except TimeoutError:
            pass

    def close_streams(self) -> None:
        """Tell subscribers that the server closes."""
        for one in list(self._subscriptions):
            one.cut("closing", "the server shuts down; resume from the last position")

    async def stop(self) -> None:
        """Tell subscribers that the server closes, and end."""
        self.close_streams()
        self._ended = True
        await asyncio.to_thread(self._reader.stop)

    @property
    def orders(self) -> OrdersView:
        """How orders stand; `LogError` where one of their topics is not read on."""
        self._check_read(*(topic.name for topic in FOLLOWED))
        return self._orders

    def view(self, topic: str) -> LatestView:
        """The newest rows of a topic that is followed from the start; `LogError` where it is not read on."""
        self._check_read(topic)
        return self._feeds[topic].view

    def has_read(self, topic: Topic, partition: int, offset: int) -> bool:
        """Whether a record of a topic that is followed from the start was taken in, though it may be forgotten since."""
        return self._feeds[topic.name].positions[partition] > offset

    def is_whole(self, topic: Topic) -> bool:
        """Whether all rows that the topic ever had were read: there is nothing to ask ClickHouse for."""
        return topic.name in self._whole

    async def subscribe(self, wanted: Wanted) -> Subscription:
        """A stream; `close_subscription` gives it back.

        Raises
        ------
        PositionError
            Where the position lies beyond what was ever in the log.
        UnknownTopicError
            Where the log has no such topic.
        LogError
            Where it is not read on, see `failed`.
        """
        self._check_read(wanted.topic.name)
        begins, ends = await asyncio.to_thread(self._bounds, wanted.topic, _RECORDS_BACK)
        has_newest = wanted.topic.name in self._followed
        if wanted.position is not None:
            for partition, (offset, _) in wanted.position.items():
                if offset > ends[partition]:
                    raise PositionError(
                        f"partition {partition} ends at {ends[partition]}: {offset} has not been written"
                    )
        # Another may have begun to follow it meanwhile.
        feed = self._feeds.get(wanted.topic.name)
        if feed is None:
            feed = self._follow(wanted.topic, ends, newest=wanted.interval_s > 0)
        elif wanted.interval_s and not feed.keeps_newest:
            feed.keeps_newest = True
        feed.subscribers += 1
        tail = begins if wanted.snapshot and not has_newest else None
        subscription = Subscription(self._log, feed, wanted, tail)
        self._subscriptions.add(subscription)
        return subscription

    def close_subscription(self, subscription: Subscription) -> None:
        """Give a stream back; a topic that nobody needs any more is not read on."""
        subscription.close()
        if subscription not in self._subscriptions:
            return
        self._subscriptions.discard(subscription)
        topic = subscription.wanted.topic
        feed = self._feeds[topic.name]
        feed.subscribers -= 1
        if feed.subscribers == 0 and not self._is_kept(topic):
            self._reader.unfollow(topic)
            del self._feeds[topic.name]

    def _follow(self, topic: Topic, begins: dict[int, int], *, newest: bool) -> TopicFeed:
        feed = self._feeds[topic.name] = TopicFeed(topic, dict(begins))
        feed.keeps_newest = newest
        self._reader.follow(topic, begins, newest=newest)
        return feed

    def _is_kept(self, topic: Topic) -> bool:
        return topic in FOLLOWED or topic.name in self._followed

    def _bounds(
        self, topic: Topic, records: int, landed: dict[int, int] | None = None
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Where to begin to read the newest records of each partition, and all that has not landed; and the ends."""
        partitions = range(self._log.topics()[topic.name].partitions)
        ends = {one: self._log.end(topic.name, one) for one in partitions}
        firsts = {
            one: end - records if landed is None else min(end - records, landed.get(one, 0))
            for one, end in ends.items()
        }
        begins = {
            one: max(self._log.start(topic.name, one), first) for one, first in firsts.items()
        }
        return begins, ends

    async def _reached(self, feed: TopicFeed, ends: dict[int, int]) -> None:
        while any(feed.positions[partition] < end for partition, end in ends.items()):
            await feed.moved()

    def _deliver(self, came: list[Arrived | Lost]) -> None:
        """From the reader's thread to the event loop."""
        # Of one topic and partition, for they came of one read.
        new = [one for one in came if isinstance(one, Arrived) and one.batch.num_rows]
        if new and new[0].topic in FOLLOWED:
            offsets, batches = [one.offset for one in new], [one.batch for one in new]
            self._orders.append(new[0].topic, new[0].partition, offsets, batches)
        while not self._room.acquire(timeout=0.1):
            if self._ended:
                return
        loop = self._loop
        if self._ended or loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(self._take, came)

    def _give_up(self, topic: Topic, why: str) -> None:
        """From the reader's thread to the event loop: a stream of it would stand still, and nobody would know."""
        self.failed[topic.name] = why
        loop = self._loop
        if not self._ended and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cut, topic)

    def _check_read(self, *topics: str) -> None:
        for topic in topics:
            if topic in self.failed:
                raise LogError(f"{topic} is not read on: {self.failed[topic]}")

    def _cut(self, topic: Topic) -> None:
        for one in list(self._subscriptions):
            if one.wanted.topic is topic:
                one.cut("unreadable", f"{topic.name} is not read on: {self.failed[topic.name]}")

    def _take(self, came: list[Arrived | Lost]) -> None:
        """Hand over what came: a few records at a turn, so that who takes them fast is never far behind."""
        for one in came[:_RECORDS_A_TURN]:
            feed = self._feeds.get(one.topic.name)
            if feed is None:
                continue
            if isinstance(one, Lost):
                # What was trimmed had landed: from now on ClickHouse is asked.
                self._whole.discard(one.topic.name)
                feed.lose(one)
            else:
                feed.take(one)
        if len(came) > _RECORDS_A_TURN and self._loop is not None:
            self._loop.call_soon(self._take, came[_RECORDS_A_TURN:])
        else:
            self._room.release()
