"""Scripts of the page by themselves, in the browser that runs them: exact decimals, depth, a long list of orders."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

from tests.serving.dashboard.desk import call

MONEY = st.decimals(
    min_value=Decimal("-1e20"), max_value=Decimal("1e20"), places=10, allow_nan=False
)
ROW = {"symbol": "AIG", "condition": None}


@pytest.fixture(scope="module")
def scripts(chromium: Browser, served: str) -> Any:
    """A page of which scripts are called; nobody is signed in."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(served)
        yield page


@settings(max_examples=40)
@given(amounts=st.lists(MONEY, max_size=8))
def test_totals_are_exact(scripts: Page, amounts: list[Decimal]) -> None:
    texts = [str(amount) for amount in amounts]
    total = call(scripts, "format.js", "(format, texts) => format.sum(texts)", texts)
    assert Fraction(total) == sum(Fraction(amount) for amount in amounts)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0E-10", "0"),
        ("1.50E-7", "0.00000015"),
        ("-1234567.8900000000", "\N{MINUS SIGN}1,234,567.89"),
        ("12345678901234567890.0000000001", "12,345,678,901,234,567,890.0000000001"),
        ("100.0000000000", "100"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_decimal_is_shown_to_the_last_digit_and_without_needless_ones(
    scripts: Page, text: str | None, shown: str
) -> None:
    assert call(scripts, "format.js", "(format, text) => format.decimal(text)", text) == shown


def test_a_profit_has_its_sign_and_nothing_has_none(scripts: Page) -> None:
    body = "(format, texts) => texts.map((text) => [format.money(text, { signed: true }), format.sign(text)])"
    assert call(scripts, "format.js", body, ["1.5", "-1.5", "0.0000000000", "-0.00"]) == [
        ["+1.50", "up"],
        ["\N{MINUS SIGN}1.50", "down"],
        ["0.00", ""],
        ["0.00", ""],
    ]


def test_a_sum_says_which_profits_it_lacks(scripts: Page) -> None:
    """A position without a price counted as one without a profit."""
    body = """async (positions, rows) => {
        new positions.Positions().take(rows);
        await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        return document.getElementById("positions-total").textContent;
    }"""
    of = {"account": "A", "strategy": "", "sequence": 1, "currency": "USD", "fees": "0"}
    profits = {"AIG": "12.50", "IBM": None, "BAC": "-2.25"}
    rows = [
        {**of, "symbol": symbol, "quantity": "1", "unrealised": profit, "realised": "0"}
        for symbol, profit in profits.items()
    ]
    total = "USD: unrealised +10.25 (without IBM: no price yet), realised 0.00, fees 0.00. "
    assert call(scripts, "positions.js", body, rows) == total
    assert "without" not in call(scripts, "positions.js", body, rows[:1])


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("price", 247.1, "247.10"),
        ("price", 1.08344, "1.08344"),
        ("price", 43004.30999, "43,004.30999"),
        ("price", 0.00000812, "0.00000812"),
        ("size", 100.0, "100"),
        ("size", 0.00123, "0.00123"),
        ("computed", 1.0834492, "1.08345"),
        ("computed", 0.000123449045, "0.000123449"),
        ("computed", 43000.762215, "43,000.7622"),
        ("computed", 0.0, "0.00"),
    ],
)
def test_prices_and_sizes_of_small_ticks_are_shown_with_all_their_places(
    scripts: Page, kind: str, value: float, shown: str
) -> None:
    """A rate of 1.08344 was 1.0834, a coin's price of 0.00000812 was 0.00, and its size 0."""
    body = "(format, [kind, value]) => format[kind](value)"
    assert call(scripts, "format.js", body, [kind, value]) == shown


def test_the_depth_of_a_coin_has_its_prices_and_sizes(scripts: Page) -> None:
    sides = {"bid": 0.00000811, "bid_size": 0.004, "ask": 0.00000812, "ask_size": 0.001}
    assert _ladder(scripts, [_quote("N", 1, **sides)]) == ["0.00000812 0.001", "0.004 0.00000811"]


