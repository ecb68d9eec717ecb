"""Binance's numbers of trades and of best quotes: what is missing, and what came before.

Trades of a symbol are numbered one by one, so a number left out is a lost trade. Best quotes have the book's update
numbers, which only grow: one that does not grow is old. Depth follows rules of its own (`connectors.feeds.binance_depth`).
"""

from typing import Any

from connectors.feeds.messages import Notice
from connectors.feeds.sequence import Found, Numbers

# A number so much smaller than the last is no message that came late: the venue counts anew.
_ANEW = 2


class BinanceNumbers:
    """Follows the numbers of all symbols over a wire; ``tickers`` are the last ones of their book tickers."""

    def __init__(self) -> None:
        self._trades: dict[tuple[str, str], Numbers] = {}
        self.tickers: dict[str, int] = {}

    def take_trade(self, at: int, trade: dict[str, Any], notices: list[Notice]) -> bool:
        """Whether a ``trade`` or ``aggTrade`` is new; what is not as it should be is noticed.

        Parameters
        ----------
        at : int
            Index of the message.
        trade : dict
            The decoded message.
        notices : list of Notice
            Added to.
        """
        kind, symbol = trade["e"], trade["s"]
        number = _number(trade["t" if kind == "trade" else "a"])
        numbers = self._trades.get((kind, symbol))
        if numbers is None or number * _ANEW < numbers.expected:
            numbers = self._trades[kind, symbol] = Numbers()
        expected = numbers.expected
        found = numbers.take(number)
        if found is Found.NEXT:
            return True
        notices.append(
            Notice(
                at=at,
                kind=_KINDS[found],
                symbol=symbol,
                stream=kind,
                expected=expected,
                found=number,
            )
        )
        return found is not Found.TWICE

    def take_ticker(self, ticker: dict[str, Any]) -> bool:
        """Whether a ``bookTicker`` is newer than the last one of its symbol."""
        symbol, number = ticker["s"], _number(ticker["u"])
        last = self.tickers.get(symbol, -1)
        if number <= last <= number * _ANEW:
            return False
        self.tickers[symbol] = number
        return True


_KINDS = {Found.AHEAD: "gap", Found.LATE: "gap_filled", Found.TWICE: "duplicate"}


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r}; a whole number was needed")
    return value
