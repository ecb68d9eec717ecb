"""Where an order stands in the queue of its price, as far as the sizes that are displayed tell.

An order joins behind all that is displayed at its price. Trades at the price take from the front. What is
displayed less afterwards, and no trade explains, was cancelled: ahead of us and behind us in proportion to what
stands there. That is the estimate of Rigtorp (2013), "Estimating order queue position", with f(x) = x: the part
that is cancelled ahead is V / (V + max(Q - S - V, 0)) of it; there as here orders are cancelled with equal chance
wherever they stand, as in the queue models of Cont and de Larrard (2013), "Price dynamics in a Markovian limit
order market", SIAM Journal on Financial Mathematics 4, 1-25. Moallemi and Yuan (2017), "A model for queue position
valuation in a limit order book", say what a place is worth. Quotes and trades come in two streams: a trade that is
told behind the quote that it changed counts twice, once as a cancellation.
"""

from typing import Any

from flows.orders.money import ONE


class QueuePosition:
    """An order's place in the queue of one price.

    Parameters
    ----------
    ahead : int or None
        Size ahead; None where nobody says how much stands there.
    displayed : int or None
        Size that others display at the price.
    traded : int
        Size that has traded at the price since that was told.
    """

    __slots__ = ("ahead", "displayed", "traded")

    def __init__(self, ahead: int | None, displayed: int | None, traded: int = 0) -> None:
        self.ahead = ahead
        self.displayed = displayed
        self.traded = traded

    def on_trade(self, size: int) -> int:
        """A trade at the price: how much of it comes to us and those behind us."""
        if self.ahead is None:
            return 0
        reached = max(size - self.ahead, 0)
        self.ahead = max(self.ahead - size, 0)
        self.traded += size
        return reached

    def on_displayed(self, size: int | None) -> None:
        """What others display at the price now; None where nobody says."""
        if size is None:
            return
        if self.ahead is None or self.displayed is None:
            self.ahead = size if self.ahead is None else min(self.ahead, size)
        elif self.ahead:
            before = max(self.displayed - self.traded, self.ahead)
            cancelled = max(before - size, 0)
            if cancelled:
                # Rounded down, to whole shares where there are no others: a place is never thought better
                # than it can be, and nobody fills a part of a share.
                whole = before % ONE == size % ONE == self.ahead % ONE == 0
                step = ONE if whole else 1
                self.ahead -= cancelled * self.ahead // before // step * step
            self.ahead = min(self.ahead, size)
        self.displayed = size
        self.traded = 0

    def saved(self) -> list[Any]:
        """As JSON values; the parameters, in order."""
        return [self.ahead, self.displayed, self.traded]
