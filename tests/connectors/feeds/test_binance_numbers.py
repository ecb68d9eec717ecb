"""Numbers of Binance's trades and best quotes: lost, late, repeated, counted anew."""

from typing import Any

import pytest

from connectors.feeds.binance_numbers import BinanceNumbers
from connectors.feeds.messages import Notice


def trade(number: int, symbol: str = "BTCUSDT", kind: str = "trade") -> dict[str, Any]:
    return {"e": kind, "s": symbol, ("t" if kind == "trade" else "a"): number}


def test_trades_of_a_symbol_are_numbered_one_by_one_whatever_others_do() -> None:
    numbers, notices = BinanceNumbers(), list[Notice]()
    came = [
        trade(100),
        trade(7, "ETHUSDT"),
        trade(101),
        trade(500, kind="aggTrade"),
        trade(104),
        trade(8, "ETHUSDT"),
        trade(103),
        trade(103),
        trade(501, kind="aggTrade"),
        trade(105),
    ]
    kept = [numbers.take_trade(at, one, notices) for at, one in enumerate(came)]
    assert kept == [True] * 7 + [False] + [True] * 2
    assert notices == [
        Notice(at=4, kind="gap", symbol="BTCUSDT", stream="trade", expected=102, found=104),
        Notice(at=6, kind="gap_filled", symbol="BTCUSDT", stream="trade", expected=105, found=103),
        Notice(at=7, kind="duplicate", symbol="BTCUSDT", stream="trade", expected=105, found=103),
    ]


def test_a_venue_that_counts_anew_is_followed() -> None:
    numbers, notices = BinanceNumbers(), list[Notice]()
    assert all(numbers.take_trade(0, trade(number), notices) for number in (10**9, 3, 4))
    assert notices == []
    assert all(numbers.take_ticker({"s": "A", "u": number}) for number in (10**9, 3, 4))


def test_a_best_quote_that_is_not_newer_is_old() -> None:
    numbers = BinanceNumbers()
    came = [("A", 10), ("A", 12), ("A", 12), ("B", 11), ("A", 11), ("A", 13), ("A", 0)]
    kept = [numbers.take_ticker({"s": symbol, "u": number}) for symbol, number in came]
    # 0 is so far behind that it begins a new count.
    assert kept == [True, True, False, True, False, True, True]


@pytest.mark.parametrize("number", ["7", 7.0, True, -1, 2**63, None])
def test_a_number_that_is_none_is_an_error(number: Any) -> None:
    with pytest.raises(ValueError, match="a whole number was needed"):
        BinanceNumbers().take_trade(0, trade(number), [])
    with pytest.raises(ValueError, match="a whole number was needed"):
        BinanceNumbers().take_ticker({"s": "A", "u": number})
