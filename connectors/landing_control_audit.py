"""Sees that ``lake/_control`` has a file for every offset that has landed: without it, the lake does not rebuild the log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.checks import Check
from connectors.lake_control import control_folder
from connectors.lake_files import LakeFile, by_partition, check_name
from connectors.log import CorruptLogError, Log
from connectors.parquet import LakeError

# As of `connectors.landing_audit`: a merge of files may come between a listing and a read.
_LISTINGS = 5


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A partition that has landed: from ``start`` to before ``end`` there must be files."""

    name: str
    partition: int
    start: int
    end: int
    files: Sequence[LakeFile]

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Offsets that no file has: the first, and the one to stop before."""
        at = self.start
        for one in self.files:
            if one.span.first > at:
                yield at, min(one.span.first, self.end)
            at = max(at, one.span.last + 1)
            if at >= self.end:
                return
        yield at, self.end


def control_check(log: Log, lake: Path, landed: Mapping[str, Mapping[int, int]]) -> Check:
    """Offsets that have landed = offsets that files of ``lake/_control`` have, over all that lands there.

    Parameters
    ----------
    log : Log
        Says from where on there must be files, where the first of them are gone.
    lake : Path
        Folder of the lake.
    landed : mapping of str to mapping of int to int
        Log topic to partition to the offset up to which it has landed in the lake.
    """
    wanted = there = 0
    details = []
    for name in sorted(landed):
        try:
            places = _places(log, lake, name, landed[name])
        except (CorruptLogError, LakeError) as error:
            details.append(str(error))
            continue
        for place in places:
            gaps = list(place.gaps())
            wanted += place.end - place.start
            there += place.end - place.start - sum(stop - first for first, stop in gaps)
            details += [_told(lake, place, first, stop) for first, stop in gaps]
    more = f" ({len(details)} in all)" if len(details) > 1 else ""
    return Check(
        subject="lander: _control",
        claim="offsets landed = offsets that files of lake/_control have",
        left=wanted,
        right=there,
        terms={"landed": wanted, "in_files": there},
        detail=f"{details[0]}{more}" if details else "",
    )


def _told(lake: Path, place: _Place, first: int, stop: int) -> str:
    return (
        f"{control_folder(lake, place.name)}: no file has offsets {first} to {stop - 1} of {place.name}"
        f"[{place.partition}]: it is gone; bring it back from a copy"
    )


def _places(log: Log, lake: Path, name: str, ends: Mapping[int, int]) -> list[_Place]:
    folder = control_folder(lake, name)
    for _ in range(_LISTINGS):
        files = by_partition(folder.glob("*.parquet"))
        try:
            for of_partition in files.values():
                for one in of_partition:
                    check_name(one, "offset")
        except FileNotFoundError as error:
            gone = error
            continue
        return [
            _Place(
                name=name,
                partition=partition,
                start=_first(log, name, partition, files.get(partition, ())),
                end=end,
                files=files.get(partition, ()),
            )
            for partition, end in sorted(ends.items())
        ]
    raise LakeError(f"lake: a file was gone at each of {_LISTINGS} listings: {gone}") from gone


def _first(log: Log, name: str, partition: int, files: Sequence[LakeFile]) -> int:
    """From where on there must be files: before that there may be nothing, where a broker cut it before it landed."""
    if not files:
        return 0
    known = log.topics()
    is_kept = name in known and partition < known[name].partitions
    first = files[0].span.first
    return min(first, log.start(name, partition)) if is_kept else first
