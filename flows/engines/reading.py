"""Reads a shard's inputs from the log: which partitions, from where, up to where, in which order."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from connectors.log import Log, LogError, TopicConfig
from flows.engines.progress import Newest, Positions, Run
from flows.engines.segments import Segment, decode_records
from flows.flow import Flow, FlowError, Input, Order
from schemas.faults import LATE


class Reader:
    """Positions of a shard in its inputs, and the way forward.

    Parameters
    ----------
    log : Log
        Where the inputs are.
    kind : type of Flow
        Whose inputs.
    shard : int
        Which shard: its partition of each partitioned input, its share of an inbox's, every one of a broadcast one.
    positions : dict of topic to dict of partition to offset, or None
        Where to begin; None for the start of the log.
    max_bytes : int
        Bound of one read.
    """

    def __init__(
        self,
        log: Log,
        kind: type[Flow],
        shard: int,
        positions: Positions | None = None,
        *,
        max_bytes: int = 4 << 20,
    ) -> None:
        self.log = log
        self.kind = kind
        self.shard = shard
        self.max_bytes = max_bytes
        self.sources: list[tuple[int, int]] = []
        topics = log.topics()
        self._shards = shards_of(topics, kind)
        self._counts = {one.name: topics[one.name].partitions for one in kind.inputs}
        self.positions: Positions = {}
        self.newest: Newest = {}
        for at, declared in enumerate(kind.inputs):
            own = self._own(declared, range(self._counts[declared.name]))
            self.sources += [(at, partition) for partition in own]
            known = (positions or {}).get(declared.name, {})
            self.positions[declared.name] = {
                partition: known.get(partition, log.start(declared.name, partition))
                for partition in own
            }

    def take_in(self, counts: Mapping[str, int]) -> list[tuple[str, int]]:
        """Read partitions, too, that others have added to inboxes since; those that are this shard's.

        Parameters
        ----------
        counts : mapping of str to int
            How many partitions topics have by now.

        Raises
        ------
        FlowError
            Where another input than an inbox has more: its keys' rows are in order in as many as there were.
        """
        added: list[tuple[str, int]] = []
        for at, declared in enumerate(self.kind.inputs):
            name = declared.name
            had, has = self._counts[name], counts.get(name, 0)
            if has <= had:
                continue
            if not declared.inbox:
                raise FlowError(
                    f"flow {self.kind.name!r} shard {self.shard}: topic {name!r} had {had} partitions when it began, "
                    f"and has {has} now: somebody has added some, which nobody reads. Kafka takes none away: see "
                    "'Partitions that others add' in docs/kafka.md"
                )
            for partition in self._own(declared, range(had, has)):
                self.sources.append((at, partition))
                self.positions[name][partition] = self.log.start(name, partition)
                added.append((name, partition))
            self._counts[name] = has
        return added

    def flat(self) -> dict[tuple[str, int], int]:
        """The positions as `Log.wait` takes them."""
        return {
            (topic, partition): offset
            for topic, offsets in self.positions.items()
            for partition, offset in offsets.items()
        }

    def ends(self) -> Positions:
        """The inputs' present ends."""
        return {
            topic: {partition: self.log.end(topic, partition) for partition in offsets}
            for topic, offsets in self.positions.items()
        }

    def read(self, at: int, partition: int, upto: int | None = None) -> Iterable[Segment]:
        """The next segments of one input partition, none of them at or beyond ``upto``.

        Raises
        ------
        LogError
            Where the log ends before ``upto``.
        """
        declared = self.kind.inputs[at]
        offset = self.positions[declared.name][partition]
        if upto is not None and offset >= upto:
            return ()
        chunk = self.log.read(declared.name, partition, offset, max_bytes=self.max_bytes)
        records, reached = chunk.records, chunk.next_offset
        if upto is not None and reached <= offset and self.log.end(declared.name, partition) < upto:
            raise LogError(
                f"{declared.name}[{partition}]: the log ends at {offset}, and the progress of flow "
                f"{self.kind.name!r} says that it was read up to {upto}: the log has lost records, as a "
                "repair of a damaged one does; rebuild it from the lake or from the source's files"
            )
        if upto is not None and reached > upto:
            records = tuple(record for record in records if record.offset < upto)
            reached = upto
        self.positions[declared.name][partition] = reached
        if records:
            last = records[-1]
            self.newest.setdefault(declared.name, {})[partition] = last.offset, last.append_time_ns
        return decode_records(at, declared, records)

    def read_to(
        self, upto: Positions, full: Callable[[int], bool] = lambda _: False
    ) -> Iterator[Segment]:
        """All segments up to positions, input by input in turns, so that few rows are held.

        Parameters
        ----------
        upto : dict of topic to dict of partition to offset
            Where to stop.
        full : callable
            Whether so many rows of an input are held (EVENT order) that it is read only where all others
            are, or are at their end: of an input with few rows, all would be read before the first hour of one
            with many.
        """
        while left := [one for one in self.sources if self._until(upto, *one)]:
            for at, partition in [one for one in left if not full(one[0])] or left:
                yield from self.read(at, partition, self._until(upto, at, partition))

    def _own(self, declared: Input, partitions: range) -> list[int]:
        """Those of an input's partitions that this shard reads."""
        if declared.broadcast:
            return list(partitions)
        if declared.inbox:
            # Its rows get their keys from intake: any shard may read any of them.
            return [one for one in partitions if one % self._shards == self.shard]
        return [self.shard]

    def _until(self, upto: Positions, at: int, partition: int) -> int | None:
        """Where to read an input's partition up to; None where it has been."""
        name = self.kind.inputs[at].name
        # A topic that was declared later than the record was written has no position in it.
        end = upto.get(name, {}).get(partition)
        return end if end is not None and self.positions[name][partition] < end else None

    def follow(self, runs: Iterable[Run]) -> Iterator[Segment]:
        """All segments of runs, in the order in which they were read the first time."""
        places = {declared.name: at for at, declared in enumerate(self.kind.inputs)}
        for name, partition, upto in runs:
            if name not in places:
                raise FlowError(
                    f"flow {self.kind.name!r} has read {name}, which is none of its inputs now; install "
                    "the version that read it, or begin a new epoch with --new-epoch"
                )
            while self.positions[name][partition] < upto:
                yield from self.read(places[name], partition, upto)


def shards_of(topics: Mapping[str, TopicConfig], kind: type[Flow]) -> int:
    """How many shards a flow has: as many as its partitioned inputs have partitions.

    Inboxes do not count, for others may add partitions to them: a flow of inboxes has as many as ``late`` has.

    Raises
    ------
    FlowError
        Where its partitioned inputs differ in partition count.
    """
    keyed = [one.name for one in kind.inputs if not (one.broadcast or one.inbox)]
    counts = {name: topics[name].partitions for name in keyed or [LATE.name]}
    if len(set(counts.values())) != 1:
        raise FlowError(
            f"flow {kind.name!r}: its partitioned inputs must have the same partition count, "
            f"they have {counts}; re-key one of them through the log"
        )
    return next(iter(counts.values()))


def follows_runs(kind: type[Flow]) -> bool:
    """Whether what a flow gives hangs on the order of reads, so that progress must record it."""
    return kind.order is Order.ARRIVAL
