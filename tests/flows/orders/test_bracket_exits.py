"""A bracket's exits from the first fill of its entry on, and fills that are told twice."""

import pytest

from flows.orders.money import ONE
from flows.orders.order import Order
from tests.flows.orders.order_system import OrderSystem, Row, order_id, said

ENTRY = order_id("c1")


def sent(desk: OrderSystem, since: int = 0) -> list[tuple[str, str, int]]:
    """Action, exit and quantity of instructions."""
    return [
        (one["action"], one["order_id"].removeprefix(ENTRY), int(one["quantity"]))
        for one in desk.instructions[since:]
    ]


def known(desk: OrderSystem, exit_: str) -> Order:
    return desk.flow._blotters["A"].known.orders[ENTRY + exit_]


def replaced(desk: OrderSystem, exit_: str, quantity: int) -> None:
    price = {"limit_price": "55"} if exit_ == "-tp" else {"stop_price": "45"}
    desk.report("replaced", exit=exit_, quantity=quantity, **price)


def test_exits_come_at_the_first_fill_and_grow_with_the_entry() -> None:
    desk = OrderSystem()
    desk.bracket()
    assert said(desk.fill("40")) == [
        ("partially_filled", "partially_filled"),
        ("accepted", "accepted"),
        ("accepted", "accepted"),
    ]
    assert sent(desk, 1) == [("new", "-tp", 40), ("new", "-sl", 40)]
    desk.fill("30")
    assert sent(desk, 3) == [("replace", "-tp", 70), ("replace", "-sl", 70)]
    # While that is not answered no more is asked for: many small fills would be too many replacements.
    desk.fill("10")
    desk.fill("20")
    assert sent(desk, 5) == []
    replaced(desk, "-tp", 70)
    assert sent(desk, 5) == [("replace", "-tp", 100)]
    replaced(desk, "-sl", 70)
    replaced(desk, "-tp", 100)
    replaced(desk, "-sl", 100)
    assert sent(desk, 6) == [("replace", "-sl", 100)]


def test_a_fill_of_one_exit_counts_when_the_other_grows() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("10", "55", exit="-tp", side="sell")
    assert (known(desk, "-sl").quantity, sent(desk, 3)) == (30 * ONE, [])
    desk.fill("60")
    # Of both together; the execution knows better what the other one has of it by then.
    assert sent(desk, 3) == [("replace", "-tp", 100), ("replace", "-sl", 100)]
    desk.fill("20", "55", exit="-tp", side="sell")
    replaced(desk, "-sl", 100)
    assert known(desk, "-sl").quantity == 70 * ONE


def test_an_exit_that_ends_cancels_what_is_left_of_the_entry() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("40", "55", exit="-tp", side="sell")
    assert sent(desk, 3) == [("cancel", "", 100), ("cancel", "-sl", 40)]


def test_an_exit_that_is_cancelled_for_the_others_fill_says_so() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    desk.fill("100", "55", exit="-tp", side="sell")
    told = desk.report("cancelled", exit="-sl")
    assert [(one["event"], one["reason"]) for one in told] == [
        ("cancelled", "exit c1-tp was filled")
    ]


def test_a_client_can_name_an_exit_as_it_was_told_that_it_is_called() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    called = {one["client_order_id"] for one in desk.events}
    assert called == {"c1", "c1-tp", "c1-sl"}
    desk.replace("c1-sl", stop_price="46")
    desk.cancel("c1-tp")
    assert sent(desk, 3) == [("replace", "-sl", 40), ("cancel", "-tp", 40)]
    # What no exit is called is told as unknown, under what an order of that name would have.
    (told,) = desk.cancel("c2-sl")
    assert (told["event"], told["order_id"]) == ("cancel_rejected", order_id("c2-sl"))


def test_a_client_order_of_the_name_of_an_exit_is_meant_before_it() -> None:
    desk = OrderSystem(self_trade_allowed=True)
    desk.new("c1-tp2")
    desk.bracket()
    desk.fill("40")
    desk.cancel("c1-tp2")
    assert desk.instructions[-1]["order_id"] == order_id("c1-tp2")


def test_what_is_filled_behind_that_has_exits_of_its_own() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("40", "55", exit="-tp", side="sell")
    desk.report("cancelled", exit="-sl")
    desk.restart()
    desk.fill("25")
    assert sent(desk, 5) == [("new", "-tp2", 25), ("new", "-sl2", 25)]
    desk.report("cancelled", filled_quantity="65")
    assert sent(desk, 7) == []


