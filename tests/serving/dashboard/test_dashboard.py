"""The dashboard in a real browser, over the whole platform: what a trader does, and what goes wrong.

The platform is `tapeflow up` with real ticks of AIG and IBM where the shared data are, else with a simulated
market. One platform and one browser serve all tests of the module; each has a page that remembers nothing.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from time import time_ns

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from schemas.order_ids import order_id_of
from schemas.orders import ORDERS
from tests.conftest import SHARED
from tests.serving.dashboard.desk import newest_order, panel, show, sign_in
from tests.serving.dashboard.running import ACCOUNT, Platform, append, platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def up(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home: Path = tmp_path_factory.mktemp("home")
    with platform(home, SHARED if SHARED.is_dir() else None) as running:
        with chromium.new_context() as context:
            first = context.new_page()
            sign_in(first, running, first=True)
        yield running


@pytest.fixture
def entered(page: Page, up: Platform) -> Page:
    """A page at which the admin is signed in."""
    sign_in(page, up)
    return page


@pytest.fixture
def desk(entered: Page, up: Platform) -> Page:
    """A page at which the busiest symbol is shown, too."""
    show(entered, up.symbols[0])
    return entered


def _watched(page: Page, symbol: str) -> str:
    """The row of a symbol in the grid of the watchlist."""
    row = page.locator("#watch-grid regular-table tbody tr").filter(has_text=symbol)
    expect(row).to_have_count(1)
    return row.inner_text()


def _wait_for_change(page: Page, selector: str) -> None:
    before = page.locator(selector).inner_text()
    expect(page.locator(selector)).not_to_have_text(before, use_inner_text=True)


def _order_behind_the_page(up: Platform, quantity: int) -> None:
    """An order that some other program gives."""
    now, client = time_ns(), f"other-{quantity}"
    order = {
        "account": ACCOUNT,
        "ts_event": now,
        "ts_recv": now,
        "command": "new",
        "order_id": order_id_of(ACCOUNT, client),
        "client_order_id": client,
        "symbol": up.symbols[0],
        "side": "buy",
        "quantity": Decimal(quantity),
        "order_type": "market",
        "time_in_force": "day",
        "user": "other",
    }
    with up.log() as log:
        append(log, ORDERS, [order])


def test_a_wrong_password_is_refused_in_words_and_lets_nobody_in(page: Page, up: Platform) -> None:
    page.goto(up.url)
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#sign-in-problem")).to_have_text("user, password or code is wrong")
    expect(page.locator("#panels")).to_be_hidden()


def test_scripts_of_the_page_cannot_read_the_session(entered: Page) -> None:
    cookies = {cookie["name"]: cookie for cookie in entered.context.cookies()}
    assert cookies["tapeflow_session"]["httpOnly"]
    assert cookies["tapeflow_session"]["sameSite"] == "Strict"
    assert "tapeflow_session" not in entered.evaluate("document.cookie")


def test_the_session_outlives_a_reload_and_ends_with_signing_out(entered: Page) -> None:
    entered.reload()
    expect(entered.locator("#connection")).to_have_text("Live")
    entered.get_by_role("button", name="Sign out").click()
    expect(entered.locator("#sign-in-problem")).to_have_text("You are signed out.")
    entered.reload()
    expect(entered.locator("#sign-in")).to_be_visible()
    expect(entered.locator("#panels")).to_be_hidden()


def test_prices_and_market_time_move(desk: Page, up: Platform) -> None:
    before = _watched(desk, up.symbols[0])
    assert re.search(r"\d+\.\d\d", before)
    assert "live" in before
    _wait_for_change(desk, "#market-time")
    row = desk.locator("#watch-grid regular-table tbody tr").filter(has_text=up.symbols[0])
    expect(row).not_to_have_text(before, use_inner_text=True)


def test_the_chart_goes_on_with_the_market_and_is_told_in_words(desk: Page) -> None:
    _wait_for_change(desk, "#chart-readout")
    chart = desk.locator("#chart")
    chart.focus()
    desk.keyboard.press("ArrowLeft")
    readout = desk.locator("#chart-readout").inner_text()
    assert re.search(r"O [\d.,]+ H [\d.,]+ L [\d.,]+ C [\d.,]+ · V [\d.,]+", readout)
    desk.keyboard.press("Home")
    assert desk.locator("#chart-readout").inner_text() != readout


def test_another_interval_leaves_the_ticket_with_the_symbol_that_was_typed(desk: Page) -> None:
    """It was given the chart's symbol again: an order would have gone to another one than was meant."""
    symbol = desk.locator("#ticket [name=symbol]")
    symbol.fill("OTHER")
    desk.locator("#chart-interval").select_option("1s")
    expect(desk.locator("#chart")).to_have_attribute("aria-label", re.compile(r"[1-9]\d* bars"))
    assert symbol.input_value() == "OTHER"


