"""Reads flat Avro records of one schema into columns, bounded by each record's own bytes.

Binary encoding of Apache Avro 1.12, section "Data Serialization": records are their fields in order; int and
long are zig-zag varints; float and double little-endian; bytes and string a length and the bytes; a union its
branch's number and the value.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Int64s

NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, FIXED, ENUM = range(9)
# What a record may be broken by; 0 is none.
ENDS_EARLY, LONG_VARINT, NO_BRANCH, NO_SYMBOL, BAD_LENGTH, OUT_OF_RANGE, NO_BOOLEAN, BYTES_LEFT = (
    range(1, 9)
)

_INT_MAX = 2**31 - 1
_INT_MIN = -(2**31)


@jit
def read_records(
    data: Any, starts: Int64s, ends: Int64s, kinds: Any, null_branch: Any, sizes: Int64s
) -> tuple[Any, Any, Any, Any, Any]:
    """Read n records of c fields.

    Parameters
    ----------
    data : numpy.ndarray of uint8
        All bytes.
    starts, ends : numpy.ndarray of int64, shape (n,)
        Where each record is.
    kinds : numpy.ndarray of int64, shape (c,)
        `NULL` … `ENUM`.
    null_branch : numpy.ndarray of int64, shape (c,)
        Which branch of a union of two is null; -1 where the field is no union.
    sizes : numpy.ndarray of int64, shape (c,)
        Bytes of a FIXED, symbols of an ENUM.

    Returns
    -------
    values : numpy.ndarray of int64, shape (c, n)
        The number, the bits of a float, the symbol, or where the bytes begin.
    lengths : numpy.ndarray of int64, shape (c, n)
        Count of bytes, of BYTES and FIXED.
    valid : numpy.ndarray of bool, shape (c, n)
        False where null.
    faults, at : numpy.ndarray of int64, shape (n,)
        What breaks each record, 0 for nothing, and in which field; c where behind the last.
    """
    count, fields = len(starts), len(kinds)
    values = np.zeros((fields, count), np.int64)
    lengths = np.zeros((fields, count), np.int64)
    valid = np.zeros((fields, count), np.bool_)
    faults = np.zeros(count, np.int64)
    at = np.zeros(count, np.int64)
    for row in range(count):
        place, end = starts[row], ends[row]
        fault = 0
        for field in range(fields):
            kind = kinds[field]
            if null_branch[field] >= 0:
                branch, place, fault = _varint(data, place, end)
                if fault == 0 and (branch < 0 or branch > 1):
                    fault = NO_BRANCH
                if fault == 0 and branch == null_branch[field]:
                    continue
            if fault == 0 and kind != NULL:
                value, length, place, fault = _value(data, place, end, kind, sizes[field])
                values[field, row] = value
                lengths[field, row] = length
                valid[field, row] = True
            if fault:
                at[row] = field
                break
        if fault == 0 and place != end:
            fault = BYTES_LEFT
            at[row] = fields
        faults[row] = fault
    return values, lengths, valid, faults, at


@jit
def _value(data: Any, place: int, end: int, kind: int, size: int) -> Any:
    """Value, length, next place and fault."""
    if kind == BOOLEAN:
        return _wide(data, place, end, 1)
    if kind == FLOAT:
        return _wide(data, place, end, 4)
    if kind == DOUBLE:
        return _wide(data, place, end, 8)
    if kind == FIXED:
        return _fixed(place, end, size)
    number, place, fault = _varint(data, place, end)
    if fault != 0:
        return 0, 0, place, fault
    return _checked(number, place, end, kind, size)


@jit
def _fixed(place: int, end: int, size: int) -> Any:
    # Compared by what is left: a sum could overflow.
    if size > end - place:
        return 0, 0, place, ENDS_EARLY
    return place, size, place + size, 0


@jit
def _wide(data: Any, place: int, end: int, width: int) -> Any:
    """The bits of a boolean, float or double: so many bytes, little-endian."""
    if place + width > end:
        return 0, 0, place, ENDS_EARLY
    if width == 1 and data[place] > 1:
        return 0, 0, place, NO_BOOLEAN
    bits = np.uint64(0)
    for byte in range(width):
        bits |= np.uint64(data[place + byte]) << np.uint64(8 * byte)
    return np.int64(bits), 0, place + width, 0


@jit
def _checked(number: int, place: int, end: int, kind: int, size: int) -> Any:
    """What a varint says, where it may: a number, a symbol, or a length with the bytes behind it."""
    fault = 0
    length = 0
    if kind == BYTES:
        if number < 0:
            fault = BAD_LENGTH
        elif number > end - place:
            fault = ENDS_EARLY
        else:
            length = number
            number = place
    elif kind == ENUM and (number < 0 or number >= size):
        fault = NO_SYMBOL
    elif kind == INT and (number > _INT_MAX or number < _INT_MIN):
        fault = OUT_OF_RANGE
    return number, length, place + length, fault


@jit
def _varint(data: Any, place: int, end: int) -> Any:
    """A zig-zag number of at most 64 bits, the next place, and the fault."""
    bits = np.uint64(0)
    shift = np.uint64(0)
    while True:
        if place >= end:
            return 0, place, ENDS_EARLY
        byte = np.uint64(data[place])
        place += 1
        # The tenth byte has the last bit.
        if shift == np.uint64(63) and byte > np.uint64(1):
            return 0, place, LONG_VARINT
        bits |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            break
        shift += np.uint64(7)
    return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), place, 0


@jit
def gather(data: Any, starts: Int64s, lengths: Int64s, out: Any) -> None:
    """Copy n pieces of bytes one behind the other."""
    at = 0
    for row in range(len(starts)):
        for byte in range(lengths[row]):
            out[at + byte] = data[starts[row] + byte]
        at += lengths[row]


@jit
def widen(data: Any, starts: Int64s, lengths: Int64s, out: Any) -> None:
    """Big-endian two's complement numbers of at most 16 bytes as little-endian ones of 16, shape (n, 16)."""
    for row in range(len(starts)):
        length = lengths[row]
        negative = length > 0 and data[starts[row]] >= 128
        for byte in range(16):
            if byte < length:
                out[row, byte] = data[starts[row] + length - 1 - byte]
            else:
                out[row, byte] = 255 if negative else 0
