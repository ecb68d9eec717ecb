"""What was fed before: the control records of `_feeds`, folded.

A *run* is one call of `feed` on one set of files. Each of its commits carries, with the rows, how far every
file touched in it has come, and the latest event time and watermark of every key touched. So a run
that was killed goes on at its last commit, and what its keys already have is known.

Reading starts where the newest record says (``from``): behind that, some record carries all that was known up to
there (``snapshot``). So a start reads a few thousand records at most, however long was fed. Folding takes the
record that is further on, whatever comes first: several feeds may write at once, and a snapshot may repeat what
stands beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.control import FEEDS_TOPIC, control_record, control_value
from connectors.feeds.reading import Window
from connectors.log import Log, NewRecord

BEGUN = "begun"
DONE = "done"
BROKEN = "broken"

# Records that a start reads at most: some ten milliseconds.
_RECORDS_MAX = 1024
# Longer than any transaction of ours is open.
_HIDDEN_S = 60.0


@dataclass(kw_only=True)
class FileState:
    """How far a file was fed.

    Parameters
    ----------
    name : str
        The file's folder and name.
    topic : str
        Where its rows go.
    part : str
        Which part of the file; empty where it is all of it.
    start_ns, end_ns : int or None
        The event times that were wanted.
    lines, rows, rejected : int
        Lines done (all behind them are not), rows appended, lines that became dead letters.
    status : str
        ``begun``, ``done``, or ``broken`` where the file breaks off.
    skipped : dict of str to int
        Reason to how many lines the format left out for it.
    """

    name: str
    topic: str
    part: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    lines: int = 0
    rows: int = 0
    rejected: int = 0
    status: str = BEGUN
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def window(self) -> Window:
        """The event times that were wanted."""
        return Window(start_ns=self.start_ns, end_ns=self.end_ns)

    @property
    def label(self) -> str:
        """The file's name, with the part where there are several."""
        return f"{self.name}#{self.part}" if self.part else self.name


def file_key(sha256: str, part: str) -> str:
    """The name of a file's part in a run: by its bytes, whatever the file is called."""
    return f"{sha256}#{part}" if part else sha256


@dataclass(kw_only=True)
class RunState:
    """A run: its files' parts (see `file_key`), and the keys that it fed.

    Parameters
    ----------
    run : str
        Fingerprint of its files and options, and a number.
    status : str
        Whether it is ``begun`` or ``done``.
    files : dict of str to FileState
        How far each part has come.
    keys : set of str
        What it has fed rows of.
    claims : set of str
        Parts that it is about to feed, or feeds: of two runs, the one that claimed a part later has it.
    taken : dict of str to str
        Parts that another run has gone on with, to that run: what stands in ``files`` is past.
    """

    run: str
    status: str = BEGUN
    files: dict[str, FileState] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    claims: set[str] = field(default_factory=set)
    taken: dict[str, str] = field(default_factory=dict)

    @property
    def is_left_open(self) -> bool:
        """Whether all its files are fed, and the sessions left open for those that follow."""
        files = self.files.values()
        return self.status == BEGUN and bool(files) and all(one.status == DONE for one in files)

    @property
    def writer(self) -> str:
        """Name of the log's writer under which it commits."""
        return writer_name(self.run.rpartition(":")[0])


def writer_name(fingerprint: str) -> str:
    """Name of the log's writer of runs of the same files and options."""
    return f"feed:{fingerprint}"


