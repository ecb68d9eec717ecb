"""Replacements: what they are checked with, what they tie up until they are answered, and which terms they leave."""

import pytest

from tests.flows.orders.order_system import OrderSystem, refusal, said


def test_the_last_slice_of_an_iceberg_can_have_another_price() -> None:
    desk = OrderSystem()
    desk.new(quantity="1000", display_quantity="300")
    desk.fill("800")
    assert desk.replace(limit_price="49.9") == []
    assert desk.instructions[-1]["display_quantity"] == 300
    # More than the order is to have is refused still.
    assert refusal(desk.replace(quantity="900", display_quantity="901"))[0] == "display_quantity"


def test_the_dearest_terms_that_are_not_answered_yet_stay_tied_up() -> None:
    desk = OrderSystem(type="cash", funded="15100")
    desk.new()
    desk.replace(limit_price="80")
    desk.replace(limit_price="150")
    desk.report("replaced", limit_price="80")
    # The venue may fill it at 150 any moment.
    assert refusal(desk.new("c2", quantity="140")) == ("buying_power", "100", "7000")
    desk.report("replaced", limit_price="150")
    assert refusal(desk.new("c3", quantity="140")) == ("buying_power", "100", "7000")


def test_what_a_refused_replacement_had_tied_up_can_be_spent_again() -> None:
    desk = OrderSystem(type="cash", funded="15100")
    desk.new()
    desk.replace(limit_price="150")
    desk.report("replace_rejected")
    assert said(desk.new("c2", quantity="140")) == [("accepted", "accepted")]


def test_a_trailing_stop_that_is_to_trail_by_a_percentage_trails_by_no_amount() -> None:
    desk = OrderSystem()
    trails = {"order_type": "trailing_stop", "limit_price": None, "trail_amount": "2"}
    desk.new(**trails)
    desk.replace(trail_percent="10")
    sent = desk.instructions[-1]
    assert (sent["trail_amount"], sent["trail_percent"]) == (None, 10)
    desk.replace(quantity="200")
    assert desk.instructions[-1]["trail_percent"] == 10
    desk.replace(trail_amount="3")
    sent = desk.instructions[-1]
    assert (sent["trail_amount"], sent["trail_percent"]) == (3, None)


@pytest.mark.parametrize("name", ["stop_price", "trail_amount", "trail_percent", "peg_offset"])
def test_what_an_order_of_its_type_does_not_have_is_no_replacement(name: str) -> None:
    """It was told as replaced, and nothing of it was."""
    desk = OrderSystem()
    desk.new()
    (event,) = desk.replace(**{name: "1"})
    assert (event["event"], event["check"]) == ("replace_rejected", "replace")
    assert event["reason"] == f"an order of type limit has no {name}"
    assert said(desk.replace(limit_price="49")) == []