def test_a_client_order_of_the_name_of_further_exits_is_left_alone() -> None:
    desk = OrderSystem(self_trade_allowed=True)
    desk.new("c1-sl2")
    desk.bracket()
    desk.fill("40")
    desk.fill("40", "55", exit="-tp", side="sell")
    desk.report("cancelled", exit="-sl")
    desk.fill("25")
    assert [one[1] for one in sent(desk)[-2:]] == ["-tp3", "-sl3"]


def test_an_exit_that_was_filled_before_it_could_grow_leaves_the_other_the_rest() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    assert sent(desk, 3) == [("replace", "-tp", 100), ("replace", "-sl", 100)]
    desk.fill("40", "55", exit="-tp", side="sell")
    # Its 40 were all that the venue had of it.
    desk.report("replace_rejected", exit="-tp", filled_quantity="40")
    replaced(desk, "-sl", 100)
    profit, loss = known(desk, "-tp"), known(desk, "-sl")
    assert (profit.status, loss.status) == ("filled", "accepted")
    assert (loss.quantity, loss.cancelling) == (60 * ONE, False)


def test_an_exit_that_the_other_has_left_nothing_is_not_filled_by_that() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    desk.fill("40", "55", exit="-tp", side="sell")
    # What comes is of before it has grown: it is as if it had no quantity.
    told = desk.report("triggered", exit="-sl", quantity="40")
    assert said(told) == [("triggered", "accepted")]
    assert said(desk.report("expired", exit="-sl", quantity="40")) == [("expired", "expired")]


def test_an_exit_grows_after_a_replacement_that_was_refused_meanwhile() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.replace("", order_id=f"{ENTRY}-sl", stop_price="44")
    desk.fill("60")
    assert sent(desk, 3) == [("replace", "-sl", 40), ("replace", "-tp", 100)]
    desk.report("replace_rejected", exit="-sl", quantity="40", stop_price="45")
    assert sent(desk, 5) == [("replace", "-sl", 100)]
    # The same once more would be refused likewise, and so on.
    desk.report("replace_rejected", exit="-sl", quantity="40", stop_price="45")
    assert sent(desk, 6) == []


@pytest.mark.parametrize("first", ["fill", "end"])
def test_what_is_left_when_both_exits_have_ended_has_exits_of_its_own(first: str) -> None:
    """The stop was reached before either could grow: the execution has taken the other out of the market for it."""
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    desk.restart()
    for what in ("fill", "end") if first == "fill" else ("end", "fill"):
        if what == "fill":
            desk.fill("40", "45", exit="-sl", side="sell")
            desk.report("replace_rejected", exit="-sl", quantity="40", filled_quantity="40")
        else:
            desk.report("replace_rejected", exit="-tp", quantity="40")
            desk.report("cancelled", exit="-tp", quantity="40", reason="exit c1-sl was triggered")
    made = [one for one in sent(desk) if one[0] == "new"]
    assert made[-2:] == [("new", "-tp2", 60), ("new", "-sl2", 60)]
    assert len(made) == 5
    assert known(desk, "-tp").status == "cancelled"
    assert known(desk, "-sl").status == "filled"


def test_an_exit_that_is_taken_out_for_the_others_stop_leaves_it_whenever_that_is_told() -> None:
    """Told behind the stop's first fill, it looked like one that a client had cancelled, and took the stop with it."""
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    replaced(desk, "-sl", 100)
    desk.fill("40", "45", exit="-sl", side="sell")
    desk.report("replace_rejected", exit="-tp", quantity="40")
    desk.report("cancelled", exit="-tp", quantity="40", reason="exit c1-sl was triggered")
    assert [one for one in sent(desk) if one[0] == "cancel"] == []
    desk.fill("60", "45", exit="-sl", side="sell")
    assert known(desk, "-sl").status == "filled"
    assert [one for one in sent(desk) if one[1] == "-tp2"] == []


def reasons(events: list[Row]) -> list[tuple[str, str | None]]:
    return [(one["event"], one["reason"]) for one in events]


