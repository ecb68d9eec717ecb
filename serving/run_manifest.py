"""What a run is of, kept in a topic of its own: its arguments when it begins, its receipts when it is done."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from connectors.control import control_record, control_value
from connectors.log import Log, LogError, TopicConfig
from connectors.run_log import MANIFEST_TOPIC, run_names, run_topic, topics_of_run
from connectors.scan import scan_records
from flows.flow import FlowError

_BEGUN = "begun"
_DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What was asked for; the same again resumes a run.

    Parameters
    ----------
    flows : list of str or None
        As named; None for all that have run.
    params : dict of flow to dict, or None
        Other parameters; None for those of each epoch.
    begin, end : str or None
        ``--from`` and ``--to``.
    source : str or None
        A lake's URL where the run is computed from one.
    """

    flows: list[str] | None = None
    params: dict[str, dict[str, Any]] | None = None
    begin: str | None = None
    end: str | None = None
    source: str | None = None

    @property
    def params_hash(self) -> str:
        """Names the parameters: eight hexadecimal digits; empty for those of each epoch."""
        if self.params is None:
            return ""
        text = orjson.dumps(self.params, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()[:8]

    @property
    def range(self) -> str:
        """From where to where, for people."""
        return "all" if self.begin is self.end is None else f"{self.begin or ''}..{self.end or ''}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A run.

    Parameters
    ----------
    run : str
        Its name.
    arguments : Arguments
        What was asked for.
    commits : dict of flow to dict of shard (as text) to commit number
        The live shards' last commits when it began: what it is computed up to.
    ends : dict of topic to list of offset
        The live topics' ends then, by partition: for flows that had not run.
    begun_ns : int
        When it began, ns since 1970 UTC.
    done_ns : int or None
        When it was complete.
    rows : dict of topic to int
        Rows by topic, when complete.
    digests : dict of topic to str
        Their digests.
    size_bytes : int
        What its topics hold, when complete.
    """

    run: str
    arguments: Arguments
    commits: dict[str, dict[str, int]]
    ends: dict[str, list[int]]
    begun_ns: int = 0
    done_ns: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def flows(self) -> list[str]:
        """The flows that it is of, in order of name."""
        return sorted(self.commits)


def read_manifest(log: Log, run: str) -> Manifest | None:
    """A run's manifest, or None where there is no such run."""
    if MANIFEST_TOPIC not in topics_of_run(log, run):
        return None
    found: Manifest | None = None
    done_ns: int | None = None
    done: dict[str, Any] = {}
    for record in scan_records(log, run_topic(run, MANIFEST_TOPIC), 0):
        value = control_value(record)
        kind = value.pop("kind")
        if kind == _BEGUN and found is None:
            value["arguments"] = Arguments(**value["arguments"])
            found = Manifest(run=run, begun_ns=record.append_time_ns, **value)
        elif kind == _DONE:
            done_ns, done = record.append_time_ns, value
    return None if found is None else replace(found, done_ns=done_ns, **done)


def begin_run(log: Log, manifest: Manifest) -> Manifest:
    """Write that a run begins; of several at once the first one counts."""
    topic = run_topic(manifest.run, MANIFEST_TOPIC)
    log.create_topic(TopicConfig(name=topic, partitions=1, synced=True))
    value = {
        "kind": _BEGUN,
        "arguments": asdict(manifest.arguments),
        "commits": manifest.commits,
        "ends": manifest.ends,
    }
    log.append([control_record(topic, 0, value)])
    found = read_manifest(log, manifest.run)
    if found is None or found.arguments != manifest.arguments:
        raise LogError(
            f"run {manifest.run!r}: another replay began it at the same moment; take another name"
        )
    return found


def end_run(
    log: Log, run: str, *, rows: dict[str, int], digests: dict[str, str], size_bytes: int
) -> None:
    """Write that a run is complete, with its receipts."""
    value = {"kind": _DONE, "rows": rows, "digests": digests, "size_bytes": size_bytes}
    log.append([control_record(run_topic(run, MANIFEST_TOPIC), 0, value)])


def manifests(log: Log) -> list[Manifest]:
    """All runs that a log keeps, in order of name."""
    found = (read_manifest(log, run) for run in run_names(log))
    return [one for one in found if one is not None]


def known_run(log: Log, run: str) -> Manifest:
    """A run that must be there.

    Raises
    ------
    FlowError
        Where it is not, naming those that are.
    """
    found = read_manifest(log, run)
    if found is None:
        names = ", ".join(run_names(log)) or "none"
        raise FlowError(f"no run {run!r}; there are {names} (`tapeflow runs`)")
    return found


def complete_run(log: Log, run: str) -> Manifest:
    """A run that must be there, whole.

    Raises
    ------
    FlowError
        Where it is not, or was ended before it was complete: what it lacks would look like a difference.
    """
    found = known_run(log, run)
    if found.done_ns is None:
        raise FlowError(
            f"run {run!r} is not complete: the replay that made it has ended early. Repeat its arguments with "
            f"--into {run} to resume it, or drop it: `tapeflow runs drop {run}`"
        )
    return found
