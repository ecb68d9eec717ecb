"""The lander's two sinks: a job is written whole, and written again it changes nothing."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from connectors.clickhouse import StoreLink, insert
from connectors.lake_compaction import CompactionUnsupportedError, Compactor
from connectors.lake_control import control_folder, sort_control, write_control
from connectors.landing_portion import Portion
from connectors.landings import Intent
from connectors.parquet import WRITING_FOLDER, FileRange, sort_rows, write_range
from schemas.topic import Topic

log_line = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What an intent says, with its rows.

    Parameters
    ----------
    intent : Intent
        Sink, topic, ranges and token.
    topic : Topic or None
        Declaration of the rows; None for a control topic.
    portion : Portion
        All of the intent's ranges.
    """

    intent: Intent
    topic: Topic | None
    portion: Portion


class ClickHouseSink:
    """Inserts a job as one block under its token.

    Parameters
    ----------
    link : StoreLink
        The store.
    """

    def __init__(self, link: StoreLink) -> None:
        self._link = link

    def write(self, job: Job) -> None:
        """Insert the job's rows; returns when they can be read."""
        rows = job.portion.rows
        if job.topic is not None and rows is not None:
            self._link.run(partial(insert, topic=job.topic, rows=rows, token=job.intent.token))


class LakeSink:
    """Writes a job as one file a partition and date, and merges files when there are many.

    Parameters
    ----------
    lake : Path
        Folder of the lake.
    """

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        # What a killed lander was writing: its intent is open, so it will be written again.
        shutil.rmtree(lake / WRITING_FOLDER, ignore_errors=True)
        lake.mkdir(parents=True, exist_ok=True)
        self._compactor: Compactor | None = Compactor(lake)
        self._touched: dict[Path, Topic | None] = {}

    def write(self, job: Job) -> None:
        """Write the job's rows and control rows; returns when they are on disk."""
        portion = job.portion
        for span in portion.spans:
            name = FileRange(span.partition, span.start, span.end - 1)
            rows = _of_partition(portion.rows, span.partition)
            if job.topic is not None and rows is not None and rows.num_rows:
                for path in write_range(self._lake, job.topic, name, rows):
                    self._touched[path.parent] = job.topic
            records = [one for one in portion.records if one.partition == span.partition]
            if records:
                write_control(self._lake, job.intent.topic, name, records)
                self._touched[control_folder(self._lake, job.intent.topic)] = None

    def compact(self) -> None:
        """Merge small files of the folders written since the last time.

        Only while every range whose file is there is recorded as done: a range that is written again
        must replace its own file, and would find it merged away.
        """
        touched, self._touched = self._touched, {}
        for folder, topic in touched.items():
            if self._compactor is None:
                return
            order = sort_control if topic is None else partial(sort_rows, topic)
            try:
                self._compactor.compact(folder, order)
            except CompactionUnsupportedError as error:
                log_line.warning("compaction_unsupported", reason=str(error))
                self._compactor = None


def _of_partition(rows: pa.Table | None, partition: int) -> pa.Table | None:
    if rows is None:
        return None
    mask = pc.equal(rows.column("_partition"), partition)
    return rows if pc.all(mask).as_py() else rows.filter(mask)
