"""How the platform does, for the system panel: lags, rows a second, delays in market time, processes.

Computed from the log's own progress records and from the operating system, at most once a second however many
pages ask, so that it also holds where the programs serve no metrics.
"""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from connectors.log import Log, Record
from connectors.records import decode_rows, event_times, is_rows
from schemas.registry import TOPICS, raw_topics
from serving.topics import ReaderState, reader_states, sink_states, watermark_range

# Shorter than a page asks; long enough that a hundred pages cost what one does.
_KEEP_NS = 1_000_000_000
_TAIL = 64
_OURS = ("serving.cli", "tapeflow")


@dataclass(frozen=True, kw_only=True)
class TopicSample:
    """A topic at one moment.

    Parameters
    ----------
    topic : str
        Which.
    records : int
        Offsets that its partitions have given out.
    ts_event_ns : int or None
        Newest event time in its partitions' newest rows, ns since 1970 UTC; None without rows there.
    behind_s : float or None
        How far that is behind the newest of all raw topics of the market, in market time; None for what people
        enter.
    watermark_delay_s : float or None
        The same of its keys' least watermark; None where it has none.
    rows_per_second : float or None
        Rows that the fastest of its readers has read since the sample before, a second; None at first, and of
        a topic that no flow reads.
    """

    topic: str
    records: int
    ts_event_ns: int | None
    behind_s: float | None
    watermark_delay_s: float | None
    rows_per_second: float | None


@dataclass(frozen=True, kw_only=True)
class ProgramSample:
    """A process of the platform at one moment.

    Parameters
    ----------
    program : str
        Its verb, as in ``tapeflow VERB``.
    pid : int
        Process.
    cpu_percent : float
        Of one processor, since the sample before; 0 in the first.
    memory_bytes : int
        Resident set.
    """

    program: str
    pid: int
    cpu_percent: float
    memory_bytes: int


class SystemView:
    """Samples the platform.

    Parameters
    ----------
    log : Log
        Whose topics, readers and sinks.
    monotonic_ns : callable
        The clock that rates are taken by, in ns.
    """

    def __init__(self, log: Log, monotonic_ns: Callable[[], int]) -> None:
        self._log = log
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._taken_ns: int | None = None
        self._read: dict[str, int] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._value: dict[str, Any] = {}

    def value(self) -> dict[str, Any]:
        """The newest sample, not older than a second, as plain values for JSON."""
        with self._lock:
            now_ns = self._monotonic_ns()
            if self._taken_ns is None or now_ns - self._taken_ns >= _KEEP_NS:
                self._value = self._sample(now_ns)
                self._taken_ns = now_ns
            return self._value

    def _sample(self, now_ns: int) -> dict[str, Any]:
        readers = reader_states(self._log)
        rates = self._rates(readers, now_ns)
        return {
            "topics": [asdict(one) for one in self._topics(rates)],
            "readers": [asdict(one) for one in readers],
            "sinks": [asdict(one) for one in sink_states(self._log)],
            "programs": [asdict(one) for one in self._programs()],
        }

    def _rates(self, readers: Iterable[ReaderState], now_ns: int) -> dict[str, float]:
        """Rows a second by topic, of whichever flow has read most of it since the sample before."""
        by_flow: dict[tuple[str, str], dict[int, int]] = {}
        for one in readers:
            # A shard tells an input's rows with each of its partitions: once is enough.
            by_flow.setdefault((one.flow, one.topic), {})[one.shard] = one.read
        read = {f"{flow} {topic}": sum(by_flow[flow, topic].values()) for flow, topic in by_flow}
        before, self._read = self._read, read
        if self._taken_ns is None:
            return {}
        seconds = (now_ns - self._taken_ns) / 1e9
        rates: dict[str, float] = {}
        for name, rows in read.items():
            topic = name.split(" ")[1]
            rate = max(0, rows - before.get(name, rows)) / seconds
            rates[topic] = max(rates.get(topic, 0.0), round(rate, 1))
        return rates

    def _topics(self, rates: dict[str, float]) -> list[TopicSample]:
        ends = {
            name: [self._log.end(name, partition) for partition in range(config.partitions)]
            for name, config in self._log.topics().items()
            if name in TOPICS
        }
        held = {name: offsets for name, offsets in ends.items() if any(offsets)}
        times = {name: self._newest_ns(name, len(offsets)) for name, offsets in held.items()}
        market = [times.get(topic.name) for topic in raw_topics() if _is_of_market(topic.name)]
        market_ns = max((one for one in market if one is not None), default=None)
        return [
            TopicSample(
                topic=name,
                records=sum(offsets),
                ts_event_ns=times[name],
                behind_s=_seconds(market_ns, times[name]) if _is_of_market(name) else None,
                watermark_delay_s=_seconds(market_ns, self._watermark_ns(name, len(offsets))),
                rows_per_second=rates.get(name),
            )
            for name, offsets in held.items()
        ]

    def _newest_ns(self, name: str, partitions: int) -> int | None:
        newest: list[int] = []
        for partition in range(partitions):
            record = self._newest_rows(name, partition)
            if record is not None:
                times = event_times(TOPICS[name], decode_rows(TOPICS[name], record))
                newest.append(int(times.max()))
        return max(newest, default=None)

    def _newest_rows(self, name: str, partition: int) -> Record | None:
        """The newest record with rows, if it is among the newest few: watermarks follow rows closely."""
        end = self._log.end(name, partition)
        for offset in range(end - 1, max(self._log.start(name, partition), end - _TAIL) - 1, -1):
            found = self._log.read(name, partition, offset, max_bytes=1).records
            if found and is_rows(found[0]):
                return found[0]
        return None

    def _watermark_ns(self, name: str, partitions: int) -> int | None:
        if not TOPICS[name].watermarked:
            return None
        found = [watermark_range(self._log, name, partition)[0] for partition in range(partitions)]
        return min((one for one in found if one is not None), default=None)

    def _programs(self) -> list[ProgramSample]:
        family = {process.pid: process for process in _family()}
        # A process tells its share of a processor since it was last asked, so the same objects are kept.
        self._processes = {
            pid: self._processes.get(pid, process) for pid, process in family.items()
        }
        samples = []
        for pid, process in sorted(self._processes.items()):
            try:
                sample = ProgramSample(
                    program=_verb(process.cmdline()),
                    pid=pid,
                    cpu_percent=process.cpu_percent(),
                    memory_bytes=process.memory_info().rss,
                )
            except psutil.NoSuchProcess:
                # It has ended since the family was listed.
                continue
            samples.append(sample)
        return samples


def _is_of_market(name: str) -> bool:
    """Whether a topic's event times are the market's: those of what people enter are the wall clock's."""
    return TOPICS[name].watermarked


def _seconds(market_ns: int | None, time_ns: int | None) -> float | None:
    """How far a time is behind the market's, at least 0."""
    if market_ns is None or time_ns is None:
        return None
    return max(0.0, (market_ns - time_ns) / 1e9)


def _family() -> list[psutil.Process]:
    """Our process and, where `tapeflow up` has started it, that one and all that it has started."""
    own = psutil.Process(os.getpid())
    parent = own.parent()
    if parent is None or not any(_is_ours(part) for part in parent.cmdline()):
        return [own]
    return [parent, *parent.children()]


def _is_ours(argument: str) -> bool:
    return argument.rpartition("/")[2] in _OURS


def _verb(command: list[str]) -> str:
    """What follows the program's name on a command line; the last part of its path where nothing does."""
    for at, part in enumerate(command[:-1]):
        if _is_ours(part):
            return command[at + 1]
    return command[0].rpartition("/")[2] if command else "?"
