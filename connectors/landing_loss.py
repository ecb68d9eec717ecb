"""What the sinks have beyond a log that lost its tail, and how they are brought back to what the log has.

Rows beyond the end would stand beside others that get the same offsets; and a deduplication token that was
used for lost rows must not be used for new ones. So nothing lands before that is mended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import StoreLink
from connectors.control import LANDINGS_TOPIC, control_record
from connectors.lake_files import by_partition, readable
from connectors.landings import CLICKHOUSE, LAKE, LandingState, read_state
from connectors.log import Log, LogError
from connectors.log_loss import Beyond, is_in_log
from connectors.parquet import CONTROL_FOLDER, FileRange, write_file
from schemas.topic import Topic

# Beyond every intent that a lost record of the lander may have numbered.
_NUMBERS_LOST = 1_000_000_000
# Each costs a read, which on Kafka takes some ten milliseconds.
_COMPARED = 8


class LostTailError(LogError):
    """The sinks hold offsets that the log does not have."""


@dataclass(frozen=True, kw_only=True)
class Excess:
    """What a sink has of a partition from the landed position on.

    Parameters
    ----------
    sink, topic, partition : str, str, int
        Where, of what.
    before : int
        Offsets below it stay.
    count : int
        Rows in ClickHouse, files in the lake.
    """

    sink: str
    topic: str
    partition: int
    before: int
    count: int

    def __str__(self) -> str:
        what = "rows" if self.sink == CLICKHOUSE else "files, cut or removed"
        return f"{self.sink}: {self.topic}[{self.partition}] from offset {self.before} on, {self.count} {what}"


@dataclass(frozen=True, slots=True)
class _Landed:
    """The record of a partition's newest landed row."""

    topic: str
    partition: int
    offset: int
    appended_ns: int


def refuse_lost_tail(log: Log, link: StoreLink, lake: Path, topics: Iterable[Topic]) -> None:
    """End a lander whose log has lost what the sinks hold.

    Raises
    ------
    LostTailError
        Naming the first of them.
    """
    if read_state(log).mending:
        raise LostTailError(
            f"log {log.url}: `tapeflow topics repair --yes` was begun and not finished: run it again before "
            "anything lands"
        )
    found = sinks_beyond(log, link, lake, topics)
    if found:
        raise LostTailError(
            f"{found[0]} ({len(found)} partitions in all). The log {log.url} has lost its newest records, or it "
            "is another one than these rows are of. Nothing was landed: stop every program, look at "
            "`tapeflow topics repair`, and start again when it is mended"
        )


def sinks_beyond(log: Log, link: StoreLink, lake: Path, topics: Iterable[Topic]) -> list[Beyond]:
    """Partitions of which a sink has rows that the log does not: beyond its end, or others at their offsets.

    Others are there where the log went on after it had lost records. Of these the newest tell, for they are
    the first that a log loses; and of each topic the newest, for it may have been deleted and made anew.
    """
    configs = log.topics()
    known = [topic for topic in topics if topic.name in configs]
    found = []
    for who, landed in (
        ("ClickHouse", link.run(lambda client: _in_store(client, known))),
        ("the lake", _in_lake(lake, configs)),
    ):
        inside = [one for one in landed if one.partition < configs[one.topic].partitions]
        in_order = sorted(inside, key=lambda one: one.appended_ns)
        newest = {*in_order[-_COMPARED:], *{one.topic: one for one in in_order}.values()}
        for one in inside:
            place = one.topic, one.partition
            end = log.end(*place)
            if one.offset >= end or (
                one in newest and not is_in_log(log, place, one.offset, one.appended_ns)
            ):
                found.append(
                    Beyond(
                        who=who,
                        topic=one.topic,
                        partition=one.partition,
                        position=one.offset + 1,
                        end=end,
                    )
                )
    return found


def excesses(log: Log, link: StoreLink, lake: Path, topics: Iterable[Topic]) -> list[Excess]:
    """What the sinks hold from their landed positions on: begun, or lost by the log."""
    state = read_state(log)
    configs = log.topics()
    found = []
    for topic in topics:
        if topic.name in configs:
            befores = _befores(log, state, CLICKHOUSE, topic.name)
            counts = link.run(lambda client, t=topic, b=befores: _rows_from(client, t, b))  # type: ignore[misc]
            found += [
                Excess(
                    sink=CLICKHOUSE,
                    topic=topic.name,
                    partition=partition,
                    before=befores[partition],
                    count=rows,
                )
                for partition, rows in sorted(counts.items())
            ]
    for name in configs:
        for partition, before in _befores(log, state, LAKE, name).items():
            files = _files_from(lake, name, partition, before)
            if files:
                found.append(
                    Excess(
                        sink=LAKE, topic=name, partition=partition, before=before, count=len(files)
                    )
                )
    return found


