"""Lines of numbers: equal to Python's own reading, whatever is in them and wherever they are cut."""

import random
import re
from decimal import Decimal

import numpy as np
import pytest

from flows.kernels.integer_text import parse_integers

COLUMNS = 3
_NUMBER = re.compile(r"-?\d{1,18}")
_DECIMAL = re.compile(r"-?(\d{1,9})(\.\d{0,9})?")


def plain(line: str, decimals: int) -> list[int] | None:
    """The numbers of a line, or None where it is not good."""
    parts = line.removesuffix("\r").split(",")
    if len(parts) != COLUMNS:
        return None
    kinds = [_DECIMAL if decimals else _NUMBER, _NUMBER, _NUMBER]
    if not all(kind.fullmatch(part) for kind, part in zip(kinds, parts, strict=True)):
        return None
    first = int(Decimal(parts[0]).scaleb(decimals))
    return [first, int(parts[1]), int(parts[2])]


def parsed(text: str, rows: int, decimals: int, cut: int) -> tuple[int, list[list[int] | None]]:
    """Rows read and their numbers, from the text in two pieces."""
    values, good = np.zeros((rows, COLUMNS), np.int64), np.zeros(rows, np.bool_)
    data = np.frombuffer(text.encode(), np.uint8)
    row, at = parse_integers(data[:cut], 0, decimals, 0, values, good)
    row, at = parse_integers(data, at, decimals, row, values, good)
    assert at == 0 or data[at - 1] == ord("\n")
    return row, [values[i].tolist() if good[i] else None for i in range(row)]


def drawn_line(drawn: random.Random, decimals: int) -> str:
    def number() -> str:
        return drawn.choice(("0", "7", "-3", "5800000", "-9999999999", "9" * 18, "1" * 19))

    first = drawn.choice(("34200.017459617", "0.5", "12", "7.", "-1.25")) if decimals else number()
    line = f"{first},{number()},{number()}"
    if drawn.random() < 0.4:
        at = drawn.randrange(len(line) + 1)
        line = line[:at] + drawn.choice(("x", "-", ",", "", " ", ".", "\r")) + line[at:]
    return line + drawn.choice(("", "", "\r"))


@pytest.mark.parametrize("decimals", [0, 9])
@pytest.mark.parametrize("seed", range(20))
def test_lines_are_read_as_python_reads_them_wherever_the_text_is_cut(
    seed: int, decimals: int
) -> None:
    drawn = random.Random(seed)
    lines = [drawn_line(drawn, decimals) for _ in range(60)]
    text = "".join(f"{line}\n" for line in lines)
    want = [plain(line, decimals) for line in lines]
    row, got = parsed(text, len(lines), decimals, drawn.randrange(len(text)))
    assert row == len(lines)
    assert got == want
    # Where there are more lines than room, those behind are left.
    assert parsed(text, 10, decimals, 0)[1] == want[:10]


def test_a_line_without_its_end_is_left() -> None:
    row, got = parsed("1,2,3\n4,5,", 5, 0, 0)
    assert (row, got) == (1, [[1, 2, 3]])
    assert parsed("", 5, 0, 0) == (0, [])