def test_a_grid_shows_all_places_of_a_number(scripts: Page) -> None:
    """Perspective shows two of them: a bid of 1.08344 was 1.08 in the watchlist."""
    body = """async (module, rows) => {
      const grid = await module.makeGrid(document.getElementById("explore-grid"), { symbol: "string", bid: "float" }, {}, { plugin: "Datagrid" });
      document.getElementById("explore-grid").scrollIntoView();
      await grid.update(rows);
    }"""
    scripts.evaluate("document.getElementById('panels').hidden = false")
    call(scripts, "perspective.js", body, [{"symbol": "EURUSD", "bid": 1.08344}])
    cells = scripts.locator("#explore-grid regular-table tbody td")
    expect(cells.filter(has_text="1.08")).to_have_text("1.08344")


def _quote(venue: str, second: int, **sides: float | None) -> dict[str, Any]:
    empty = {"bid": None, "bid_size": None, "ask": None, "ask_size": None}
    time = f"2013-10-07T15:30:{second:02d}.000000000Z"
    return {**ROW, "venue": venue, "ts_event": time, **empty, **sides}


def _ladder(page: Page, quotes: list[dict[str, Any]]) -> list[str]:
    body = """async (module, rows) => {
      new module.Ladder(() => {}).takeQuotes(rows);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return [...document.querySelectorAll("#ladder tr")].map((line) => line.innerText.trim().split(/\\s+/).join(" "));
    }"""
    # Panels are hidden until somebody signs in; hidden text has no layout.
    page.evaluate("document.getElementById('panels').hidden = false")
    found: list[str] = call(page, "ladder.js", body, quotes)
    return found


def test_sides_told_one_at_a_time_make_one_depth_and_equal_prices_add_up(scripts: Page) -> None:
    quotes = [
        _quote("N", 1, bid=48.90, bid_size=500.0),
        _quote("N", 2, ask=48.92, ask_size=100.0),
        _quote("P", 3, bid=48.90, bid_size=200.0),
        _quote("P", 4, ask=48.93, ask_size=300.0),
    ]
    assert _ladder(scripts, quotes) == ["48.93 300", "48.92 100", "700 48.90"]


def test_a_side_of_size_zero_is_gone(scripts: Page) -> None:
    quotes = [
        _quote("N", 1, bid=48.90, bid_size=500.0, ask=48.92, ask_size=100.0),
        _quote("N", 2, bid_size=0.0),
    ]
    assert _ladder(scripts, quotes) == ["48.92 100"]


def test_of_crossing_quotes_the_older_is_left_out(scripts: Page) -> None:
    old_bid = [_quote("B", 1, bid=49.01, bid_size=100.0), _quote("N", 2, ask=48.92, ask_size=50.0)]
    assert _ladder(scripts, old_bid) == ["48.92 50"]
    old_ask = [_quote("B", 1, ask=48.86, ask_size=600.0), _quote("N", 2, bid=48.90, bid_size=70.0)]
    assert _ladder(scripts, old_ask) == ["70 48.90"]


def _order(number: int) -> dict[str, Any]:
    names = {"order_id": f"O-{number}", "symbol": "AIG", "side": "buy", "account": "ALPHA"}
    kind = {"order_type": "limit", "time_in_force": "day", "limit_price": "10"}
    filled = {"filled_quantity": "0", "quantity": str(number), "average_price": None}
    return {**names, **kind, **filled, "status": "working", "sequence": 1, "ts_event": None}


@pytest.mark.parametrize(("orders", "told"), [(300, ""), (301, "The newest 300 of 301 orders.")])
def test_of_more_orders_than_can_be_shown_the_newest_are_and_the_rest_is_told(
    scripts: Page, orders: int, told: str
) -> None:
    body = """async (module, rows) => {
      const blotter = new module.Blotter(() => true);
      for (const row of rows) blotter.orders.set(row.order_id, { ...row, received: String(row.quantity).padStart(9, "0") });
      blotter.draw();
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const lines = [...document.querySelectorAll("#blotter tr")].map((line) => line.children[4].innerText);
      const more = document.getElementById("blotter-more");
      return [lines.length, lines[0], more.hidden ? "" : more.innerText];
    }"""
    scripts.evaluate("document.getElementById('panels').hidden = false")
    rows = [_order(number) for number in range(1, orders + 1)]
    assert call(scripts, "blotter.js", body, rows) == [300, f"0 / {orders}", told]


