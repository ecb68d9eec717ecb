"""Rates of exchange from marks of currency pairs: EURUSD, EUR/USD, EUR-USD or EUR.USD is dollars for a euro."""

from collections.abc import Mapping

from flows.orders.money import LARGEST, ONE, divided, of_float

_BETWEEN = ("", "/", "-", ".")

# Pairs that all other currencies have a pair with, in order of how many.
PIVOTS = ("USD", "EUR", "USDT")


def fx_rate(currency: str, target: str, marks: Mapping[str, float]) -> int | None:
    """What one unit of a currency is in another.

    Parameters
    ----------
    currency, target : str
        Codes as in symbols of pairs.
    marks : mapping of str to float
        Symbol to price.

    Returns
    -------
    int or None
        Scaled (`flows.orders.money`), rounded half-even at ten decimals: by the pair itself, else by the pair the
        other way round, else by way of the dollar or the euro. None where no mark tells, or the rate is none that
        can be written.

    Examples
    --------
    >>> [fx_rate(*pair, {"EURUSD": 1.25}) for pair in (("EUR", "USD"), ("USD", "EUR"))]
    [12500000000, 8000000000]
    """
    if currency == target:
        return ONE
    found = _by_pair(currency, target, marks)
    if found is not None:
        return found
    for pivot in PIVOTS:
        if pivot in (currency, target):
            continue
        first = _by_pair(currency, pivot, marks)
        second = _by_pair(pivot, target, marks)
        if first is not None and second is not None:
            return _usable(divided(first * second, ONE))
    return None


def _by_pair(currency: str, target: str, marks: Mapping[str, float]) -> int | None:
    for between in _BETWEEN:
        price = marks.get(f"{currency}{between}{target}")
        if price is not None:
            return _usable(of_float(price))
    for between in _BETWEEN:
        price = marks.get(f"{target}{between}{currency}")
        if price is not None:
            inverse = of_float(price)
            return _usable(divided(ONE * ONE, inverse)) if inverse else None
    return None


def _usable(rate: int) -> int | None:
    return rate if 0 < rate <= LARGEST else None
