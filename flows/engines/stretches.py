"""What is replayed of a shard, and what of that is compared: between two of its commits, and two times.

A shard's commits are what its output can be cut at: which rows an input record caused is only known commit by
commit, from the progress records. A stretch from an input position on therefore begins behind the last commit that
had read no further, and ends with the first one that had read so far.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.bounds import ALL, Bounds, Offsets, Start
from flows.engines.epochs import Epoch, Runs, epochs_up_to
from flows.engines.kept import cut_away, is_of_this_log
from flows.engines.origin import origin_of
from flows.engines.progress import Positions, Progress, Run, last_progress, read_progress
from flows.engines.snapshots import Manifest, newest_first
from flows.flow import Flow, Params


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Where progress records hold an order of reads: from an offset on, behind one commit up to another."""

    offset: int
    after: int
    upto: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """An epoch or a part of one, without a log: it may be handed to another process.

    Parameters
    ----------
    epoch : Epoch
        Its number, parameters and positions.
    reads : tuple of Reads
        In ARRIVAL order: where the order of its reads is, one behind the other.
    """

    epoch: Epoch
    reads: tuple[Reads, ...] = ()

    @classmethod
    def of(cls, epoch: Epoch) -> "Part":
        """The part that is all of an epoch."""
        of = epoch.recorded
        reads: tuple[Reads, ...] = ()
        if isinstance(of, Runs):
            reads = (Reads(offset=of.offset, after=of.after, upto=of.upto),)
        return cls(epoch=replace(epoch, recorded=None), reads=reads)

    def on(self, log: Log, kind: type[Flow], shard: int) -> Epoch:
        """The epoch with the order of its reads, read from a log."""
        return replace(self.epoch, recorded=runs_of(self.reads, log, kind, shard))

    def until(self, at: "_Cut") -> "Part":
        """What comes up to a commit."""
        epoch = replace(self.epoch, end=at.positions, commit=at.number)
        return Part(epoch=epoch, reads=tuple(replace(r, upto=at.number) for r in self.reads))

    def behind(self, at: "_Cut") -> "Part":
        """What comes behind a commit."""
        reads = tuple(replace(r, offset=at.offset, after=at.number) for r in self.reads)
        return Part(epoch=replace(self.epoch, begin=at.positions), reads=reads)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is replayed of a shard.

    Parameters
    ----------
    flow, shard : str, int
        Whose.
    warm : tuple of Part
        Computed for the state that they leave; what they give is not compared.
    compared : tuple of Part
        What is compared. An epoch that goes on from ``warm`` has the same number there and here.
    after, upto : int
        The commits compared: those behind the first number, up to the second.
    from_ns, to_ns : int or None
        Event times of the rows compared, as of `Bounds`.
    start : Start or None
        Snapshot that ``warm`` begins at; None for the beginning.
    why : str
        Why it does not begin at the flow's beginning, in words; empty where it does, or was told to.
    """

    flow: str
    shard: int
    warm: tuple[Part, ...] = ()
    compared: tuple[Part, ...] = ()
    after: int = 0
    upto: int = 0
    from_ns: int | None = None
    to_ns: int | None = None
    start: Start | None = None
    why: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that is computed."""
        return (*self.warm, *self.compared)

    @property
    def since(self) -> str:
        """From which commit on is compared, where that is not the flow's first one, and why."""
        return f"compared from commit {self.after + 1} on: {self.why}" if self.why else ""

    @property
    def begin(self) -> Positions:
        """Input positions from which on rows are compared."""
        return self.compared[0].epoch.begin if self.compared else {}

    @property
    def end(self) -> Positions:
        """Input positions up to which is replayed."""
        return self.compared[-1].epoch.end if self.compared else {}

    def with_params(self, version: int, params: Params) -> "Stretch":
        """The same stretch as one epoch with other parameters; to be of a stretch `from_beginning`."""
        warm = _one_epoch(self.warm, version, params)
        return replace(self, warm=warm, compared=_one_epoch(self.compared, version, params))


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A commit to cut at: its number, input positions, and offset of its progress record."""

    number: int
    positions: Positions
    offset: int


def stretch_of(
    log: Log,
    kind: type[Flow],
    shard: int,
    bounds: Bounds = ALL,
    *,
    commit: int | None = None,
    from_beginning: bool = False,
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
    from_beginning : bool
        Whether it must begin at the flow's beginning, whatever version computed it then.

    Raises
    ------
    FlowError
        Where the log no longer has what it takes.
    TruncatedError
        Where it no longer has the beginning that is needed.
    """
    if progress_topic(kind.name) not in log.topics():
        return None
    last = _last_of(log, kind, shard, bounds, commit)
    if last is None:
        return None
    known = epochs_up_to(log, kind, shard, last)
    first = _last_before(log, kind, shard, bounds.from_offsets)
    if first is not None and first.number >= last[1].number:
        return None
    if from_beginning:
        parts, after, start, why = [Part.of(one) for one in known], 0, None, ""
    else:
        origin = origin_of(log, kind, shard, known)
        parts, after = [Part.of(one) for one in origin.rest], origin.commit
        start, why = origin.start, origin.why
    warm: list[Part] = []
    if first is not None and first.number > after:
        warm, parts = _split(parts, first)
        after = first.number
    return Stretch(
        flow=kind.name,
        shard=shard,
        warm=tuple(warm),
        compared=tuple(parts),
        after=after,
        upto=last[1].number,
        from_ns=bounds.from_ns,
        to_ns=bounds.to_ns,
        start=start,
        why=why,
    )


