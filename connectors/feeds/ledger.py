"""What was fed before: the control records of `_feeds`, folded.

A *run* is one call of `feed` on one set of files. Each of its commits carries, with the rows, how far every
file touched in it has come, and the first and last event time and the watermark of every key touched. So a run
that was killed goes on at its last commit, and what its keys already have is known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.control import FEEDS_TOPIC, control_record, control_value
from connectors.feeds.reading import Window
from connectors.log import Log, NewRecord, Record

BEGUN = "begun"
DONE = "done"
BROKEN = "broken"


@dataclass(kw_only=True)
class FileState:
    """How far a file was fed.

    Parameters
    ----------
    name : str
        The file's folder and name.
    topic : str
        Where its rows go.
    start_ns, end_ns : int or None
        The event times that were wanted.
    lines, rows, rejected : int
        Lines done (all behind them are not), rows appended, lines that became dead letters.
    status : str
        ``begun``, ``done``, or ``broken`` where the file breaks off.
    """

    name: str
    topic: str
    start_ns: int | None = None
    end_ns: int | None = None
    lines: int = 0
    rows: int = 0
    rejected: int = 0
    status: str = BEGUN

    @property
    def window(self) -> Window:
        """The event times that were wanted."""
        return Window(start_ns=self.start_ns, end_ns=self.end_ns)


@dataclass(kw_only=True)
class RunState:
    """A run: its files by SHA-256, and the keys that it fed."""

    run: str
    status: str = BEGUN
    files: dict[str, FileState] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)


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
    """

    runs: dict[str, RunState] = field(default_factory=dict)
    last_ns: dict[str, dict[str, int]] = field(default_factory=dict)
    watermarks_ns: dict[str, int] = field(default_factory=dict)

    def known_ns(self, topic: str, key: str) -> int | None:
        """The time before which no row of the key should come any more, or None."""
        known = (self.last_ns.get(topic, {}).get(key), self.watermarks_ns.get(key))
        return max((time for time in known if time is not None), default=None)

    def unfinished(self, fingerprint: str) -> RunState | None:
        """The newest run of the same files and options, where it did not come to its end."""
        same = [run for run in self.runs.values() if run.run.startswith(f"{fingerprint}:")]
        return same[-1] if same and same[-1].status == BEGUN else None

    def fed(self, sha256: str, window: Window) -> tuple[RunState, FileState] | None:
        """The newest run that fed the file, for event times that the window has too."""
        for run in reversed(self.runs.values()):
            state = run.files.get(sha256)
            if state is not None and state.window.overlaps(window):
                return run, state
        return None

    def fold(self, value: Mapping[str, Any]) -> None:
        """Take a control record in."""
        run = self.runs.setdefault(value["run"], RunState(run=value["run"]))
        run.status = value["status"]
        for sha256, state in value["files"].items():
            run.files[sha256] = FileState(**state)
        for topic, keys in value["keys"].items():
            last_ns = self.last_ns.setdefault(topic, {})
            for key, (_, last) in keys.items():
                last_ns[key] = max(last, last_ns.get(key, last))
                run.keys.add(key)
        for key, time in value["watermarks"].items():
            self.watermarks_ns[key] = max(time, self.watermarks_ns.get(key, time))


def read_ledger(log: Log) -> Ledger:
    """All that was fed into a log."""
    ledger = Ledger()
    for record in _records(log):
        ledger.fold(control_value(record))
    return ledger


def ledger_record(
    run: str,
    status: str,
    *,
    files: Mapping[str, FileState],
    keys: Mapping[str, Mapping[str, tuple[int, int]]],
    watermarks: Mapping[str, int],
) -> NewRecord:
    """The control record of a commit.

    Parameters
    ----------
    run, status : str
        Which run, and whether it is ``begun`` or ``done``.
    files : mapping of str to FileState
        The files touched, by SHA-256.
    keys : mapping of str to mapping of str to (int, int)
        Topic to key to first and last event time in this commit, ns since 1970 UTC.
    watermarks : mapping of str to int
        Key to its watermark appended in this commit.
    """
    return control_record(
        FEEDS_TOPIC,
        0,
        {
            "run": run,
            "status": status,
            "files": {sha256: asdict(state) for sha256, state in files.items()},
            "keys": {topic: dict(times) for topic, times in keys.items()},
            "watermarks": dict(watermarks),
        },
    )


def _records(log: Log) -> Iterator[Record]:
    at = log.start(FEEDS_TOPIC, 0)
    end = log.end(FEEDS_TOPIC, 0)
    while at < end:
        chunk = log.read(FEEDS_TOPIC, 0, at)
        yield from chunk.records
        if chunk.next_offset == at:
            return
        at = chunk.next_offset
