"""What is replayed of a shard, and what of that is compared: between two of its commits, and two times.

A shard's commits are what its output can be cut at: which rows an input record caused is only known commit by
commit, from the progress records. A stretch from an input position on therefore begins behind the last commit that
had read no further, and ends with the first one that had read so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.epochs import Epoch
from flows.engines.progress import Positions, Progress, progress_from
from flows.engines.snapshots import newest
from flows.flow import Flow, FlowError, Params

# Log topic and partition (None: all of them) to an offset.
Offsets = Mapping[tuple[str, int | None], int]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """From where to where is compared; all of it by default.

    Parameters
    ----------
    from_ns, to_ns : int or None
        Event time of the rows that are compared, ns since 1970 UTC: from (inclusive) and to (exclusive).
    from_offsets, to_offsets : mapping of (log topic, partition or None) to offset
        Input positions: what the shard had read before, and up to where. Topics that a flow does not
        read do not bound it.
    cold : bool
        Whether everything before is computed from the log's start even where a snapshot leads up to it.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    from_offsets: Offsets = field(default_factory=dict)
    to_offsets: Offsets = field(default_factory=dict)
    cold: bool = False


ALL = Bounds()


@dataclass(frozen=True, kw_only=True)
class Start:
    """A kept snapshot to begin at.

    Parameters
    ----------
    epoch, number : int, int
        Epoch and commit that the state belongs to.
    params : dict
        Parameters of that epoch.
    positions : dict of topic to dict of partition to offset
        Where to read on.
    state : bytes
        The state.
    """

    epoch: int
    number: int
    params: dict[str, object]
    positions: Positions
    state: bytes


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is replayed of a shard.

    Parameters
    ----------
    flow, shard : str, int
        Whose.
    warm : tuple of Epoch
        Computed for the state that they leave; what they give is not compared.
    compared : tuple of Epoch
        What is compared. An epoch that goes on from ``warm`` has the same number there and here.
    after, upto : int
        The commits compared: those behind the first number, up to the second.
    from_ns, to_ns : int or None
        Event times of the rows compared, as of `Bounds`.
    start : Start or None
        Snapshot that ``warm`` begins at; None for the beginning.
    """

    flow: str
    shard: int
    warm: tuple[Epoch, ...] = ()
    compared: tuple[Epoch, ...] = ()
    after: int = 0
    upto: int = 0
    from_ns: int | None = None
    to_ns: int | None = None
    start: Start | None = None

    @property
    def begin(self) -> Positions:
        """Input positions from which on rows are compared."""
        return self.compared[0].begin if self.compared else {}

    @property
    def end(self) -> Positions:
        """Input positions up to which is replayed."""
        return self.compared[-1].end if self.compared else {}

    def with_params(self, version: int, params: Params) -> "Stretch":
        """The same stretch as one epoch with other parameters, from the beginning."""
        warm = _one_epoch(self.warm, version, params)
        compared = _one_epoch(self.compared, version, params)
        return replace(self, warm=warm, compared=compared, start=None)


def stretch_of(
    log: Log,
    kind: type[Flow],
    shard: int,
    bounds: Bounds = ALL,
    commit: int | None = None,
) -> Stretch | None:
    """What bounds mean for a shard as it stands now; None where it has never run, or nothing is within.

    Parameters
    ----------
    log : Log
        With the shard's progress records and snapshots.
    kind, shard : type of Flow, int
        Which.
    bounds : Bounds
        From where to where.
    commit : int or None
        Number of the last commit that is looked at; None for the newest.

    Raises
    ------
    FlowError
        Where the record that began the first epoch is cut away.
    """
    topic = progress_topic(kind.name)
    if topic not in log.topics():
        return None
    records = [one for _, one in progress_from(log, kind, shard, log.start(topic, shard))]
    if commit is not None:
        records = [one for one in records if one.number <= commit]
    if not records:
        return None
    if records[0].params is None:
        raise FlowError(
            f"{topic}[{shard}]: the record that began epoch {records[0].epoch} is cut away; replay from the "
            "lake, or begin a new epoch"
        )
    first = _commits_before(records, bounds.from_offsets)
    last = _commits_up_to(records, bounds.to_offsets)
    if last <= first and first:
        return None
    warm = tuple(_epochs(records[:first]))
    compared = tuple(_epochs(records[first:last], records[first - 1] if first else None, warm))
    return Stretch(
        flow=kind.name,
        shard=shard,
        warm=warm,
        compared=compared,
        after=records[first - 1].number if first else 0,
        upto=records[last - 1].number,
        from_ns=bounds.from_ns,
        to_ns=bounds.to_ns,
    )


def warmed(log: Log, kind: type[Flow], stretch: Stretch, *, upto: int) -> Stretch:
    """The stretch begun at the newest kept snapshot of a commit up to ``upto``, if there is one.

    Where that is behind ``stretch.after``, what lies between them is not compared: the caller knows that
    nothing there is asked for.
    """
    every = [*stretch.warm, *stretch.compared]
    known: dict[int, Epoch] = {}
    for epoch in every:
        known.setdefault(epoch.number, epoch)
    for number in sorted(known, reverse=True):
        found = newest(log, kind.name, stretch.shard, number=upto, epoch=number)
        if found is None or known[number].version != kind.version:
            continue
        manifest, state = found
        topic = progress_topic(kind.name)
        since = progress_from(log, kind, stretch.shard, manifest.progress_offset)
        if manifest.progress_offset < log.start(topic, stretch.shard) or not since:
            continue
        if since[0][1].number != manifest.number:
            # Of commits that a repair of the log has cut off; others have taken their numbers.
            continue
        positions = since[0][1].positions
        after = max(stretch.after, manifest.number)
        # What it had read lies before the snapshot.
        head = replace(since[0][1], params=known[number].params, runs=[])
        rest = [head, *(one for _, one in since[1:] if one.number <= stretch.upto)]
        cut = sum(1 for one in rest if one.number <= after)
        warm = tuple(_epochs(rest[:cut]))
        return replace(
            stretch,
            warm=warm,
            compared=tuple(_epochs(rest[cut:], rest[cut - 1], warm)),
            after=after,
            start=Start(
                epoch=number,
                number=manifest.number,
                params=known[number].params,
                positions=positions,
                state=state,
            ),
        )
    return stretch


def _epochs(
    records: Sequence[Progress], before: Progress | None = None, known: Sequence[Epoch] = ()
) -> list[Epoch]:
    """Epochs of consecutive progress records; the first may go on from ``before``, the last of ``known``."""
    found: list[Epoch] = []
    if before is not None and records and records[0].params is None:
        found.append(
            replace(
                known[-1],
                begin=before.positions,
                end=before.positions,
                commit=before.number,
                runs=[],
            )
        )
    for one in records:
        if one.params is not None:
            found.append(
                Epoch(
                    number=one.epoch,
                    version=one.version,
                    params=one.params,
                    begin=one.positions,
                    end=one.positions,
                    counts=one.counts,
                )
            )
        found[-1].end = one.positions
        found[-1].commit = one.number
        found[-1].runs += one.runs
    return found


def _one_epoch(known: Sequence[Epoch], version: int, params: Params) -> tuple[Epoch, ...]:
    if not known:
        return ()
    return (
        Epoch(
            number=1,
            version=version,
            params=params.model_dump(mode="json"),
            begin=known[0].begin,
            end=known[-1].end,
            counts={},
            commit=known[-1].commit,
            runs=[run for epoch in known for run in epoch.runs],
        ),
    )


def _commits_before(records: Sequence[Progress], offsets: Offsets) -> int:
    """How many commits had read nothing at or beyond the offsets."""
    if not offsets or not _speaks_of(records[0], offsets):
        return 0
    count = 0
    for one in records:
        if not all(position <= limit for position, limit in _limited(one, offsets)):
            break
        count += 1
    return count


def _commits_up_to(records: Sequence[Progress], offsets: Offsets) -> int:
    """How many commits it took until everything before the offsets was read."""
    if not offsets or not _speaks_of(records[0], offsets):
        return len(records)
    for count, one in enumerate(records, 1):
        if all(position >= limit for position, limit in _limited(one, offsets)):
            return count
    return len(records)


def _speaks_of(one: Progress, offsets: Offsets) -> bool:
    return bool(_limited(one, offsets))


def _limited(one: Progress, offsets: Offsets) -> list[tuple[int, int]]:
    found = []
    for topic, positions in one.positions.items():
        for partition, position in positions.items():
            limit = offsets.get((topic, partition), offsets.get((topic, None)))
            if limit is not None:
                found.append((position, limit))
    return found