def warmed(log: Log, kind: type[Flow], stretch: Stretch) -> Stretch:
    """The stretch begun at the newest kept snapshot of a commit up to ``stretch.after``, if there is one."""
    by_number = {part.epoch.number: part.epoch for part in stretch.parts}
    least = 0 if stretch.start is None else stretch.start.number

    def is_usable(manifest: Manifest) -> bool:
        return (
            least < manifest.number <= stretch.after
            and manifest.epoch in by_number
            and by_number[manifest.epoch].version == kind.version
            and is_of_this_log(log, kind, stretch.shard, manifest)
            and not cut_away(log, manifest.read_on)
        )

    found = next(newest_first(log, kind.name, stretch.shard, is_usable), None)
    if found is None:
        return stretch
    manifest, state = found
    cut = _Cut(number=manifest.number, positions=manifest.read_on, offset=manifest.progress_offset)
    start = Start(
        epoch=manifest.epoch,
        number=manifest.number,
        params=by_number[manifest.epoch].params,
        positions=manifest.read_on,
        state=state,
    )
    return replace(stretch, warm=tuple(_split(stretch.warm, cut)[1]), start=start)


def runs_of(reads: Sequence[Reads], log: Log, kind: type[Flow], shard: int) -> Iterable[Run] | None:
    """The order of reads that progress records of a log hold; None where none is asked for."""
    if not reads:
        return None
    found = [
        Runs(log=log, kind=kind, shard=shard, offset=r.offset, after=r.after, upto=r.upto)
        for r in reads
    ]
    return found[0] if len(found) == 1 else _Chained(tuple(found))


@dataclass(frozen=True)
class _Chained:
    parts: tuple[Runs, ...]

    def __iter__(self) -> Iterator[Run]:
        for part in self.parts:
            yield from part


def _split(parts: Sequence[Part], at: _Cut) -> tuple[list[Part], list[Part]]:
    """What comes up to a commit, and what behind it."""
    before: list[Part] = []
    behind: list[Part] = []
    for part in parts:
        if part.epoch.commit <= at.number:
            before.append(part)
        elif part.epoch.first > at.number:
            behind.append(part)
        else:
            before.append(part.until(at))
            behind.append(part.behind(at))
    return before, behind


def _one_epoch(parts: Sequence[Part], version: int, params: Params) -> tuple[Part, ...]:
    if not parts:
        return ()
    epoch = Epoch(
        number=1,
        version=version,
        params=params.model_dump(mode="json"),
        begin=parts[0].epoch.begin,
        end=parts[-1].epoch.end,
        counts={},
        first=parts[0].epoch.first,
        commit=parts[-1].epoch.commit,
    )
    return (Part(epoch=epoch, reads=tuple(read for part in parts for read in part.reads)),)


def _last_of(
    log: Log, kind: type[Flow], shard: int, bounds: Bounds, commit: int | None
) -> tuple[int, Progress] | None:
    """The last progress record that is looked at, with its offset."""
    newest = last_progress(log, kind, shard)
    if newest is None or (not bounds.to_offsets and commit in {None, newest[1].number}):
        return newest
    found: tuple[int, Progress] | None = None
    for one in _records(log, kind, shard):
        if commit is not None and one[1].number > commit:
            break
        found = one
        limits = _limited(one[1], bounds.to_offsets)
        if limits and all(position >= limit for position, limit in limits):
            break
    return found


def _last_before(log: Log, kind: type[Flow], shard: int, offsets: Offsets) -> _Cut | None:
    """The last commit that had read nothing at or beyond the offsets; None where all are compared."""
    found = None
    for offset, one in _records(log, kind, shard) if offsets else ():
        limits = _limited(one, offsets)
        if not limits or any(position > limit for position, limit in limits):
            break
        found = _Cut(number=one.number, positions=one.positions, offset=offset)
    return found


def _records(log: Log, kind: type[Flow], shard: int) -> Iterator[tuple[int, Progress]]:
    return read_progress(log, kind, shard, log.start(progress_topic(kind.name), shard))


def _limited(one: Progress, offsets: Offsets) -> list[tuple[int, int]]:
    """The record's positions that are bounded, each with its bound."""
    found = []
    for topic, positions in one.positions.items():
        for partition, position in positions.items():
            limit = offsets.get((topic, partition), offsets.get((topic, None)))
            if limit is not None:
                found.append((position, limit))
    return found
