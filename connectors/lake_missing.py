"""Says which file of the lake should have had a record's rows and is not there."""

from pathlib import Path

from connectors.log import Log
from connectors.parquet import FileRange, period_folders, topic_files
from connectors.records import decode_rows, event_times
from schemas.topic import Topic


def missing_files(log: Log, lake: Path, topic: Topic, partition: int, offset: int) -> str:
    """The folders that lack a file with a record's offset, in words; empty where none does.

    Where the log no longer has the record, its dates are not known, and only that no file at all has the
    offset can be said.
    """
    covering = {
        path.parent
        for path in topic_files(lake, topic)
        if (span := FileRange.of(path.name)) is not None
        and span.partition == partition
        and span.first <= offset <= span.last
    }
    folder = lake / topic.name
    if offset < log.start(topic.name, partition):
        return "" if covering else f"no file under {folder} has offset {offset} in its name's range"
    records = log.read(topic.name, partition, offset, max_bytes=1).records
    if not records or records[0].offset != offset:
        return ""
    times = event_times(topic, decode_rows(topic, records[0]))
    wanted = {folder / name for name in period_folders(topic, times).tolist()}
    lacking = sorted(str(one) for one in wanted - covering)
    if not lacking:
        return ""
    return f"{', '.join(lacking)}: the file {partition}-…-….parquet with offset {offset} is gone"