def remove_excess(link: StoreLink, lake: Path, found: Iterable[Excess]) -> None:
    """Take what is too much out of the sinks; done again, it changes nothing."""
    for one in found:
        if one.sink == CLICKHOUSE:
            statement = (
                f"ALTER TABLE `{one.topic}` DELETE WHERE _partition = {one.partition} "
                f"AND _offset >= {one.before} SETTINGS mutations_sync = 2"
            )
            link.run(lambda client, text=statement: client.command(text))  # type: ignore[misc]
            continue
        for path in _files_from(lake, one.topic, one.partition, one.before):
            _cut_file(lake, path, one.before)


def record_mending(log: Log) -> None:
    """Let the lander's own records say that the sinks end where the log, or the landed position, does.

    No lander starts before `record_mended`: the sinks may hold more until then.
    """
    state = read_state(log)
    configs = log.topics()
    for topics in state.positions.values():
        for name in topics.keys() & configs.keys():
            for partition, position in topics[name].items():
                topics[name][partition] = min(position, log.end(name, partition))
    state.open.clear()
    state.number += _NUMBERS_LOST
    state.mending = True
    _record(log, state)


def record_mended(log: Log) -> None:
    """Let landers start again: the sinks hold nothing beyond their positions."""
    state = read_state(log)
    state.mending = False
    _record(log, state)


def _record(log: Log, state: LandingState) -> None:
    log.append([control_record(LANDINGS_TOPIC, 0, state.checkpoint())])


def _befores(log: Log, state: LandingState, sink: str, name: str) -> dict[int, int]:
    befores = {}
    for partition in range(log.topics()[name].partitions):
        position = state.position(sink, name, partition)
        start, end = log.start(name, partition), log.end(name, partition)
        befores[partition] = min(start if position is None else position, end)
    return befores


def _in_store(client: Client, topics: list[Topic]) -> list[_Landed]:
    if not topics:
        return []
    parts = [
        f"SELECT '{topic.name}' AS topic, _partition, max(_offset), "  # noqa: S608 - our own names
        f"toUnixTimestamp64Nano(argMax(_appended, _offset)) FROM `{topic.name}` GROUP BY _partition"
        for topic in topics
    ]
    return [_Landed(*row) for row in client.query(" UNION ALL ".join(parts)).result_rows]


def _rows_from(client: Client, topic: Topic, befores: Mapping[int, int]) -> dict[int, int]:
    wanted = " OR ".join(
        f"(_partition = {partition} AND _offset >= {before})"
        for partition, before in befores.items()
    )
    statement = f"SELECT _partition, count() FROM `{topic.name}` WHERE {wanted} GROUP BY _partition"  # noqa: S608 - our own names and numbers
    return {int(partition): int(rows) for partition, rows in client.query(statement).result_rows}


def _in_lake(lake: Path, names: Iterable[str]) -> list[_Landed]:
    """The last record of each partition, by the control files: each range that landed has one."""
    found = []
    for name in names:
        for partition, files in by_partition(
            (lake / CONTROL_FOLDER / name).glob("*.parquet")
        ).items():
            # A range may have no record at all: then the one before has the newest.
            newest = next((one for file in reversed(files) if (one := _newest(file.path))), None)
            if newest is not None:
                found.append(_Landed(name, partition, *newest))
    return found


def _newest(path: Path) -> tuple[int, int] | None:
    """Offset and append time of the newest record of a control file."""
    with readable(path):
        rows = pq.read_table(path, columns=["offset", "append_time"], partitioning=None)
    if not rows.num_rows:
        return None
    offset = pc.max(rows.column("offset")).as_py()
    last = rows.filter(pc.equal(rows.column("offset"), offset)).column("append_time")
    return offset, last[0].value


def _files_from(lake: Path, name: str, partition: int, before: int) -> list[Path]:
    """Files, of rows and of control, that hold an offset at or beyond ``before``."""
    found = []
    for path in (
        *(lake / name).glob("*=*/*.parquet"),
        *(lake / CONTROL_FOLDER / name).glob("*.parquet"),
    ):
        span = FileRange.of(path.name)
        if span is not None and span.partition == partition and span.last >= before:
            found.append(path)
    return sorted(found)


def _cut_file(lake: Path, path: Path, before: int) -> None:
    """Keep a file's rows below an offset, under the name of what is left; the smaller file comes first."""
    span = FileRange.of(path.name)
    if span is not None and span.first < before:
        with readable(path):
            rows = pq.read_table(path, partitioning=None)
        name = "offset" if "offset" in rows.schema.names else "_offset"
        rest = rows.filter(pc.less(rows.column(name), before))
        if rest.num_rows or path.parent.parent.name == CONTROL_FOLDER:
            write_file(
                lake, path.parent, FileRange(span.partition, span.first, before - 1).name, rest
            )
    path.unlink(missing_ok=True)
