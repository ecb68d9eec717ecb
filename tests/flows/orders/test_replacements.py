"""Replacements: what they are checked with, what they tie up until they are answered, and which terms they leave."""

from tests.flows.orders.order_system import OrderSystem, refusal


def test_the_last_slice_of_an_iceberg_can_have_another_price() -> None:
    desk = OrderSystem()
    desk.new(quantity="1000", display_quantity="300")
    desk.fill("800")
    assert desk.replace(limit_price="49.9") == []
    assert desk.instructions[-1]["display_quantity"] == 300
    # More than the order is to have is refused still.
    assert refusal(desk.replace(quantity="900", display_quantity="901"))[0] == "display_quantity"