@pytest.mark.parametrize(("refused", "other"), [("-tp", "-sl"), ("-sl", "-tp")])
def test_an_exit_that_its_venue_refuses_leaves_the_other_which_is_told(
    refused: str, other: str
) -> None:
    """It took the other with it: the position was left without any."""
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    told = desk.report("rejected", exit=refused, reason="no stops here")
    assert reasons(told) == [("rejected", f"no stops here; exit c1{other} stays, alone")]
    assert sent(desk, 3) == [("cancel", "", 100)]
    desk.restart()
    # What is filled before the entry is cancelled has a pair of its own.
    desk.fill("60")
    assert sent(desk, 4) == [("new", "-tp2", 60), ("new", "-sl2", 60)]
    desk.fill("40", "50", exit=other, side="sell")
    assert sent(desk, 6) == []
    assert desk.events[-1]["status"] == "filled"


def test_an_exit_that_is_cancelled_unasked_leaves_the_other_and_one_that_was_cancelled_does_not() -> (
    None
):
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    told = desk.report("cancelled", exit="-sl")
    assert reasons(told) == [
        ("cancelled", "its venue ended it unasked; exit c1-tp stays, alone"),
    ]
    assert sent(desk, 3) == []
    desk.bracket("c2")
    desk.fill("100", client="c2")
    desk.cancel("", order_id=order_id("c2") + "-sl")
    desk.report("cancelled", client="c2", exit="-sl")
    last = desk.instructions[-1]
    assert (last["action"], last["client_order_id"]) == ("cancel", "c2-tp")


def test_the_exit_that_stays_has_all_that_the_refused_one_has_not_filled() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    desk.fill("30", "55", exit="-tp", side="sell")
    told = desk.report("rejected", exit="-tp", filled_quantity="30")
    assert reasons(told) == [
        ("cancelled", "its venue ended it unasked; exit c1-sl stays, alone"),
    ]
    assert sent(desk, 3) == []
    desk.fill("70", "45", exit="-sl", side="sell")
    assert desk.events[-1]["status"] == "filled"


def test_an_oco_ends_when_both_its_exits_were_refused_and_the_second_says_that_none_is_left() -> (
    None
):
    desk = OrderSystem()
    desk.bracket(order_class="oco", side="sell_short", locate_id="l")
    desk.report("rejected", exit="-tp", reason="why")
    told = desk.report("rejected", exit="-sl", reason="why")
    assert reasons(told) == [
        ("rejected", "why; no exit is left"),
        ("rejected", "why; no exit is left"),
    ]
    assert [one["order_id"].removeprefix(ENTRY) for one in told] == ["-sl", ""]


def test_fills_of_an_exit_ask_for_nothing_of_the_other_which_is_told() -> None:
    """Each was to be a replacement: many small ones were more than the execution lets wait."""
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    for left in range(99, 59, -1):
        told = desk.fill("1", "55", exit="-tp", side="sell")
        assert [(one["event"], one["quantity"]) for one in told[1:]] == [("replaced", left)]
    assert sent(desk, 3) == []
    assert known(desk, "-sl").quantity == 60 * ONE


@pytest.mark.parametrize("order", ["open", "ended", "unknown"])
def test_a_fill_that_is_told_twice_is_booked_once_and_told(order: str) -> None:
    desk = OrderSystem()
    desk.new("c1", quantity="100")
    client = "c2" if order == "unknown" else "c1"
    quantity = "100" if order == "ended" else "40"
    desk.fill(quantity, client=client, execution_id="x")
    account = desk.flow._blotters["A"].account
    held, cash = account.holdings["AIG"].quantity, account.purses["USD"].cash
    desk.restart()
    account = desk.flow._blotters["A"].account
    (event,) = desk.fill(quantity, client=client, execution_id="x")
    assert (event["event"], event["execution_id"]) == ("report_rejected", "x")
    assert event["reason"] == "execution x was told before: it is booked once"
    assert (account.holdings["AIG"].quantity, account.purses["USD"].cash) == (held, cash)
    if order == "open":
        assert event["filled_quantity"] == 40
        assert said(desk.fill("60", execution_id="y")) == [("filled", "filled")]


def test_accounts_share_no_executions() -> None:
    desk = OrderSystem()
    desk.fill("10", client="c9", execution_id="x")
    desk.fill("10", client="c9", execution_id="x", account="B")
    assert desk.flow._blotters["B"].account.holdings["AIG"].quantity == 10 * 10**10
