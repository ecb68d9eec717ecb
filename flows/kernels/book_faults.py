"""Where a kernel writes a fault of a book."""

from typing import Any

import numpy as np

from flows.kernels.book_state import FAULTS_AT
from flows.kernels.jit import jit_in_place
from schemas.arrays import Int64s


@jit_in_place
def write_fault(
    books: Any,
    book: int,
    row: int,
    kind: int,
    resolution: int,
    known: float,
    faults: Any,
    counts: Int64s,
) -> None:
    """Write a fault down, the next sequence number with it, and number it within its book.

    There must be room.
    """
    books[book].faults += 1
    fault = faults[counts[FAULTS_AT]]
    fault.row = row
    fault.book = book
    fault.number = books[book].faults
    fault.kind = kind
    fault.resolution = resolution
    fault.known = known
    fault.expected = np.uint64(books[book].sequence) + np.uint64(1)
    counts[FAULTS_AT] += 1
