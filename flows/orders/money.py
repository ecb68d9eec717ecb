"""Exact money, quantities and prices: integers scaled by 10**10, as decimal(38, 10) columns hold them.

Amounts are rounded half-even, and only where a function here says so: the consideration of a fill, a part of a cost,
a dividend and a valuation to the currency's minor unit; a quantity after a split, an average and a rate of
exchange at ten decimals.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrays import Bools, Int64s
from schemas.field import DECIMAL

DECIMALS = 10
ONE: int = 10**DECIMALS
"""The number 1."""

LARGEST: int = 10**38 - 1
"""Largest that decimal(38, 10) holds, of either sign."""

_SMALL = 1 << 62

# ISO 4217:2015, list one, and funds codes, by decimals; what is not here is taken for a coin.
_ISO_4217 = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
    HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
    SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD
    USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG ZWL
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {code: digits for digits, codes in _ISO_4217.items() for code in codes.split()}
_COIN = 8


def minor_digits(currency: str) -> int:
    """Decimals of a currency's minor unit.

    Parameters
    ----------
    currency : str
        ISO 4217 code; any other is a coin's, with 8 (the satoshi of Bitcoin).

    Examples
    --------
    >>> [minor_digits(one) for one in ("USD", "JPY", "BHD", "BTC")]
    [2, 0, 3, 8]
    """
    return _DIGITS.get(currency, _COIN)


def known_currencies() -> list[str]:
    """Codes of ISO 4217 that have a minor unit of their own."""
    return sorted(_DIGITS)


def minor_unit(currency: str) -> int:
    """A currency's minor unit, scaled: 100,000,000 (0.01) for USD."""
    return int(10 ** (DECIMALS - minor_digits(currency)))


def divided(numerator: int, denominator: int) -> int:
    """A quotient rounded half-even to an integer.

    Parameters
    ----------
    numerator, denominator : int
        The denominator is above zero.

    Examples
    --------
    >>> [divided(one, 2) for one in (1, 3, 5, -1, -3)]
    [0, 2, 2, 0, -2]
    """
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole & 1):
        return whole + 1
    return whole


def rounded(amount: int, unit: int) -> int:
    """A scaled amount rounded half-even to a multiple of a scaled unit.

    Examples
    --------
    >>> rounded(10_050_000_000, minor_unit("USD"))  # 1.005
    10000000000
    """
    return divided(amount, unit) * unit


def product(quantity: int, price: int, unit: int) -> int:
    """Quantity times price, rounded half-even to a unit; all scaled.

    The consideration of a fill, a dividend and a value, with the unit of `minor_unit`.

    Examples
    --------
    >>> product(3 * ONE, 13_995_000_000, minor_unit("USD")) / ONE
    4.2
    """
    return divided(quantity * price, ONE * unit) * unit


def share(amount: int, part: int, whole: int, unit: int) -> int:
    """``amount * part / whole`` rounded half-even to a unit; exactly the amount where the part is the whole.

    Parameters
    ----------
    amount : int
        Scaled, of either sign.
    part, whole : int
        Of one scale; the whole is above zero.
    unit : int
        Scaled.
    """
    if part == whole:
        return amount
    return divided(amount * part, whole * unit) * unit


def of_float(price: float) -> int:
    """A float64 at ten decimals, rounded half-even from its exact value; scaled.

    Examples
    --------
    >>> of_float(13.995)
    139950000000
    """
    numerator, denominator = price.as_integer_ratio()
    return divided(numerator * ONE, denominator)


def text(scaled: int) -> str:
    """A scaled number in digits, without zeros at its end.

    Examples
    --------
    >>> text(-15 * ONE // 10), text(7 * ONE)
    ('-1.5', '7')
    """
    whole, part = divmod(abs(scaled), ONE)
    fraction = f".{part:010d}".rstrip("0") if part else ""
    return f"{'-' if scaled < 0 else ''}{whole}{fraction}"


def scaled_ints(column: pa.Array) -> list[Any]:
    """The numbers of a decimal(38, 10) column as scaled integers, None for null.

    Raises
    ------
    TypeError
        For a column of another type.
    """
    if column.type != DECIMAL:
        raise TypeError(f"a column of {DECIMAL} was needed, not of {column.type}")
    count = len(column)
    if count == 0:
        return []
    halves = np.frombuffer(column.buffers()[1], np.int64, 2 * count, 16 * column.offset)
    low, high = halves[::2], halves[1::2]
    if column.null_count:
        return _with_nulls(column, low, high)
    # Nearly always the upper half is but the sign of the lower.
    if np.array_equal(high, low >> 63):
        values: list[Any] = low.tolist()
        return values
    return _joined(low, high)


def small_ints(column: pa.Array) -> tuple[Int64s, Bools]:
    """The numbers of a decimal(38, 10) column as scaled int64, and which they are.

    Parameters
    ----------
    column : pyarrow.Decimal128Array
        n numbers.

    Returns
    -------
    values : numpy.ndarray of int64, shape (n,)
        Scaled integers; 0 for what is none of the next.
    is_small : numpy.ndarray of bool, shape (n,)
        Whether the number is at least zero, and below 2**62 when scaled; not so for null.
    """
    count = len(column)
    if column.null_count == count:
        return np.zeros(count, np.int64), np.zeros(count, np.bool_)
    halves = np.frombuffer(column.buffers()[1], np.int64, 2 * count, 16 * column.offset)
    low, high = halves[::2], halves[1::2]
    is_small = (high == 0) & (low >= 0) & (low < _SMALL)
    if column.null_count:
        is_small &= column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(is_small, low, 0), is_small


def _with_nulls(column: pa.Array, low: Any, high: Any) -> list[Any]:
    valid = column.is_valid().to_pylist()
    return [
        value if there else None for value, there in zip(_joined(low, high), valid, strict=True)
    ]


def _joined(low: Any, high: Any) -> list[int]:
    pairs = zip(low.view(np.uint64).tolist(), high.tolist(), strict=True)
    return [(above << 64) + below for below, above in pairs]


def decimal_column(values: Sequence[int | None]) -> pa.Array:
    """Scaled integers as a decimal(38, 10) column, null for None.

    Raises
    ------
    OverflowError
        For one beyond `LARGEST`.
    """
    missing = None
    if None in values:
        missing = np.array([one is not None for one in values], np.bool_)
        values = [one or 0 for one in values]
    halves = _halves(values)
    valid = None if missing is None else pa.array(missing).buffers()[1]
    return pa.Array.from_buffers(DECIMAL, len(values), [valid, pa.py_buffer(halves)])


def decimals(values: Int64s) -> pa.Array:
    """Scaled integers of 64 bits as a decimal(38, 10) column without nulls."""
    halves = np.stack([values, values >> 63], axis=1)
    return pa.Array.from_buffers(DECIMAL, len(values), [None, pa.py_buffer(halves)])


def _halves(values: Sequence[Any]) -> Any:
    halves = np.empty((len(values), 2), np.int64)
    try:
        halves[:, 0] = np.array(values, np.int64)
        halves[:, 1] = halves[:, 0] >> 63
    except OverflowError:
        for at, value in enumerate(values):
            if not -LARGEST <= value <= LARGEST:
                raise OverflowError(f"{text(value)} is more than decimal(38, 10) holds") from None
            bytes_ = int(value).to_bytes(16, "little", signed=True)
            halves[at] = np.frombuffer(bytes_, np.int64)
    return halves
