"""Cuts the tail of a SQLite log at one moment, in all partitions, so that what is left fits together.

For a copy that no program uses (`connectors.sqlite_repair.drafted`): a log in use is never cut at its end.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from connectors.clock import CLOCK_TOPIC
from connectors.control import LANDINGS_TOPIC, control_value, progress_topic
from connectors.log import open_log
from connectors.sqlite_file import connect
from connectors.sqlite_log import path_of
from connectors.sqlite_rows import table

_PROGRESS = progress_topic("")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What was cut off a partition: offsets ``first`` to ``last``."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        count = self.last - self.first + 1
        return (
            f"{self.topic}[{self.partition}]: offsets {self.first} to {self.last}, {count} records"
        )


def cut_from(url: str, time_ns: int) -> list[Cut]:
    """Delete every record appended at or after a time; the lander's own records stay.

    Those say what the sinks hold, and a later step brings the sinks back. The clock's state is dropped: it
    is made again from the log.

    Parameters
    ----------
    url : str
        Of a log that nobody has open.
    time_ns : int
        Append time, ns since 1970 UTC.
    """
    cuts = []
    with closing(connect(path_of(url))) as connection:
        places = connection.execute("SELECT id, topic, partition FROM partitions").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        for number, topic, partition in sorted(places, key=lambda one: one[1:]):
            if topic == LANDINGS_TOPIC:
                continue
            found = _cut_partition(connection, number, 0 if topic == CLOCK_TOPIC else time_ns)
            if found is not None and topic != CLOCK_TOPIC:
                cuts.append(Cut(topic=topic, partition=partition, first=found[0], last=found[1]))
        connection.execute("COMMIT")
    return cuts


def number_writers(url: str) -> None:
    """Let each flow's writer have the number of its last progress record, as if no commit had followed."""
    numbers: dict[str, int] = {}
    with open_log(url) as log:
        for name, config in log.topics().items():
            if name.startswith(_PROGRESS):
                for shard in range(config.partitions):
                    last = log.last(name, shard)
                    number = 0 if last is None else int(control_value(last)["number"])
                    numbers[f"{name.removeprefix(_PROGRESS)}/{shard}"] = number
    with closing(connect(path_of(url))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for writer, number in numbers.items():
            connection.execute(
                "INSERT INTO writers (name, number, generation) VALUES (?, ?, 1) "
                "ON CONFLICT (name) DO UPDATE SET number = excluded.number, generation = generation + 1",
                (writer, number),
            )
        connection.execute("COMMIT")


def _cut_partition(
    connection: sqlite3.Connection, number: int, time_ns: int
) -> tuple[int, int] | None:
    """Delete the tail of a partition; its first and last offset, or None where nothing is so late."""
    first, last = connection.execute(
        f"SELECT min(record_offset), max(record_offset) FROM {table(number)} WHERE append_time_ns >= ?",  # noqa: S608 - an integer of ours
        (time_ns,),
    ).fetchone()
    if first is None:
        return None
    connection.execute(f"DELETE FROM {table(number)} WHERE record_offset >= ?", (first,))  # noqa: S608 - an integer of ours
    return first, last
