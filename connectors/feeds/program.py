"""All of `tapeflow feed`: outside files into topics, in order, validated, once.

Files are found and their formats detected; what was fed before, or is older than what its symbol already
has, is refused before anything is appended; the files are merged by event time and appended with watermark
rows. Rows, dead letters, watermark rows and the control record that says how far each file has come are one
commit, so that a feed that is killed and started again goes on where it stopped.

Symbols may be fed one after another in any order. Files of one symbol and day (its quotes and its trades)
belong in one call: at its end the symbol's sessions are closed in every raw market topic.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from connectors.crash_points import crash_point
from connectors.feeds.admission import FeedFile, admit, find_files, fingerprint, open_files
from connectors.feeds.append import Appender
from connectors.feeds.detect import Found
from connectors.feeds.ledger import (
    BEGUN,
    BROKEN,
    DONE,
    FileState,
    Ledger,
    LedgerWriter,
    RunState,
    read_ledger,
    writer_name,
)
from connectors.feeds.merge import MergeInput, Part, combine, cut_all, faults, merge
from connectors.feeds.options import FeedOptions, FeedProgress, FeedSummary, FileSummary
from connectors.feeds.pace import Pace
from connectors.feeds.reading import batches
from connectors.feeds.source import BrokenFileError, FeedBatch
from connectors.log import Log, Writer
from connectors.metrics import FEED_COMMITS, FEED_REJECTED, FEED_ROWS

# Rows of a commit at full speed: enough that the commit's own cost is small beside theirs.
_COMMIT_ROWS = 1 << 16


def feed(
    log: Log,
    paths: Sequence[Path],
    options: FeedOptions,
    on_progress: Callable[[FeedProgress], None] | None = None,
) -> FeedSummary:
    """Feed files and folders into the log's raw topics.

    Parameters
    ----------
    log : Log
        With its topics made (`connectors.topics.create_topics`).
    paths : sequence of pathlib.Path
        Files, or folders (searched through).
    options : FeedOptions
        How.
    on_progress : callable or None
        Called after every commit.

    Returns
    -------
    FeedSummary
        Files, rows, dead letters.

    Raises
    ------
    FeedError
        Before anything is appended: unknown format, empty file, fed before, older than what is there.
    FencedError
        Where another call that has one of the files was started meanwhile, and goes on with it.
    BrokenFileError
        At the end: a file broke off; its good lines before that, and all other files, were fed.
    """
    found = find_files(paths, options)
    files = open_files(found)
    name = fingerprint(files, options)
    # The writer is opened first: it fences an earlier copy of this feed that still runs.
    with log.writer(writer_name(name)) as writer:
        ledger = read_ledger(log)
        run = ledger.unfinished(name) or RunState(run=f"{name}:{writer.number}")
        # Refused before anything is appended, where that is known already.
        admit(files, ledger, run, options)
        appender = Appender(
            log,
            calendar=options.calendar,
            ts_recv=options.ts_recv,
            live=options.live,
            batch_rows=options.batch_rows,
            clock=options.clock,
            end_ns=options.end_ns,
        )
        ledger_writer = LedgerWriter(log, ledger, run.run)
        _claim(log, writer, ledger, ledger_writer, files)
        admission = admit(files, ledger, ledger.runs[run.run], options)
        appender.go_on(admission.open_keys)
        feeding = _Feeding(
            ledger=ledger_writer,
            files=files,
            options=options,
            appender=appender,
            writer=writer,
            took=admission.took,
            on_progress=on_progress,
        )
        feeding.work()
    if feeding.broken:
        raise BrokenFileError(_broken_message(files, feeding.broken))
    return feeding.summary(found)


def _claim(
    log: Log, writer: Writer, ledger: Ledger, ledger_writer: LedgerWriter, files: Sequence[FeedFile]
) -> None:
    """Take the files from other calls that feed one of them, running or killed; the ledger is then current.

    All claims stand in one partition. Of two calls the later one sees the earlier one's claim and fences its
    writer: from then on that can commit no row, and what it has committed is in the ledger.
    """
    keys = [file.key for file in files]
    record = ledger_writer.record(BEGUN, files={}, keys={}, watermarks={}, claims=keys)
    (claimed,) = writer.commit([record], writer.number + 1)
    ledger.refresh(log, claimed + 1)
    for rival in ledger.rivals(ledger_writer.run, keys):
        log.writer(rival.writer).close()
    ledger.refresh(log)


class _Feeding:
    """The work of one call, and its counts."""

    def __init__(
        self,
        *,
        ledger: LedgerWriter,
        files: list[FeedFile],
        options: FeedOptions,
        appender: Appender,
        writer: Writer,
        took: dict[str, list[str]],
        on_progress: Callable[[FeedProgress], None] | None,
    ) -> None:
        self._took = took
        self._ledger = ledger
        self._files = files
        self._options = options
        self._appender = appender
        self._writer = writer
        self._on_progress = on_progress
        self._touched: dict[str, FileState] = {}
        self._rows: dict[str, int] = {}
        self._rejected = 0
        self._commits = 0
        self._ts_event_ns = 0
        self.broken: dict[int, BrokenFileError] = {}

    def work(self) -> None:
        """Feed all files."""
        # A first record names all files, so that a copy killed before its first rows is resumed too.
        self._touched = {file.key: file.state for file in self._files}
        self._commit(BEGUN)
        inputs = [
            MergeInput(
                first_ns=min(file.first_ns.values(), default=0),
                batches=lambda at=at: self._batches(at),  # type: ignore[misc]
            )
            for at, file in enumerate(self._files)
            if file.state.status == BEGUN
        ]
        stream = merge(inputs)
        if self._options.speed is None:
            self._at_full_speed(stream)
        else:
            self._paced(stream, self._options.speed)
        self._finish()

    def summary(self, found: Found) -> FeedSummary:
        """What was done."""
        return FeedSummary(
            files=tuple(
                FileSummary(
                    name=file.state.name,
                    part=file.state.part,
                    topic=file.state.topic,
                    lines=file.state.lines,
                    rows=file.state.rows,
                    rejected=file.state.rejected,
                    status=file.state.status,
                    skipped=file.state.skipped,
                    note=file.note,
                )
                for file in self._files
            ),
            skipped=tuple((str(path), why) for path, why in found.skipped),
            rows=self._rows,
            rejected=self._rejected,
            commits=self._commits,
        )

    def _batches(self, at: int) -> Iterator[FeedBatch]:
        file = self._files[at]
        try:
            yield from batches(
                file.source,
                after_line=file.state.lines,
                window=self._options.window,
                latest_ns=self._options.clock.now_ns(),
            )
        except BrokenFileError as error:
            self.broken[at] = error

    def _at_full_speed(self, stream: Iterator[list[Part]]) -> None:
        held: list[Part] = []
        rows = 0
        for parts in stream:
            held += parts
            rows += sum(part.rows.batch.num_rows for part in parts)
            if rows >= _COMMIT_ROWS:
                self._add(held)
                self._commit(BEGUN)
                held, rows = [], 0
        self._add(held)

    def _paced(self, stream: Iterator[list[Part]], speed: float) -> None:
        pace: Pace | None = None
        for given in stream:
            parts = given
            while parts:
                times = [int(part.times[0]) for part in parts if len(part.times)]
                next_ns = min(times, default=self._ts_event_ns)
                if pace is None:
                    pace = Pace(self._options.clock, speed, next_ns)
                # Rows of the very time that is due go too.
                due, parts = cut_all(parts, pace.due_ns() + 1)
                if due:
                    self._add(due)
                    self._commit(BEGUN)
                else:
                    pace.nap(next_ns)

    def _add(self, parts: list[Part]) -> None:
        groups = combine(parts)
        self._appender.add(groups)
        self._appender.dead_letters(
            [
                (self._files[at].state.label, fault.line, fault.reason, fault.text)
                for at, fault in faults(parts)
            ]
        )
        for part in parts:
            file = self._files[part.file]
            file.state.lines = part.rows.last_line
            file.state.rows += part.rows.batch.num_rows
            file.state.rejected += len(part.rows.faults)
            for reason, lines in part.rows.skipped.items():
                if len(lines):
                    counts = file.state.skipped
                    counts[reason] = counts.get(reason, 0) + len(lines)
            self._rejected += len(part.rows.faults)
            FEED_REJECTED.inc(len(part.rows.faults))
            self._touched[file.key] = file.state
        for topic, batch, times in groups:
            self._rows[topic.name] = self._rows.get(topic.name, 0) + batch.num_rows
            FEED_ROWS.labels(topic.name).inc(batch.num_rows)
            self._ts_event_ns = max(self._ts_event_ns, int(times[-1]))

    def _finish(self) -> None:
        for at, file in enumerate(self._files):
            file.state.status = BROKEN if at in self.broken else DONE
            self._touched[file.key] = file.state
        broken_keys = {key for at in self.broken for key in self._files[at].first_ns}
        self._appender.finish(broken_keys)
        self._commit(DONE)

    def _commit(self, status: str) -> None:
        appended = self._appender.take()
        control = self._ledger.record(
            status,
            files=self._touched,
            keys=appended.keys,
            watermarks=appended.watermarks,
            took=self._took,
        )
        crash_point("feed: before commit")
        self._writer.commit([*appended.records, control], self._writer.number + 1)
        crash_point("feed: committed")
        self._touched, self._took = {}, {}
        self._commits += 1
        FEED_COMMITS.inc()
        if self._on_progress is not None:
            self._on_progress(
                FeedProgress(
                    rows=sum(self._rows.values()),
                    rejected=self._rejected,
                    bytes_done=sum(file.source.bytes_done for file in self._files),
                    bytes_total=sum(file.source.bytes_total for file in self._files),
                    ts_event_ns=self._ts_event_ns,
                )
            )


def _broken_message(files: list[FeedFile], broken: dict[int, BrokenFileError]) -> str:
    told = [
        f"{error}; {files[at].state.rows} rows up to line {files[at].state.lines} are in the log, its last "
        "session is left open: feed a whole copy with --from the time behind them"
        for at, error in sorted(broken.items())
    ]
    return "; ".join(told)
