"""The lander's two sinks: a job is written whole, and written again it changes nothing."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.clickhouse import StoreLink, insert
from connectors.lake_compaction import CompactionUnsupportedError, Compactor
from connectors.lake_control import control_folder, sort_control, write_catalog, write_control
from connectors.landing_faults import (
    LandingError,
    disk_cause,
    lake_refuses,
    refused_by_disk,
    refused_by_store,
)
from connectors.landing_portion import Portion
from connectors.landing_recheck import insert_whole
from connectors.landings import Intent
from connectors.log import TopicConfig
from connectors.metrics import RETRIES
from connectors.parquet import WRITING_FOLDER, FileRange, sort_rows, write_range
from connectors.patience import GivenUpError, Patience
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

    def write(self, job: Job, *, again: bool = False) -> None:
        """Insert the job's rows; returns when they can be read.

        Parameters
        ----------
        job : Job
            What is inserted.
        again : bool
            Whether an earlier lander may have begun with it.

        Raises
        ------
        LandingError
            Where ClickHouse refuses them for good.
        StoreError
            Where it stays away longer than the link's patience.
        """
        topic, rows, intent = job.topic, job.portion.rows, job.intent
        if topic is None or rows is None:
            return
        begun = again

        def try_once(client: Client) -> None:
            nonlocal begun
            repeated, begun = begun, True
            if repeated:
                insert_whole(client, intent, topic, rows)
            else:
                insert(client, topic, rows, intent.token)

        try:
            self._link.run(try_once)
        except DatabaseError as error:
            raise refused_by_store(job.intent, self._link.url, error) from error


class LakeSink:
    """Writes a job as one file a partition and date (month, year), and merges files when there are many.

    Parameters
    ----------
    lake : Path
        Folder of the lake.
    patience : Patience
        How long a full disk is waited for.
    """

    def __init__(self, lake: Path, patience: Patience) -> None:
        self._lake = lake
        self._patience = patience
        # What a killed lander was writing: its intent is open, so it will be written again.
        shutil.rmtree(lake / WRITING_FOLDER, ignore_errors=True)
        try:
            # Both, so that a folder that cannot be written is told before anything is read.
            (lake / WRITING_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise lake_refuses("its folder", lake, error) from error
        self._compactor: Compactor | None = Compactor(lake)
        self._touched: dict[Path, Topic | None] = {}
        self._catalog: dict[str, TopicConfig] = {}

    def note_topics(self, topics: dict[str, TopicConfig]) -> None:
        """Keep how the log keeps its topics, where that is news."""
        if topics == self._catalog:
            return
        try:
            self._patience.run(lambda: write_catalog(self._lake, topics), (OSError,), disk_cause)
        except (OSError, GivenUpError) as error:
            raise lake_refuses("the list of topics", self._lake, error) from error
        self._catalog = topics

    def write(self, job: Job) -> None:
        """Write the job's rows and control rows; returns when they are on disk.

        Raises
        ------
        LandingError
            Where the disk stays full, or cannot be written for another reason.
        """
        try:
            # Written again, a file replaces itself.
            self._patience.run(lambda: self._write(job), (OSError,), disk_cause)
        except (OSError, GivenUpError) as error:
            raise refused_by_disk(job.intent, self._lake, error) from error

    def _write(self, job: Job) -> None:
        portion = job.portion
        for span in portion.spans:
            name = FileRange(span.partition, span.start, span.end - 1)
            rows = _of_partition(portion.rows, span.partition)
            if job.topic is not None and rows is not None and rows.num_rows:
                for path in write_range(self._lake, job.topic, name, rows):
                    self._touched[path.parent] = job.topic
            records = [one for one in portion.records if one.partition == span.partition]
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
            except OSError as error:
                if disk_cause(error) is None:
                    raise LandingError(
                        f"lake {folder}: its files cannot be merged: {error}"
                    ) from error
                # What is there is whole, and is merged another time: the next write waits for space.
                RETRIES.labels("lake", "disk full").inc()
                self._touched[folder] = topic
            except CompactionUnsupportedError as error:
                log_line.warning("compaction_unsupported", reason=str(error))
                self._compactor = None


def _of_partition(rows: pa.Table | None, partition: int) -> pa.Table | None:
    if rows is None:
        return None
    mask = pc.equal(rows.column("_partition"), partition)
    return rows if pc.all(mask).as_py() else rows.filter(mask)
