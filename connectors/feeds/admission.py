"""Which files a feed takes: opens them, and refuses what was fed before or comes too late."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.feeds.adjusted_bars import AdjustedBars
from connectors.feeds.binance import BinanceCapture
from connectors.feeds.bitstamp import BitstampLog
from connectors.feeds.bitstamp_csv import BitstampOrders
from connectors.feeds.columns import Columns
from connectors.feeds.conditions import TABLES
from connectors.feeds.constituents import Constituents
from connectors.feeds.dbn import Dbn
from connectors.feeds.detect import Found, find
from connectors.feeds.fix import Fix
from connectors.feeds.futures import Futures
from connectors.feeds.fx import Fx
from connectors.feeds.iex import Iex
from connectors.feeds.instruments import Instruments
from connectors.feeds.lean_bars import LeanBars
from connectors.feeds.ledger import BEGUN, FileState, Ledger, RunState, file_key, open_keys
from connectors.feeds.lobster import Lobster
from connectors.feeds.named_bars import NamedBars
from connectors.feeds.options import FeedOptions
from connectors.feeds.source import FeedError, Source
from connectors.feeds.taq import Taq

# Unpacked text read at a time: large blocks parse faster, but every file that is open holds one.
_BLOCK_BYTES = 1 << 21
_BLOCKS_BYTES = 1 << 26
_BLOCK_BYTES_LEAST = 1 << 15
_NAMED = 5


@dataclass(kw_only=True)
class FeedFile:
    """A file to feed, or one part of it."""

    path: Path
    sha256: str
    source: Source
    first_ns: dict[str, int]
    state: FileState
    note: str = ""

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        return file_key(self.sha256, self.state.part)


def find_files(paths: Sequence[Path], options: FeedOptions) -> Found:
    """The files that paths name, each with its format (see `detect.find`)."""
    if options.conditions not in TABLES:
        raise FeedError(f"conditions {options.conditions!r}: one of {', '.join(TABLES)} was needed")
    formats = [
        Taq(TABLES[options.conditions]),
        Lobster(),
        Dbn(),
        Fx(),
        Futures(),
        LeanBars(),
        BinanceCapture(),
        BitstampLog(),
        BitstampOrders(),
        Iex(),
        Fix(),
        Instruments(),
        Constituents(),
        # What a mapping names goes before what a file looks like.
        Columns(options.mapping),
        NamedBars(),
        AdjustedBars(),
    ]
    return find(paths, formats, options.format)


def open_files(found: Found) -> list[FeedFile]:
    """Open the files that were found, each with all its parts.

    Raises
    ------
    FeedError
        Where two have the same bytes, or one is not as its format needs it.
    """
    block_bytes = max(_BLOCK_BYTES_LEAST, min(_BLOCK_BYTES, _BLOCKS_BYTES // len(found.files)))
    files: list[FeedFile] = []
    by_hash: dict[str, Path] = {}
    for seen, known in found.files:
        with seen.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 in by_hash:
            raise FeedError(
                f"{seen.path} has the same bytes as {by_hash[sha256]}; feed one of them"
            )
        by_hash[sha256] = seen.path
        files += [_opened(seen.path, sha256, source) for source in known.open(seen, block_bytes)]
    return files


def _opened(path: Path, sha256: str, source: Source) -> FeedFile:
    name = f"{path.absolute().parent.name}/{path.name}"
    state = FileState(name=name, topic=source.topic.name, part=source.part)
    return FeedFile(path=path, sha256=sha256, source=source, first_ns=source.scan(), state=state)


def fingerprint(files: Sequence[FeedFile], options: FeedOptions) -> str:
    """Names what is fed: the files' contents, and the options that change which rows they give."""
    mapping = options.mapping and (
        options.mapping.topic.identifier,
        options.mapping.header,
        options.mapping.delimiter,
        sorted((name, repr(source)) for name, source in options.mapping.fields.items()),
    )
    parts = [
        sorted({file.sha256 for file in files}),
        (options.format, options.conditions, options.start_ns, options.end_ns),
        mapping,
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a feed goes on with.

    Parameters
    ----------
    open_keys : dict of str to int
        Key to latest event time, of the keys whose last session a killed call left open.
    took : dict of str to list of str
        Run of a killed call to the files' parts of it that this one goes on with.
    """

    open_keys: dict[str, int]
    took: dict[str, list[str]]


def admit(
    files: Sequence[FeedFile], ledger: Ledger, run: RunState, options: FeedOptions
) -> Admission:
    """Set where each file begins, or refuse them all.

    A file that a killed call left half fed goes on behind what is in the log: in the same call started
    again, or in another one that has the file too.

    Raises
    ------
    FeedError
        Naming the files that were fed before, that are older than what their symbols have, or that are
        not as a killed call had begun to feed them.
    """
    fed: list[str] = []
    older: list[str] = []
    resumed: list[RunState] = []
    took: dict[str, list[str]] = {}
    for file in files:
        file.state.start_ns, file.state.end_ns = options.start_ns, options.end_ns
        known = ledger.fed(file.sha256, file.state.part, options.window)
        own = file.key in run.files
        if own:
            known = ledger.latest(run, file.key)
        if known is None:
            _refuse_changed(file, ledger, options)
            older += _older(file, ledger, options)
        elif known[1].part == file.state.part and (own or _half_fed(known[1], options)):
            resumed.append(known[0])
            file.state = known[1]
            if known[0] is not run:
                took.setdefault(known[0].run, []).append(file.key)
            if file.state.lines:
                file.note = f"goes on behind line {file.state.lines}, where an earlier call stopped"
        elif not options.again:
            fed.append(f"{file.path} (as {known[1].label}, {known[1].lines} lines)")
    if fed:
        raise FeedError(
            f"fed already: {_some(fed)}. Nothing was appended; --again feeds a file once more"
        )
    if older and not options.late_ok:
        raise FeedError(
            f"older than what the log has: {_some(older)}. Nothing was appended; feed a symbol's days in "
            "order and the files of one day together; --late-ok feeds them as late rows"
        )
    return Admission(open_keys=open_keys(resumed, ledger), took=took)


def _refuse_changed(file: FeedFile, ledger: Ledger, options: FeedOptions) -> None:
    """Refuse a file of other bytes than the one of its name that a killed call left half fed."""
    if options.again or options.late_ok:
        return
    for run in ledger.runs.values():
        if run.status != BEGUN or not run.keys & file.first_ns.keys():
            continue
        for key, state in run.files.items():
            same = (state.name, state.part, state.topic) == (
                file.state.name,
                file.state.part,
                file.state.topic,
            )
            if same and state.status == BEGUN and state.lines and key not in run.taken:
                raise FeedError(
                    f"{file.path} has changed: a call that was killed had fed {state.lines} lines "
                    f"({state.rows} rows) of a file of this name with SHA-256 {key[:12]}…, this one has "
                    f"{file.sha256[:12]}…. Nothing was appended; put the old file back and start again, or "
                    "feed what is behind those rows with --from, with --late-ok"
                )


def _half_fed(state: FileState, options: FeedOptions) -> bool:
    return state.status == BEGUN and state.window == options.window and not options.again


def _older(file: FeedFile, ledger: Ledger, options: FeedOptions) -> list[str]:
    found: list[str] = []
    if not file.source.topic.watermarked:
        return found
    for key, first_ns in file.first_ns.items():
        begins_ns = first_ns if options.start_ns is None else max(first_ns, options.start_ns)
        known_ns = ledger.known_ns(file.state.topic, key)
        if known_ns is not None and begins_ns < known_ns:
            found.append(
                f"{file.path} begins at {_utc(begins_ns)}, {key} in {file.state.topic} is at "
                f"{_utc(known_ns)}"
            )
    return found


def _some(parts: list[str]) -> str:
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return "; ".join(parts[:_NAMED]) + more


def _utc(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
