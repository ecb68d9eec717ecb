"""Ticket and blotter by themselves, in a real browser: what is sent, and how orders stand, whatever the server answers."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.serving.dashboard.desk import call

# A server in place of fetch: it answers each request with the next of some statuses (0: not at all), and remembers it.
SERVER = """const sent = [];
  window.fetch = async (address, { method, body }) => {
    sent.push([method, address.pathname, body === undefined ? null : JSON.parse(body)]);
    const status = statuses.shift();
    if (!status) throw new TypeError("no answer");
    return new Response(JSON.stringify({ order_id: "O-1", passes: true, detail: "said" }), { status });
  };"""
TICKET = """const ticket = new module.Ticket(() => {});
  const { elements } = ticket.form;
  const done = () => new Promise((seen) => new MutationObserver(seen).observe(ticket.answer, { childList: true }));
  ticket.setAccounts(["ALPHA"]);
  elements.symbol.value = "AIG";"""

# What a cell without a value says.
NONE = "\u2013"


@pytest.fixture
def blank(page: Page, served: str) -> Page:
    """A page at which nobody is signed in, with its panels in sight."""
    page.goto(served)
    page.evaluate("document.getElementById('panels').hidden = false")
    return page


def _placed(page: Page, presses: list[str], statuses: list[int]) -> list[str]:
    """The client order ids with which a ticket goes to the server, press by press."""
    body = f"""async (module, [presses, statuses]) => {{
      {SERVER}
      {TICKET}
      for (const press of presses) {{
        const told = done();
        document.getElementById(press).click();
        await told;
      }}
      return sent.map(([, , order]) => order.client_order_id);
    }}"""
    found: list[str] = call(page, "ticket.js", body, [presses, statuses])
    return found


@pytest.mark.parametrize(("pressed", "refused"), [("place-order", 429), ("check-order", 422)])
def test_an_order_that_may_have_arrived_keeps_its_id_whatever_is_refused_meanwhile(
    blank: Page, pressed: str, refused: int
) -> None:
    """A retry that the rate limit refused, or a check, gave it another: placed once more it was a second order."""
    ids = _placed(blank, ["place-order", pressed, "place-order"], [0, refused, 201])
    assert len(ids) == 3
    assert len(set(ids)) == 1


@pytest.mark.parametrize("status", [201, 409])
def test_the_next_order_has_an_id_of_its_own(blank: Page, status: int) -> None:
    assert len(set(_placed(blank, ["place-order"] * 2, [status, 201]))) == 2


def test_what_was_typed_into_a_field_that_is_hidden_now_neither_goes_along_nor_holds_the_order_back(
    blank: Page,
) -> None:
    """A limit of 1,000 held a market order back in silence, under the words that the order before it was sent."""
    body = f"""async (module, statuses) => {{
      {SERVER}
      {TICKET}
      const change = (name, value) => {{
        elements[name].value = value;
        elements[name].dispatchEvent(new Event("change", {{ bubbles: true }}));
      }};
      change("order_type", "limit");
      change("limit_price", "1,000");
      change("order_type", "market");
      const told = done();
      document.getElementById("place-order").click();
      await Promise.race([told, new Promise((late) => setTimeout(late, 5000))]);
      change("order_type", "limit");
      return [sent.map(([, , order]) => Object.keys(order)), elements.limit_price.value];
    }}"""
    (sent, kept) = call(blank, "ticket.js", body, [201])
    assert len(sent) == 1
    assert "limit_price" not in sent[0]
    assert kept == "1,000"


def test_a_wrong_value_in_what_is_folded_is_shown(blank: Page) -> None:
    body = f"""async (module, statuses) => {{
      {SERVER}
      {TICKET}
      elements.display_quantity.value = "1,000";
      document.getElementById("place-order").click();
      await new Promise((shown) => setTimeout(shown, 500));
      return [sent.length, document.activeElement.name];
    }}"""
    assert call(blank, "ticket.js", body, [201]) == [0, "display_quantity"]


def _order(number: int, **others: Any) -> dict[str, Any]:
    names = {"order_id": f"O-{number}", "symbol": "AIG", "side": "buy", "account": "ALPHA"}
    kind = {"order_type": "limit", "time_in_force": "gtc", "limit_price": "10"}
    filled = {"filled_quantity": "0", "quantity": str(number), "average_price": None}
    received = {"ts_received": f"2026-01-02T10:00:00.{number:09d}Z", "ts_event": None}
    return {**names, **kind, **filled, **received, "status": "working", **others}


def _listed(page: Page, pages: dict[str, Any]) -> list[str]:
    """The orders that a blotter shows, by what the server lists: all, and those that are open."""
    body = """async (module, pages) => {
      window.fetch = async (address) =>
        new Response(JSON.stringify({ cursor: null, ...pages[address.searchParams.get("status") ?? "all"] }));
      const blotter = new module.Blotter(() => true);
      await blotter.load("ALPHA");
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const more = document.getElementById("blotter-more");
      return [...[...document.querySelectorAll("#blotter tr")].map((line) => line.dataset.key), more.hidden ? "" : more.innerText];
    }"""
    found: list[str] = call(page, "blotter.js", body, pages)
    return found


def test_an_open_order_that_is_older_than_all_that_are_listed_is_shown(blank: Page) -> None:
    """It was not: the page said that there were no open orders."""
    pages = {"all": {"orders": [_order(2, status="filled")]}, "open": {"orders": [_order(1)]}}
    assert _listed(blank, pages) == ["O-2", "O-1", ""]
    pages["open"]["cursor"] = "O-1"
    assert _listed(blank, pages)[-1] == "Of ALPHA there may be older open orders than these."


def test_an_exit_stands_with_the_order_that_it_is_of(blank: Page) -> None:
    """Nobody has sent it, so it stood below all others, and was cut off where there were many."""
    exit_ = _order(9, parent_order_id="O-2", ts_received=None)
    pages = {"all": {"orders": [_order(3), exit_, _order(2), _order(1)]}, "open": {"orders": []}}
    assert _listed(blank, pages)[:-1] == ["O-3", "O-9", "O-2", "O-1"]


def test_the_list_has_limit_and_stop_as_they_are_now(blank: Page) -> None:
    """Of a stop order the list said no price at all, and of a trailing one not where it had come to."""
    body = """async (module, [orders, rows]) => {
      window.fetch = async () => new Response(JSON.stringify({ cursor: null, orders }));
      const blotter = new module.Blotter(() => true);
      await blotter.load("ALPHA");
      blotter.take(rows);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const table = document.getElementById("blotter").closest("table");
      const of = (line) => Object.fromEntries([...line.cells].map((cell, at) => [table.tHead.rows[0].cells[at].innerText, cell.innerText]));
      return [...table.tBodies[0].rows].map(of).map((cells) => [cells.Type, cells.Limit, cells.Stop, cells.Average]);
    }"""
    stop = _order(3, order_type="stop", limit_price=None, stop_price="9.5")
    both = _order(2, order_type="stop_limit", stop_price="1234.5678")
    trailing = _order(1, order_type="trailing_stop", limit_price=None, stop_price="8.0")
    moved = {**trailing, "sequence": 2, "stop_price": "8.2500000000"}
    assert call(blank, "blotter.js", body, [[stop, both, trailing], [moved]]) == [
        ["stop, gtc", NONE, "9.50", NONE],
        ["stop limit, gtc", "10.00", "1,234.5678", NONE],
        ["trailing stop, gtc", NONE, "8.25", NONE],
    ]


def test_a_reason_leaves_room_for_other_orders_and_their_buttons(blank: Page) -> None:
    """It stood in a column as wide as a word, and one rejected order filled the list."""
    body = """async (module, orders) => {
      window.fetch = async () => new Response(JSON.stringify({ cursor: null, orders }));
      const blotter = new module.Blotter(() => true);
      await blotter.load("ALPHA");
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const table = document.getElementById("blotter").closest(".scroll");
      const reason = table.querySelector(".reason");
      const line = parseFloat(getComputedStyle(reason).fontSize) * 1.5;
      return [Math.round(reason.offsetHeight / line) <= 5, table.scrollWidth <= table.clientWidth];
    }"""
    kind = {"order_type": "trailing_stop", "limit_price": None, "account": "DESK-1"}
    kind |= {"symbol": "SIM001", "side": "sell", "time_in_force": "day"}
    kind |= {"ts_event": "2026-01-02T10:00:00.000000000Z"}
    said = "to sell more than is held, open sell orders counted, say sell_short"
    why = {"status": "rejected", "check": "short_sale", "reason": said}
    orders = [_order(200, **kind, **why), _order(100, **kind, stop_price="247.10")]
    assert call(blank, "blotter.js", body, orders) == [True, True]


def test_a_command_of_an_order_that_there_is_not_changes_no_order(blank: Page) -> None:
    """A filled order that was cancelled late lost its terms, and a cancellation of nothing was a line of nulls."""
    body = """async (module, rows) => {
      const blotter = new module.Blotter(() => true);
      blotter.take(rows);
      return [...blotter.orders.values()].map((order) => [order.status, order.filled_quantity]);
    }"""
    filled = _order(1, status="filled", sequence=4, filled_quantity="1")
    refused = {"event": "cancel_rejected", "side": None, "filled_quantity": "0"}
    late = {**filled, **refused, "sequence": 5}
    nothing = {**_order(2, sequence=6), **refused, "status": "unknown"}
    assert call(blank, "blotter.js", body, [filled, late, nothing]) == [["filled", "1"]]