@dataclass(kw_only=True)
class Ledger:
    """All that was fed.

    Parameters
    ----------
    runs : dict of str to RunState
        By run, oldest first.
    last_ns : dict of str to dict of str to int
        Topic to key to its latest event time.
    watermarks_ns : dict of str to int
        Key to its latest watermark.
    start, read_to : int
        Offsets in `_feeds`: from where, and up to where it was read.
    unsummed : int
        Records read since ``start``.
    """

    runs: dict[str, RunState] = field(default_factory=dict)
    last_ns: dict[str, dict[str, int]] = field(default_factory=dict)
    watermarks_ns: dict[str, int] = field(default_factory=dict)
    start: int = 0
    read_to: int = 0
    unsummed: int = 0

    def known_ns(self, topic: str, key: str) -> int | None:
        """The time before which no row of the key should come any more, or None."""
        known = (self.last_ns.get(topic, {}).get(key), self.watermarks_ns.get(key))
        return max((time for time in known if time is not None), default=None)

    def unfinished(self, fingerprint: str) -> RunState | None:
        """The newest run of the same files and options, where it did not come to its end."""
        same = [run for run in self.runs.values() if run.run.startswith(f"{fingerprint}:")]
        return same[-1] if same and same[-1].status == BEGUN else None

    def fed(self, sha256: str, part: str, window: Window) -> tuple[RunState, FileState] | None:
        """The newest run that fed the file, for event times that the window has too.

        Its state is that of the part, or of another one where the file was fed in other parts.
        """
        for run in reversed(self.runs.values()):
            same = [key for key in run.files if key.split("#", 1)[0] == sha256]
            for key in sorted(same, key=lambda key: run.files[key].part != part):
                if run.files[key].window.overlaps(window):
                    return self.latest(run, key)
        return None

    def latest(self, run: RunState, key: str) -> tuple[RunState, FileState]:
        """A part that a run has fed: the run that went on with it last, and how far it is there."""
        seen = {run.run}
        while (taker := self.runs.get(run.taken.get(key, ""))) is not None:
            if key not in taker.files or taker.run in seen:
                break
            seen.add(taker.run)
            run = taker
        return run, run.files[key]

    def rivals(self, run: str, keys: Iterable[str]) -> list[RunState]:
        """Other runs that have not come to their end and have claimed one of these parts last."""
        wanted = set(keys)
        return [
            one
            for one in self.runs.values()
            if one.run != run and one.status == BEGUN and wanted & (one.claims - set(one.taken))
        ]

    def refresh(self, log: Log, upto: int | None = None) -> None:
        """Take in the records that were appended since the ledger was read.

        Parameters
        ----------
        log : Log
            Where.
        upto : int, optional
            Offset to read up to, waiting for it; by default the present end.
        """
        end = log.end(FEEDS_TOPIC, 0) if upto is None else upto
        while self.read_to < end:
            chunk = log.read(FEEDS_TOPIC, 0, self.read_to)
            records = [one for one in chunk.records if upto is None or one.offset < upto]
            for record in records:
                self.fold(control_value(record))
            self.unsummed += len(records)
            reached = chunk.next_offset if upto is None else min(chunk.next_offset, upto)
            if reached == self.read_to:
                # Another writer's open transaction hides what stands behind its first record.
                if upto is None or not log.wait({(FEEDS_TOPIC, 0): self.read_to}, _HIDDEN_S):
                    return
                continue
            self.read_to = reached

    def fold(self, value: Mapping[str, Any]) -> None:
        """Take a control record in."""
        for run, state in (value.get("snapshot") or {}).get("runs", {}).items():
            known = self._fold_run(run, state["status"], state["files"], state["keys"])
            known.claims.update(state.get("claims", ()))
            known.taken.update(state.get("taken", {}))
        for part in (value, value.get("snapshot") or {}):
            for topic, keys in part.get("last", {}).items():
                _take_latest(self.last_ns.setdefault(topic, {}), keys)
            _take_latest(self.watermarks_ns, part.get("watermarks", {}))
        keys = {key for keys in value["last"].values() for key in keys}
        run = self._fold_run(value["run"], value["status"], value["files"], keys)
        run.claims.update(value.get("claims", ()))
        for name, parts in value.get("took", {}).items():
            self._run(name).taken.update(dict.fromkeys(parts, run.run))

    def snapshot(self) -> dict[str, Any]:
        """All of the ledger, as it stands in a control record."""
        return {
            "runs": {
                name: {
                    "status": run.status,
                    "files": {key: asdict(state) for key, state in run.files.items()},
                    # A finished run's keys are never asked for again.
                    "keys": sorted(run.keys) if run.status == BEGUN else [],
                    "claims": sorted(run.claims) if run.status == BEGUN else [],
                    "taken": run.taken,
                }
                for name, run in self.runs.items()
                if run.files or run.status == BEGUN
            },
            "last": self.last_ns,
            "watermarks": self.watermarks_ns,
        }

    def _run(self, name: str) -> RunState:
        return self.runs.setdefault(name, RunState(run=name))

    def _fold_run(
        self, name: str, status: str, files: Mapping[str, Any], keys: Iterable[str]
    ) -> RunState:
        run = self._run(name)
        if run.status == BEGUN:
            run.status = status
        run.keys.update(keys)
        for key, value in files.items():
            state, known = FileState(**value), run.files.get(key)
            if known is None or (known.status == BEGUN and known.lines <= state.lines):
                run.files[key] = state
        return run


