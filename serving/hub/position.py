"""A position of a topic as text: ``0:1200,1:88.40``, the next row to read of each partition.

``88.40`` is row 40 of the record at offset 88; without the point it is the record's first row.
"""

import re
from collections.abc import Mapping

Next = tuple[int, int]
"""Offset of a record and row in it."""

LATEST = "latest"
"""In place of a position: the newest row of each group comes first, and then what follows it."""

_ONE = re.compile(r"([0-9]{1,5}):([0-9]{1,18})(?:\.([0-9]{1,6}))?")


class PositionError(ValueError):
    """A text that is no position of the topic."""


def position_text(position: Mapping[int, Next]) -> str:
    """The position as text.

    Examples
    --------
    >>> position_text({1: (88, 40), 0: (1200, 0)})
    '0:1200,1:88.40'
    """
    return ",".join(
        f"{partition}:{offset}.{row}" if row else f"{partition}:{offset}"
        for partition, (offset, row) in sorted(position.items())
    )


def position_of(text: str, partitions: int) -> dict[int, Next]:
    """The position that a text says.

    Parameters
    ----------
    text : str
        As `position_text` makes it.
    partitions : int
        Of the topic: each must be named once.

    Raises
    ------
    PositionError
        Where it is something else.
    """
    found: dict[int, Next] = {}
    for part in text.split(","):
        match = _ONE.fullmatch(part)
        if match is None or int(match[1]) in found:
            raise PositionError("a position is like 0:1200,1:88.40, each partition once")
        found[int(match[1])] = (int(match[2]), int(match[3] or 0))
    if set(found) != set(range(partitions)):
        raise PositionError(f"the topic has the partitions 0 to {partitions - 1}, each is needed")
    return found
