"""What a live source said, into the log: rows, dead letters and feed events in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from connectors.crash_points import crash_point
from connectors.feeds.append import EVENT, Appender
from connectors.feeds.ledger import (
    BEGUN,
    DONE,
    FileState,
    LedgerWriter,
    open_keys,
    read_ledger,
)
from connectors.feeds.pace import Clock
from connectors.live.adapter import Adapter, Bad, Message, Noticed, Parsed
from connectors.log import Log, NewRecord
from connectors.metrics import FEED_COMMITS, FEED_REJECTED, FEED_ROWS
from connectors.records import event_times, key_column
from schemas.arrays import Int64s
from schemas.feed_events import FEED_EVENTS
from schemas.field import RECEIVE_TIME
from schemas.sessions import DEFAULT_CALENDAR
from schemas.topic import Topic
from schemas.validation import validate

Group = tuple[Topic, pa.RecordBatch, Int64s]

# Commits of which one says how far the keys are: there is no file to go on with.
_TOLD_EVERY = 64


@dataclass(frozen=True, kw_only=True)
class SinkOptions:
    """How rows are appended.

    Parameters
    ----------
    live : bool
        Whether their time is now; a recording's is not.
    calendar : str
        Whose sessions end with watermark rows.
    lateness_ns : int
        How far behind the source's newest row another may come, before its session is ended.
    batch_rows : int
        Most rows of a record.
    clock : Clock
        Tells the wall time.
    file : tuple of str and FileState, or None
        Key and state of the recording, for the ledger.
    """

    live: bool = True
    calendar: str = DEFAULT_CALENDAR
    lateness_ns: int = 5_000_000_000
    batch_rows: int = 8192
    clock: Clock = field(default_factory=Clock)
    file: tuple[str, FileState] | None = None


@dataclass(kw_only=True)
class LiveCounts:
    """What came, so far: messages, rows by topic, dead letters, feed events by kind."""

    messages: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    events: dict[str, int] = field(default_factory=dict)


class LiveSink:
    """Commits of one live source (or of its recording).

    Opening it fences an earlier copy of the same source, which would double its rows.

    Parameters
    ----------
    log : Log
        With its topics made.
    adapter : Adapter
        What the messages mean.
    options : SinkOptions
        How they are appended.
    """

    def __init__(self, log: Log, adapter: Adapter, options: SinkOptions) -> None:
        self._adapter = adapter
        self._options = options
        self._writer = log.writer(f"live:{adapter.source}")
        self._known = read_ledger(log)
        run = f"live:{adapter.source}:{self._writer.number}"
        self._ledger = LedgerWriter(log, self._known, run)
        self._appender = Appender(
            log,
            calendar=options.calendar,
            ts_recv=EVENT,
            live=options.live,
            source=adapter.source,
            batch_rows=options.batch_rows,
            clock=options.clock,
        )
        if options.file is not None:
            left = [
                run
                for run in self._known.runs.values()
                if run.is_left_open and run.run.startswith(f"live:{adapter.source}:")
            ]
            self._appender.go_on(open_keys(left, self._known))
        self._stream_ns = np.iinfo(np.int64).min
        self._seen: set[tuple[str, str]] = set()
        self._told: dict[str, dict[str, int]] = {}
        self._closed: dict[str, int] = {}
        self._commits = 0
        self.counts = LiveCounts()

    def take(self, messages: Sequence[Message], parsed: Parsed) -> None:
        """Append what messages came to, in one commit.

        Parameters
        ----------
        messages : sequence of Message
            In order of their numbers, without gaps.
        parsed : Parsed
            What the adapter made of them, and what else was noticed.
        """
        groups = self._good(messages, parsed)
        for topic, batch, _ in groups:
            parsed.noticed += self._behind(topic, batch)
        self._add(messages, parsed, groups)
        self._commit(BEGUN)

    def skip(self, messages: Sequence[Message], parsed: Parsed) -> None:
        """Go on as after `take`, where an earlier copy of this feed has appended it."""
        groups = self._good(messages, parsed)
        for topic, batch, _ in groups:
            self._seen.update(
                (topic.name, key) for key in key_column(topic, batch).unique().to_pylist()
            )
        self._add(messages, parsed, groups)
        self._appender.take()

    def finish(self, *, more: bool = False) -> None:
        """The last commit: of a recording, the ends of its sessions too, unless more recordings of them follow."""
        if not more:
            self._appender.finish(set())
        self._commit(DONE, BEGUN if more else DONE)

    def close(self) -> None:
        """Let the writer go."""
        self._writer.close()

    def _good(self, messages: Sequence[Message], parsed: Parsed) -> list[Group]:
        """The rows that are as declared, with the time of the stream at each; the others become bad messages."""
        groups = []
        for topic, batch, numbers in parsed.groups:
            # By when it was received, not by when it is appended: a recording gives the same rows at any later time.
            latest_ns = np.minimum(_received(batch), self._options.clock.now_ns())
            checked = validate(topic, batch, latest_ns)
            for at, reason in zip(checked.rejected.tolist(), checked.reasons, strict=True):
                number = int(numbers[at])
                payload = messages[number - messages[0].number].payload
                parsed.bad.append(Bad(number, reason, payload))
            if checked.good.num_rows:
                groups.append((topic, checked.good, self._times(topic, checked.good)))
        # A group's times are ascending; those of the next commit must not begin before these end.
        self._stream_ns = max([self._stream_ns, *(int(times[-1]) for _, _, times in groups)])
        return groups

    def _add(self, messages: Sequence[Message], parsed: Parsed, groups: list[Group]) -> None:
        self._appender.add(groups)
        self._appender.beside(FEED_EVENTS, self._events(parsed.noticed))
        bad = sorted(parsed.bad, key=lambda one: one.number)
        self._appender.dead_letters(
            [(*self._origin(messages, one.number), one.reason, one.payload) for one in bad]
        )
        self.counts.messages += len(messages)
        self.counts.rejected += len(bad)
        FEED_REJECTED.inc(len(bad))
        for topic, batch, _ in groups:
            rows = self.counts.rows.get(topic.name, 0) + batch.num_rows
            self.counts.rows[topic.name] = rows
            FEED_ROWS.labels(topic.name).inc(batch.num_rows)

    def _commit(self, status: str, of_run: str = "") -> None:
        appended = self._appender.take()
        for topic, times in appended.keys.items():
            self._told.setdefault(topic, {}).update(times)
        self._closed.update(appended.watermarks)
        self._commits += 1
        records: list[NewRecord] = appended.records
        if status == DONE or self._commits % _TOLD_EVERY == 0 or self._options.file:
            files = {}
            if self._options.file is not None:
                key, state = self._options.file
                state.lines, state.status = self.counts.messages, status
                state.rows, state.rejected = sum(self.counts.rows.values()), self.counts.rejected
                files[key] = state
            control = self._ledger.record(
                of_run or status, files=files, keys=self._told, watermarks=self._closed
            )
            records = [*records, control]
            self._told, self._closed = {}, {}
        if records:
            crash_point("feed: before commit")
            self._writer.commit(records, self._writer.number + 1)
            FEED_COMMITS.inc()
            crash_point("feed: committed")

    def _times(self, topic: Topic, batch: pa.RecordBatch) -> Int64s:
        """The time of the stream at each row: what its events have reached, less their lateness.

        A venue's clock that runs ahead must end no session early: no time is beyond the receiving.
        """
        reached = np.minimum(event_times(topic, batch), _received(batch))
        reached -= self._options.lateness_ns
        times: Int64s = np.maximum(np.maximum.accumulate(reached), self._stream_ns)
        return times

    def _behind(self, topic: Topic, batch: pa.RecordBatch) -> list[Noticed]:
        """Symbols whose first row is earlier than what the log has of them."""
        noticed = []
        keys = key_column(topic, batch)
        for code, key in enumerate(keys.dictionary.to_pylist()):
            if (topic.name, key) in self._seen:
                continue
            rows = np.flatnonzero(keys.indices.to_numpy(zero_copy_only=False) == code)
            if not len(rows):
                continue
            self._seen.add((topic.name, key))
            known_ns = self._known.known_ns(topic.name, key)
            first_ns = int(event_times(topic, batch.slice(rows[0], 1))[0])
            if topic.watermarked and known_ns is not None and first_ns < known_ns:
                detail = f"begins at {first_ns} ns, the log has it up to {known_ns} ns"
                noticed.append(
                    Noticed(
                        kind="behind",
                        ts_ns=self._options.clock.now_ns(),
                        stream=topic.name,
                        symbol=key,
                        detail=detail,
                    )
                )
        return noticed

    def _events(self, noticed: Sequence[Noticed]) -> pa.RecordBatch:
        for one in noticed:
            self.counts.events[one.kind] = self.counts.events.get(one.kind, 0) + 1
        times = [one.ts_ns for one in noticed]
        return FEED_EVENTS.batch(
            {
                "source": [self._adapter.source] * len(noticed),
                "ts_event": times,
                "ts_recv": times,
                "kind": [one.kind for one in noticed],
                "stream": [one.stream for one in noticed],
                "symbol": [one.symbol for one in noticed],
                "expected": [one.expected for one in noticed],
                "found": [one.found for one in noticed],
                "detail": [one.detail for one in noticed],
            }
        )

    def _origin(self, messages: Sequence[Message], number: int) -> tuple[str, int]:
        """Where a message is from: a line of the recording, or the source and when it was received."""
        if self._options.file is not None:
            return self._options.file[1].name, number
        return self._adapter.source, messages[number - messages[0].number].recv_ns


def _received(batch: pa.RecordBatch) -> Int64s:
    received: Int64s = batch.column(RECEIVE_TIME).view(pa.int64()).to_numpy(zero_copy_only=False)
    return received
