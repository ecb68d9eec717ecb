"""Lines of numbers into a matrix of integers: for wide or strict text, several times as fast as a CSV reader."""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Bools, Int64s

_COMMA, _MINUS, _POINT, _RETURN, _NEWLINE = 44, 45, 46, 13, 10
_ZERO = np.uint8(48)
# More digits may not fit in an int64.
_DIGITS_MAX = 18
# Unsigned places in the text: a signed one would be asked whether it counts from the end, at every byte.
_ONE = np.uintp(1)


@jit
def parse_integers(
    text: Any, start: int, decimals: int, row: int, values: Int64s, good: Bools
) -> tuple[int, int]:
    """Read whole lines of comma-separated integers until the matrix is full or the text ends.

    Parameters
    ----------
    text : numpy.ndarray of uint8, shape (bytes,)
        The text; what stands behind its last line end is not read.
    start : int
        Where in it the first line begins.
    decimals : int
        Digits behind the point that the first column may have: it is read as its value times ten to the power
        of that. 0 for an integer.
    row : int
        Row of ``values`` that the first line is for.
    values : numpy.ndarray of int64, shape (n, columns)
        Gets the numbers.
    good : numpy.ndarray of bool, shape (n,)
        Gets whether the line has exactly so many columns, each a number of at most 18 digits.

    Returns
    -------
    tuple of int and int
        The row to go on with, and where in the text its line begins.
    """
    columns = values.shape[1]
    begun = np.int64(start)
    stop = len(text)
    while stop > start and text[stop - 1] != _NEWLINE:
        stop -= 1
    at = np.uintp(start)
    end = np.uintp(stop)
    while row < len(values) and at < end:
        column = 0
        fits = True
        while True:
            # A line end stands behind every number: no place in it is beyond the text.
            sign = 1
            if text[at] == _MINUS:
                sign = -1
                at += _ONE
            first = at
            value = np.int64(0)
            digit = np.uint8(text[at] - _ZERO)
            while digit <= 9:
                value = value * 10 + np.int64(digit)
                at += _ONE
                digit = np.uint8(text[at] - _ZERO)
            digits = np.int64(at - first)
            if column == 0 and decimals > 0:
                if digits == 0:
                    fits = False
                left = decimals
                if text[at] == _POINT:
                    at += _ONE
                    digit = np.uint8(text[at] - _ZERO)
                    while digit <= 9 and left > 0:
                        value = value * 10 + np.int64(digit)
                        left -= 1
                        at += _ONE
                        digit = np.uint8(text[at] - _ZERO)
                for _ in range(left):
                    value *= 10
                digits += decimals
            if not 0 < digits <= _DIGITS_MAX or column >= columns:
                fits = False
            else:
                values[row, column] = sign * value
            column += 1
            if text[at] == _COMMA:
                at += _ONE
                continue
            if text[at] == _RETURN:
                at += _ONE
            while text[at] != _NEWLINE:
                # Something else than a number, a comma or the line's end.
                fits = False
                at += _ONE
            at += _ONE
            break
        good[row] = fits and column == columns
        row += 1
        begun = np.int64(at)
    return row, int(begun)