def test_the_first_symbol_that_is_known_leaves_what_somebody_types(
    page: Page, up: Platform
) -> None:
    """Typed at that moment, AIG became AIGAIG."""
    marks, held, sockets = set[str](), list[str](), list[WebSocketRoute]()

    def between(browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()

        def ask(message: str | bytes) -> None:
            wanted = json.loads(message).get("subscribe", {})
            if wanted.get("topic") == "marks":
                marks.add(wanted["id"])
            server.send(message)

        def answer(message: str | bytes) -> None:
            if isinstance(message, str) and json.loads(message).get("id") in marks:
                held.append(message)
            else:
                browser.send(message)

        browser.on_message(ask)
        server.on_message(answer)
        sockets.append(browser)

    page.route_web_socket(re.compile("/v1/stream"), between)
    sign_in(page, up)
    while not held:
        page.wait_for_timeout(100)
    page.locator("#symbol").press_sequentially("OTH")
    page.locator("#ticket [name=symbol]").fill("OTHER")
    page.locator("#symbol").focus()
    sockets[0].send(held[0])
    expect(page.locator("#chart-title")).to_have_text(f"Chart: {up.symbols[0]}")
    assert page.locator("#symbol").input_value() == "OTH"
    assert page.locator("#ticket [name=symbol]").input_value() == "OTHER"


def test_the_chart_is_drawn(desk: Page) -> None:
    drawn = desk.evaluate(
        """() => {
          const canvas = document.getElementById("chart");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const seen = new Set();
          for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(data.slice(at, at + 3).join());
          return [...seen];
        }"""
    )
    # Candles of both kinds, at least.
    assert {"74,194,107", "255,138,128"} <= set(drawn) or {"15,107,53", "179,38,30"} <= set(drawn)


def test_depth_has_both_sides_uncrossed_and_a_price_goes_to_the_ticket(desk: Page) -> None:
    expect(desk.locator("#ladder .bid-price").first).to_be_visible()
    expect(desk.locator("#ladder .ask-price").first).to_be_visible()
    # All at one moment: the depth goes on.
    cells = desk.locator("#ladder button").all_inner_texts()
    prices = [float(text.replace(",", "")) for text in cells]
    assert prices == sorted(set(prices), reverse=True)
    button = desk.locator("#ladder .bid-price").first
    button.focus()
    text = button.inner_text()
    desk.keyboard.press("Enter")
    limit = desk.locator("#ticket [name=limit_price]")
    expect(limit).to_be_visible()
    assert float(limit.input_value()) == pytest.approx(float(text.replace(",", "")), abs=0.05)
    assert desk.locator("#ticket [name=order_type]").input_value() == "limit"


def test_an_order_fills_and_the_position_follows(desk: Page, up: Platform) -> None:
    symbol = up.symbols[0]
    row = desk.locator("#positions tr").filter(has_text=symbol)
    held = int(row.locator("td").nth(2).inner_text()) if row.count() else 0
    ticket = panel(desk, "ticket")
    ticket.get_by_label("Quantity", exact=True).fill("100")
    ticket.get_by_role("button", name="Place order").click()
    expect(desk.locator("#ticket-answer")).to_contain_text("was sent")
    expect(newest_order(desk)).to_contain_text("filled")
    expect(newest_order(desk)).to_contain_text("100 / 100")
    expect(row.locator("td").nth(2)).to_have_text(str(held + 100))
    expect(desk.locator("#positions-total")).to_contain_text("USD: unrealised")


def test_an_order_is_given_by_the_keyboard_alone_replaced_and_cancelled(desk: Page) -> None:
    ticket = desk.locator("#ticket")
    ticket.locator("[name=side][value=buy]").focus()
    # Tab by tab through the form, as somebody without a mouse does.
    for name, keys in {
        "account": "",
        "symbol": "",
        "quantity": "7",
        "order_type": "Limit",
        "limit_price": "1.25",
    }.items():
        desk.keyboard.press("Tab")
        assert desk.evaluate("document.activeElement.name") == name
        if keys and name in ("quantity", "limit_price"):
            desk.keyboard.press("Control+a")
        desk.keyboard.type(keys)
    for _ in range(10):
        desk.keyboard.press("Tab")
        if desk.evaluate("document.activeElement.id") == "place-order":
            break
    desk.keyboard.press("Enter")
    order = newest_order(desk)
    expect(order).to_contain_text("working")
    expect(order).to_contain_text("0 / 7")
    order.get_by_role("button", name="Replace").focus()
    desk.keyboard.press("Enter")
    expect(desk.locator("#replace-dialog")).to_be_visible()
    assert desk.evaluate("document.activeElement.name") == "quantity"
    desk.keyboard.press("Control+a")
    desk.keyboard.type("9")
    desk.keyboard.press("Enter")
    expect(newest_order(desk)).to_contain_text("0 / 9")
    newest_order(desk).get_by_role("button", name="Cancel").focus()
    desk.keyboard.press("Enter")
    expect(newest_order(desk)).to_contain_text("cancelled")
    expect(newest_order(desk).get_by_role("button")).to_have_count(0)


def test_a_check_tells_what_would_be_refused_and_sends_nothing(desk: Page) -> None:
    before = desk.locator("#blotter tr").count()
    panel(desk, "ticket").get_by_label("Quantity", exact=True).fill("900000000")
    desk.get_by_role("button", name="Check", exact=True).click()
    expect(desk.locator("#ticket-answer")).to_contain_text("Would be refused")
    panel(desk, "ticket").get_by_label("Quantity", exact=True).fill("1")
    desk.get_by_role("button", name="Check", exact=True).click()
    expect(desk.locator("#ticket-answer")).to_contain_text("All checks pass")
    assert desk.locator("#blotter tr").count() == before


def test_a_refused_order_says_why_in_the_blotter(entered: Page) -> None:
    panel(entered, "ticket").get_by_label("Symbol").fill("NOSUCH")
    entered.get_by_role("button", name="Place order").click()
    expect(newest_order(entered)).to_contain_text("rejected")
    expect(newest_order(entered).locator(".reason")).to_contain_text("NOSUCH")


def test_a_lost_connection_is_told_values_are_stale_and_it_comes_back(
    desk: Page, up: Platform
) -> None:
    expect(desk.locator("#banner")).to_be_hidden()
    # From the first event on, the stream of events has a place to go on from.
    panel(desk, "ticket").get_by_label("Quantity", exact=True).fill("10")
    panel(desk, "ticket").get_by_role("button", name="Place order").click()
    expect(newest_order(desk)).to_contain_text("10 / 10")
    up.kill_api()
    expect(desk.locator("#banner")).to_be_visible()
    expect(desk.locator("#banner")).to_contain_text("stale")
    expect(desk.locator("#connection")).to_have_text("Stale")
    row = desk.locator("#watch-grid regular-table tbody tr").filter(has_text=up.symbols[0])
    expect(row).to_contain_text("stale")
    # What happens meanwhile is not asked for again: the stream goes on where it was.
    _order_behind_the_page(up, quantity=11)
    expect(desk.locator("#connection")).to_have_text("Live")
    expect(desk.locator("#banner")).to_be_hidden()
    expect(row).to_contain_text("live")
    missed = desk.locator("#blotter tr").filter(has_text="11 / 11")
    expect(missed).to_have_count(1)
    expect(missed).to_contain_text("filled")
    _wait_for_change(desk, "#market-time")
    expect(desk.locator("#system-here")).to_contain_text(re.compile(r"Reconnections\s*1"))
    panel(desk, "ticket").get_by_label("Quantity", exact=True).fill("12")
    panel(desk, "ticket").get_by_role("button", name="Place order").click()
    expect(newest_order(desk)).to_contain_text("12 / 12")


def test_alerts_say_plainly_that_there_are_none_yet(entered: Page) -> None:
    expect(entered.locator("#alerts-empty")).to_contain_text("There is no topic of alerts")


def test_any_topic_streams_into_perspective_as_arrow(entered: Page, up: Platform) -> None:
    entered.get_by_label("Topic", exact=True).select_option("quotes")
    entered.get_by_label("Key", exact=True).fill(up.symbols[0])
    entered.get_by_role("button", name="Stream", exact=True).click()
    # Perspective draws nothing that nobody can see, and what is above moves it out of sight.
    entered.locator("#explore-grid").scroll_into_view_if_needed()
    cells = entered.locator("#explore-grid regular-table tbody td")
    expect(cells.filter(has_text=up.symbols[0]).first).to_be_visible()
    assert "bid_size" in entered.locator("#explore-grid regular-table thead").inner_text()
    entered.get_by_role("button", name="Stop", exact=True).click()
    expect(entered.get_by_role("button", name="Stop", exact=True)).to_be_disabled()


def test_the_system_panel_tells_programs_lags_and_memory(entered: Page) -> None:
    there = entered.locator("#system-there")
    for text in ("serve", "MB", "oms", "quotes"):
        expect(there).to_contain_text(text)
