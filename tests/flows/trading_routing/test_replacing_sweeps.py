"""A replacement that comes while parts of the order are on their way to be filled at once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flows.trading.executing import Trader


def swept(quantity: int = 500) -> Trader:
    """An order to buy at 10.02 or better, of which 200 are on their way to XNYS."""
    trader = Trader(smart_routing=True)
    trader.instrument()
    trader.at(1).quote(10.00, 300, 10.02, 200, "N")
    trader.order(limit_price="10.02", quantity=quantity)
    return trader


def test_it_waits_for_the_parts_and_is_of_what_is_left() -> None:
    trader = swept()
    trader.replace(limit_price="10.01", quantity=400)
    assert trader.reports == ["o routed"]
    trader.at(2).quote(10.00, 300, 10.03, 200, "N")
    assert trader.reports == ["o routed", "o replaced"]
    assert trader.last_report["quantity"] == 400
    filled = sum(row["quantity"] for row in trader.out["executions"])
    assert filled == 200
    # The rest stands at the new limit, not at the old one.
    trader.at(3).quote(10.00, 300, 10.02, 200, "N")
    assert sum(row["quantity"] for row in trader.out["executions"]) == filled
    trader.at(4).quote(10.00, 300, 10.01, 900, "N")
    trader.at(5).quote(10.00, 300, 10.01, 800, "N")
    assert sum(row["quantity"] for row in trader.out["executions"]) == 400


def test_one_that_asks_for_no_more_than_was_filled_meanwhile_is_refused() -> None:
    trader = swept()
    trader.replace(limit_price="10.02", quantity=150)
    trader.at(2).quote(10.00, 300, 10.03, 200, "N")
    assert trader.reports == ["o routed", "o replace_rejected"]
    assert trader.last_report["reason"] == "so much is filled already"


def test_one_of_an_order_that_the_parts_fill_came_too_late() -> None:
    trader = swept(200)
    trader.replace(limit_price="10.02", quantity=900)
    trader.at(2).quote(10.00, 300, 10.03, 200, "N")
    assert trader.reports == ["o routed", "o replace_rejected"]
    assert trader.last_report["reason"] == "it came too late"


def test_they_keep_their_order_and_outlive_a_restart() -> None:
    trader = swept()
    for quantity in (450, 400, 350):
        trader.replace(limit_price="10.02", quantity=quantity)
    trader.resume()
    trader.at(2).quote(10.00, 300, 10.03, 200, "N")
    told = [row for row in trader.out["order_reports"] if row["report"] == "replaced"]
    assert [int(row["quantity"]) for row in told] == [450, 400, 350]


def test_a_cancellation_behind_it_refuses_it() -> None:
    trader = swept()
    trader.replace(limit_price="10.01", quantity=400)
    trader.cancel()
    trader.at(2).quote(10.00, 300, 10.03, 200, "N")
    assert sorted(trader.reports) == ["o cancelled", "o replace_rejected", "o routed"]
    assert trader.last_report["filled_quantity"] == 200


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("replace"), st.integers(1, 900), st.integers(998, 1004)),
        st.tuples(st.just("quote"), st.integers(1, 400), st.integers(1000, 1004)),
        st.tuples(st.just("cut"), st.just(0), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=60)
@given(_STEPS)
def test_every_replacement_is_answered_once_and_no_more_is_filled_than_was_ever_asked(
    steps: list[tuple[str, int, int]],
) -> None:
    trader = swept()
    asked, most = 0, 500
    for at, (what, much, cents) in enumerate(steps):
        if what == "replace":
            trader.replace(limit_price=f"{cents / 100:.2f}", quantity=much)
            asked, most = asked + 1, max(most, much)
        elif what == "quote":
            trader.at(2 + at).quote(9.97, 100, cents / 100, much, "NQK"[at % 3])
        else:
            trader.resume()
    trader.at(60).quote(9.97, 100, 10.20, 100, "N")
    trader.cancel()
    trader.at(61).quote(9.97, 200, 10.20, 100, "N")
    answers = [one for one in trader.reports if one.split()[1].startswith("replace")]
    assert len(answers) == asked
    filled = sum(row["quantity"] for row in trader.out["executions"])
    assert filled <= most
    assert trader.flow._context.working == 0
