"""Text into columns: a line that does not fit costs that line only, wherever it stands."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.feeds.source import Rows
from connectors.feeds.text import Layout, TextSource, read_lines
from schemas.market import TRADES

GOOD = ("1,2.5,N", "77,0.125,P")
BAD = ("x,1,N", "1,1", "1,1,N,2", "", "1,one,N", ",1,N", "99999999999999999999,1,N")


def build(columns: pa.RecordBatch) -> Rows:
    return Rows(batch=columns)


LAYOUT = Layout(
    topic=TRADES,
    columns={"at": pa.int64(), "price": pa.float64(), "venue": pa.string()},
    build=build,
    required=("at", "price"),
)


@settings(max_examples=150)
@given(
    lines=st.lists(st.sampled_from(GOOD + BAD), min_size=1, max_size=60),
    block_bytes=st.sampled_from([1, 50, 1 << 20]),
    after_line=st.integers(0, 70),
)
def test_each_line_is_a_row_or_a_fault_with_its_number(
    tmp_path: Path, lines: list[str], block_bytes: int, after_line: int
) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    blocks = list(TextSource(path, LAYOUT, block_bytes).blocks(after_line))
    rows = {
        int(line): row
        for block in blocks
        for line, row in zip(block.lines, block.rows.batch.to_pylist(), strict=True)
    }
    faults = {fault.line: fault for block in blocks for fault in block.faults}
    wanted = {at + 1: line for at, line in enumerate(lines) if at + 1 > after_line}
    assert sorted([*rows, *faults]) == sorted(wanted)
    for number, line in wanted.items():
        if line in GOOD:
            at, price, venue = line.split(",")
            assert rows[number] == {"at": int(at), "price": float(price), "venue": venue}
        else:
            assert faults[number].text == line.encode()
            assert faults[number].reason
    for block in blocks:
        assert np.array_equal(block.lines, np.sort(block.lines))
        for line in block.lines.tolist():
            assert block.text(line) == lines[line - 1].encode()
    if blocks:
        assert blocks[-1].last_line == len(lines)


def test_a_carriage_return_within_a_line_costs_that_line_only() -> None:
    data = b"1,1.0\n2,2.0\r3,3.0\n4,4.0\r\n"
    layout = Layout(
        topic=TRADES, columns={"a": pa.int64(), "b": pa.float64()}, build=build, required=()
    )
    columns, lines, [fault] = read_lines(data, 1, layout)
    assert (columns.column("a").to_pylist(), lines.tolist()) == ([1, 4], [1, 3])
    assert (fault.line, fault.text) == (2, b"2,2.0\r3,3.0")
