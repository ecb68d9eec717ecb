"""What the order ticket can say is what the contract takes."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flows.trading.algorithms import ALGORITHMS as KINDS
from flows.trading.algorithms.parameters import wrong_params
from flows.trading.algorithms.worked import Worked
from schemas.order_fields import ALGORITHMS, LOT_METHODS, ORDER_TYPES, SIDES, TIMES_IN_FORCE
from schemas.orders import ORDERS
from serving.dashboard import page

Attributes = dict[str, str | None]


class _Ticket(HTMLParser):
    """The controls of the ticket: their names, the choices of each, and what an algorithm begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.choices: dict[str, list[str]] = {}
        self.params: dict[str, str] = {}
        self._inside = False
        self._name = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Attributes = dict(attrs)
        self._inside = self._inside or given.get("id") == "ticket"
        if not self._inside:
            return
        if tag in ("input", "select", "textarea"):
            self._name = given["name"] or ""
            self.names.add(self._name)
            if given.get("type") == "radio":
                self.choices.setdefault(self._name, []).append(given["value"] or "")
        elif tag == "option":
            value = given.get("value") or ""
            self.choices.setdefault(self._name, []).append(value)
            if given.get("data-params"):
                self.params[value] = given["data-params"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


@pytest.fixture(scope="module")
def ticket() -> _Ticket:
    found = _Ticket()
    found.feed((Path(page.__file__).parent / "static" / "index.html").read_text())
    return found


def test_every_control_is_a_field_of_an_order(ticket: _Ticket) -> None:
    assert ticket.names <= {field.name for field in ORDERS.fields}


def test_all_that_a_client_can_say_of_a_new_order_is_in_the_ticket(ticket: _Ticket) -> None:
    platforms = {"ts_event", "ts_recv", "command", "order_id", "user", "correlation_id"}
    # The ticket makes it up, so that a retry is the same order.
    made = {"client_order_id"}
    assert {field.name for field in ORDERS.fields} - platforms - made == ticket.names


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("side", SIDES),
        ("order_type", ORDER_TYPES),
        ("time_in_force", TIMES_IN_FORCE),
        ("algorithm", ALGORITHMS),
        ("lot_method", LOT_METHODS),
        ("order_class", ORDERS.field("order_class").allowed),
        ("peg", ORDERS.field("peg").allowed),
    ],
)
def test_the_choices_are_the_words_of_the_contract(
    ticket: _Ticket, name: str, allowed: tuple[str, ...]
) -> None:
    assert sorted(set(ticket.choices[name]) - {""}) == sorted(allowed)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_begins_with_parameters_that_it_takes(ticket: _Ticket, name: str) -> None:
    kind = KINDS[name]
    assert issubclass(kind, Worked)
    assert wrong_params(name, kind.params_type, json.loads(ticket.params[name])) is None
