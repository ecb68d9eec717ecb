"""Orders that rest at a venue when a session ends, and what they are filled at in the next one."""

import pytest

from tests.flows.trading.executing import Trader

DAY = 86_400


def resting(calendar: str = "XNYS") -> Trader:
    """A purchase at 90.00 behind 300 others, while the market is at 100."""
    trader = Trader()
    trader.instrument(calendar=calendar)
    trader.at(1).quote(90.00, 300, 100.10, 500)
    trader.order(limit_price="90.00", time_in_force="gtc")
    return trader


@pytest.mark.parametrize("is_first", [False, True])
def test_an_order_that_the_opening_has_left_behind_is_filled_at_what_is_displayed(
    *, is_first: bool
) -> None:
    """As where two shares were made of one over night, and its cancellation has not come yet."""
    trader = resting()
    trader.resume()
    if is_first:
        trader.at(DAY + 1).trade(50.00, 1_000)
    trader.at(DAY + 1).quote(49.90, 500, 50.10, 500)
    assert trader.fills == [("o", "100", "50.1", "removed")]


def test_an_order_joins_the_queue_anew_in_the_morning() -> None:
    trader = resting()
    trader.at(DAY + 1).quote(90.00, 500, 100.10, 500)
    trader.resume()
    # 300 were ahead on the day before.
    trader.at(DAY + 2).trade(90.00, 450)
    assert trader.fills == []
    trader.at(DAY + 3).trade(90.00, 100)
    assert trader.fills == [("o", "50", "90", "added")]


def test_where_there_is_no_night_an_order_keeps_its_place() -> None:
    trader = resting("24/7")
    trader.at(DAY + 1).quote(90.00, 500, 100.10, 500)
    trader.at(DAY + 2).trade(90.00, 350)
    assert trader.fills == [("o", "50", "90", "added")]
