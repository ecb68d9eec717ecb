"""Merging: the stream is the files' rows in order of time, none lost, each file's own order kept."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.feeds.merge import MergeInput, Part, combine, cut_all, faults, merge
from connectors.feeds.source import Fault, FeedBatch
from schemas.field import TIMESTAMP
from schemas.market import QUOTES, TRADES

# Of each file: blocks of times; a row is known by its file and line.
Files = list[list[list[int]]]


def file_batches(number: int, blocks: list[list[int]]) -> Iterator[FeedBatch]:
    topic = TRADES if number % 2 else QUOTES
    line = 0
    for times in blocks:
        lines = np.arange(line + 1, line + 1 + len(times), dtype=np.int64)
        line += len(times) + 1
        columns = {
            "symbol": pa.array([f"F{number}"] * len(times), pa.string()),
            "venue": pa.array([str(at) for at in lines.tolist()], pa.string()),
            "ts_event": pa.array(times, pa.int64()).view(TIMESTAMP),
            "ts_recv": pa.array(times, pa.int64()).view(TIMESTAMP),
        }
        if topic is TRADES:
            columns |= {
                "price": pa.array([1.0] * len(times), pa.float64()),
                "size": pa.array([1.0] * len(times), pa.float64()),
                "action": pa.array(["new"] * len(times), pa.string()),
            }
            for flag in ("updates_high_low", "updates_last", "updates_volume"):
                columns[flag] = pa.array([True] * len(times), pa.bool_())
        # Every block ends with a line that is no row.
        yield FeedBatch(
            topic=topic,
            batch=topic.batch(columns),
            lines=lines,
            faults=(Fault(line, "bad", b""),),
            last_line=line,
        )


def inputs(files: Files) -> list[MergeInput]:
    return [
        MergeInput(
            first_ns=min((time for block in blocks for time in block), default=0),
            batches=lambda number=number, blocks=blocks: file_batches(number, blocks),
        )
        for number, blocks in enumerate(files)
    ]


def rows(slices: list[list[Part]]) -> dict[str, list[tuple[int, int, int]]]:
    """Topic to its rows: file, line, time of the stream."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for parts in slices:
        for topic, batch, times in combine(parts):
            names = batch.column("symbol").to_pylist()
            lines = batch.column("venue").to_pylist()
            found.setdefault(topic.name, []).extend(
                (int(name[1:]), int(line), int(time))
                for name, line, time in zip(names, lines, times, strict=True)
            )
    return found


some_files = st.lists(
    st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=4), min_size=1, max_size=5
)


@settings(max_examples=300)
@given(files=some_files)
def test_every_row_comes_once_in_order_of_time_and_of_its_file(files: Files) -> None:
    slices = list(merge(inputs(files)))
    got = rows(slices)
    wanted: dict[str, list[tuple[int, int, int]]] = {"quotes": [], "trades": []}
    for number, blocks in enumerate(files):
        line, latest = 0, -1
        for block in blocks:
            for time in block:
                line += 1
                latest = max(latest, time)
                wanted["trades" if number % 2 else "quotes"].append((number, line, latest))
            line += 1
    for topic, rows_wanted in wanted.items():
        # Python's sort is stable: by time, then by file, then by line.
        in_order = sorted(rows_wanted, key=lambda row: (row[2], row[0]))
        assert got.get(topic, []) == in_order


@settings(max_examples=200)
@given(files=some_files)
def test_faults_come_once_and_lines_tell_how_far_each_file_is(files: Files) -> None:
    done = dict.fromkeys(range(len(files)), 0)
    seen: list[tuple[int, int]] = []
    for parts in merge(inputs(files)):
        for part in parts:
            reached = [*part.rows.lines.tolist(), *(fault.line for fault in part.rows.faults)]
            assert all(done[part.file] < line <= part.rows.last_line for line in reached)
            done[part.file] = part.rows.last_line
        seen += [(file, fault.line) for file, fault in faults(parts)]
    ends = [
        (number, int(end))
        for number, blocks in enumerate(files)
        for end in np.cumsum([len(block) + 1 for block in blocks])
    ]
    assert sorted(seen) == ends
    assert done == {
        number: sum(len(block) + 1 for block in blocks) for number, blocks in enumerate(files)
    }


@settings(max_examples=100)
@given(files=some_files, cuts=st.lists(st.integers(0, 31), max_size=4))
def test_cutting_parts_at_any_time_changes_nothing(files: Files, cuts: list[int]) -> None:
    whole = list(merge(inputs(files)))
    pieces: list[list[Part]] = []
    for parts in whole:
        rest = parts
        for cut in sorted(cuts):
            head, rest = cut_all(rest, cut)
            pieces.append(head)
        pieces.append(rest)
    assert rows(pieces) == rows(whole)
    for number in range(len(files)):
        assert of_file(faults_of(pieces), number) == of_file(faults_of(whole), number)


def faults_of(slices: list[list[Part]]) -> list[tuple[int, Fault]]:
    return [found for parts in slices for found in faults(parts)]


def of_file(found: list[tuple[int, Fault]], number: int) -> list[int]:
    return [fault.line for file, fault in found if file == number]


def test_a_file_is_opened_only_when_the_stream_comes_to_it() -> None:
    opened: list[int] = []

    def batches(number: int) -> Iterator[FeedBatch]:
        opened.append(number)
        for block in range(3):
            yield from file_batches(
                number, [[number * 100 + block * 10, number * 100 + block * 10 + 5]]
            )

    days = [
        MergeInput(first_ns=number * 100, batches=lambda number=number: batches(number))
        for number in range(4)
    ]
    first = next(merge(days))
    assert first[0].file == 0
    assert opened == [0]
    opened.clear()
    order = [part.file for parts in merge(days) for part in parts]
    assert order == sorted(order)
    assert opened == [0, 1, 2, 3]