def open_keys(runs: Iterable[RunState], ledger: Ledger) -> dict[str, int]:
    """Keys whose last session these runs have left open, and the latest event time of each."""
    found: dict[str, int] = {}
    for run in runs:
        for key in run.keys:
            last_ns = max(times[key] for times in ledger.last_ns.values() if key in times)
            # A closed session's watermark lies behind its rows.
            if ledger.watermarks_ns.get(key, last_ns) <= last_ns:
                found[key] = last_ns
    return found


def read_ledger(log: Log) -> Ledger:
    """All that was fed into a log."""
    newest = log.last(FEEDS_TOPIC, 0)
    start = log.start(FEEDS_TOPIC, 0) if newest is None else int(control_value(newest)["from"])
    ledger = Ledger(start=start, read_to=start)
    ledger.refresh(log)
    return ledger


class LedgerWriter:
    """Makes the control records of one run.

    Parameters
    ----------
    log : Log
        Read again now and then, for what other runs have written.
    ledger : Ledger
        What was fed before.
    run : str
        Name of the run.
    """

    def __init__(self, log: Log, ledger: Ledger, run: str) -> None:
        self.run = run
        self._log = log
        self._ledger = ledger
        self._since_refresh = ledger.unsummed

    def record(
        self,
        status: str,
        *,
        files: Mapping[str, FileState],
        keys: Mapping[str, Mapping[str, int]],
        watermarks: Mapping[str, int],
        claims: Iterable[str] = (),
        took: Mapping[str, Sequence[str]] | None = None,
    ) -> NewRecord:
        """The control record of a commit.

        Parameters
        ----------
        status : str
            Whether the run is ``begun`` or ``done``.
        files : mapping of str to FileState
            The files' parts touched (see `file_key`).
        keys : mapping of str to mapping of str to int
            Topic to key to latest event time in this commit, ns since 1970 UTC.
        watermarks : mapping of str to int
            Key to its watermark appended in this commit.
        claims : iterable of str
            Files' parts that the run is about to feed.
        took : mapping of str to sequence of str
            Run to those of its files' parts with which this one goes on.
        """
        snapshot = None
        if self._since_refresh >= _RECORDS_MAX:
            self._ledger.refresh(self._log)
            self._ledger.start = self._ledger.read_to
            snapshot = self._ledger.snapshot()
            self._since_refresh = 0
        self._since_refresh += 1
        value = {
            "from": self._ledger.start,
            "run": self.run,
            "status": status,
            "files": {key: asdict(state) for key, state in files.items()},
            "last": {topic: dict(times) for topic, times in keys.items()},
            "watermarks": dict(watermarks),
            "snapshot": snapshot,
        }
        if claims:
            value["claims"] = sorted(claims)
        if took:
            value["took"] = {run: sorted(parts) for run, parts in sorted(took.items())}
        return control_record(FEEDS_TOPIC, 0, value)


def _take_latest(known: dict[str, int], times: Mapping[str, int]) -> None:
    for key, time in times.items():
        known[key] = max(time, known.get(key, time))
