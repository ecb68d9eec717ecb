"""The firm's gross limit is on the sum over its accounts."""

from flows.oms import Oms
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from tests.flows.orders.order_system import OrderSystem, refusal, said


def two_accounts(**firm: object) -> OrderSystem:
    desk = OrderSystem()
    desk.feed(ACCOUNTS, {"account": "B"}, {"account": "*", "max_gross_notional": "8000"} | firm)
    desk.feed(CASH_MOVEMENTS, {"account": "B", "movement_id": "first", "amount": "100000"})
    return desk


def summed(flow: Oms) -> int:
    purses = [one for b in flow._blotters.values() for one in b.account.purses.values()]
    return sum(one.gross for one in purses)


def test_accounts_share_the_firms_gross_limit() -> None:
    desk = two_accounts()
    assert said(desk.new("c1")) == [("accepted", "accepted")]
    desk.restart()
    assert refusal(desk.new("c2", account="B")) == ("firm_gross_notional", "8000", "10000")
    assert said(desk.new("c3", account="B", quantity="60")) == [("accepted", "accepted")]
    # What one gives up the other may have.
    desk.report("cancelled", "c1")
    assert said(desk.new("c4", account="B")) == [("accepted", "accepted")]


def test_what_makes_no_position_larger_passes_the_firms_limit() -> None:
    desk = two_accounts()
    desk.new("c1")
    desk.fill("100")
    desk.feed(ACCOUNTS, {"account": "*", "max_gross_notional": "1000"})
    assert said(desk.new("c2", side="sell")) == [("accepted", "accepted")]


def test_the_sum_is_in_the_firms_currency_and_without_a_rate_nothing_is_added() -> None:
    desk = two_accounts(currency="EUR", max_gross_notional="5000")
    assert refusal(desk.new("c1"))[0] in ("gross_notional", "currency")
    desk.mark("EURUSD", 2.0, 2.0)
    assert said(desk.new("c2")) == [("accepted", "accepted")]
    assert said(desk.new("c3", account="B")) == [("accepted", "accepted")]
    assert refusal(desk.new("c4", limit_price="49.9"))[:2] == ("firm_gross_notional", "5000")


def test_the_total_is_the_sum_of_the_accounts_whatever_happens() -> None:
    desk = two_accounts(max_gross_notional="1000000")
    desk.new("c1")
    desk.new("c2", account="B", quantity="300")
    desk.fill("40")
    desk.mark("AIG", 59.99, 60.01)
    desk.feed(INSTRUMENTS, {"symbol": "AIG", "currency": "EUR"})
    desk.mark("AIG", 59.99, 60.01)
    desk.new("c3", limit_price="59")
    totals = desk.flow._market.totals.values()
    assert sum(one.gross for one in totals) == summed(desk.flow) > 0