def test_a_list_that_is_asked_for_anew_says_how_orders_stand_but_for_what_came_meanwhile(
    scripts: Page,
) -> None:
    """Events are missed where a stream begins anew: orders that were filled then stayed open on the page."""
    body = """async (module, [rows, listed]) => {
      const blotter = new module.Blotter(() => true);
      blotter.take(rows);
      const asked = window.fetch;
      window.fetch = async (address) => {
        const id = address.pathname.split("/orders/")[1];
        blotter.take([{ ...rows[2], sequence: 7, status: "cancelled" }]);
        return new Response(JSON.stringify(id ? { ...rows[1], sequence: undefined, status: "expired" } : { orders: listed }));
      };
      try {
        await blotter.load("ALPHA");
      } finally {
        window.fetch = asked;
      }
      blotter.take([{ ...rows[0], sequence: 1 }]);
      return rows.map((row) => blotter.orders.get(row.order_id).status);
    }"""
    rows = [_order(number) for number in (1, 2, 3)]
    listed = [{**rows[0], "status": "filled"}, {**rows[2], "status": "working"}]
    for one in listed:
        del one["sequence"]
    found = call(scripts, "blotter.js", body, [rows, listed])
    assert found == ["filled", "expired", "cancelled"]


def _trade(second: int, price: float, size: float, **sets: bool) -> dict[str, Any]:
    every = {"updates_last": True, "updates_high_low": True, "updates_volume": True}
    time = f"2013-10-07T15:{30 + second // 60}:{second % 60:02d}.000000000Z"
    said = {"action": "new", "ts_event": time, "price": price, "size": size}
    return {**ROW, **said, **every, **sets}


def test_the_bar_that_is_open_says_since_when_its_trades_are_known_and_takes_them_as_the_flow_does(
    scripts: Page,
) -> None:
    """At a page that was opened in the middle of a minute, the open was the price of that moment; odd lots had no volume."""
    body = """async (module, rows) => {
      const chart = new module.Chart();
      chart.symbol = "AIG";
      const told = [];
      for (const row of rows) {
        chart.takeTrades([row]);
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        told.push(document.getElementById("chart-readout").innerText);
      }
      return told;
    }"""
    scripts.evaluate("document.getElementById('panels').hidden = false")
    odd_lot = {"updates_last": False, "updates_high_low": False}
    rows = [
        _trade(40, 48.9, 100),
        _trade(45, 50.0, 7, **odd_lot),
        _trade(50, 49.0, 100, updates_last=False, updates_volume=False),
        _trade(65, 48.8, 5, **odd_lot),
        _trade(70, 48.7, 100),
    ]
    since = "2013-10-07 15:30:00 (open still; trades since 15:30:40 only) · "
    whole, none = "2013-10-07 15:31:00 (open still) · ", "\N{EN DASH}"
    assert call(scripts, "chart.js", body, rows) == [
        f"{since}O 48.90 H 48.90 L 48.90 C 48.90 · V 100",
        f"{since}O 48.90 H 48.90 L 48.90 C 48.90 · V 107",
        f"{since}O 48.90 H 49.00 L 48.90 C 48.90 · V 107",
        f"{whole}O {none} H {none} L {none} C {none} · V 5",
        f"{whole}O 48.70 H 48.70 L 48.70 C 48.70 · V 105",
    ]


def test_a_grid_shows_times_in_utc(scripts: Page) -> None:
    """They were in the browser's zone, and did not say so; all other times of the page are in UTC."""
    body = """async (module, schema) => {
      const grid = await module.makeGrid(document.getElementById("explore-grid"), schema, {}, { plugin: "Datagrid" });
      return (await grid.viewer.save()).columns_config.ts_event.date_format;
    }"""
    shown = call(scripts, "perspective.js", body, {"symbol": "string", "ts_event": "datetime"})
    # A long time of day has its zone.
    assert (shown["timeZone"], shown["timeStyle"]) == ("UTC", "long")
