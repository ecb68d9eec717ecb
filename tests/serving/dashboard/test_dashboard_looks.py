"""The page itself in a real browser: its layout, a phone, the keyboard, names of controls, contrast of what is seen.

Served over an empty log: nothing of it hangs on data.
"""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pyotp import TOTP

from tests.serving.dashboard.contrast import contrast
from tests.serving.dashboard.desk import ADMIN, PASSWORD, panel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ORDER = [
    "watchlist",
    "chart",
    "ticket",
    "ladder",
    "positions",
    "blotter",
    "alerts",
    "explore",
    "system",
]

# Text that is seen, with its colour and the nearest ground that is painted; half-transparent ones are mixed.
TEXTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const mix = (over, under) => over.slice(0, 3).map((part, at) => part * over[3] + under[at] * (1 - over[3]));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const found = parse(getComputedStyle(element).backgroundColor);
    const colour = found.length === 3 ? [...found, 1] : found;
    return colour[3] === 1 ? colour.slice(0, 3) : mix(colour, ground(element.parentElement));
  };
  const hex = (colour) => "#" + colour.slice(0, 3).map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(":disabled, .unseen, script, option")) continue;
    const style = getComputedStyle(element);
    seen.push({ text: node.textContent.trim().slice(0, 40), colour: hex(parse(style.color)), ground: hex(ground(element)) });
  }
  return seen;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, canvas, [role=region], dialog, table")]
  .filter((element) => {
    const labels = [...(element.labels ?? [])].map((label) => label.textContent.trim()).join("");
    const by = element.getAttribute("aria-labelledby");
    const named = by && document.getElementById(by)?.textContent.trim();
    const caption = element.querySelector(":scope > caption")?.textContent.trim();
    const text = element.tagName === "BUTTON" && element.textContent.trim();
    return !(labels || element.getAttribute("aria-label") || named || caption || text);
  })
  .map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture
def desk(page: Page, served: str) -> Page:
    return _sign_in(page, served)


def _sign_in(page: Page, url: str) -> Page:
    page.goto(url)
    page.get_by_label("User").fill(ADMIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("Live")
    return page


def _enrolled(page: Page, url: str) -> TOTP:
    """A second factor of a new trader, tess, who may trade ACC-1."""
    ask = page.context.request
    admin = ask.post(f"{url}/v1/sign-in", data={"user": ADMIN, "password": PASSWORD}).json()
    made = ask.post(
        f"{url}/v1/users",
        headers={"Authorization": f"Bearer {admin['access_token']}"},
        data={"name": "tess", "roles": ["trader"], "accounts": {"ACC-1": True}},
    ).json()
    claim = {"user": "tess", "password": PASSWORD, "one_time_token": made["one_time_token"]}
    own = ask.post(f"{url}/v1/sign-in", data=claim).json()
    headers = {"Authorization": f"Bearer {own['access_token']}"}
    factor = ask.post(f"{url}/v1/me/second-factor", headers=headers).json()
    totp = TOTP(factor["secret"])
    body = {"code": totp.now()}
    confirmed = ask.post(f"{url}/v1/me/second-factor/confirm", headers=headers, data=body)
    assert confirmed.ok, confirmed.text()
    return totp


def test_a_trader_with_a_second_factor_is_asked_for_the_code_and_sees_what_a_trader_may(
    page: Page, served: str
) -> None:
    totp = _enrolled(page, served)
    page.goto(served)
    page.get_by_label("User").fill("tess")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-problem")).to_contain_text("second factor")
    expect(page.locator("#code")).to_be_focused()
    # A code is good once: the one that confirmed the factor is used up, the next one may come early.
    page.keyboard.type(totp.at(int(time.time()) + totp.interval))
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#who")).to_have_text("tess")
    assert page.locator("#ticket [name=account] option").all_inner_texts() == ["ACC-1"]
    expect(page.locator("#system-problem")).to_contain_text("operations:read")
    assert "audit_log" not in page.locator("#explore-topic option").all_inner_texts()


def _order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        ".panel", "panels => panels.map((panel) => panel.dataset.panel)"
    )
    return found


def _press(page: Page, name: str, *keys: str) -> None:
    panel(page, name).locator(".handle").focus()
    for key in keys:
        page.keyboard.press(key)


def test_panels_are_moved_and_widened_by_the_keyboard_and_it_is_announced(desk: Page) -> None:
    assert _order(desk) == ORDER
    _press(desk, "chart", "ArrowLeft")
    assert _order(desk)[:2] == ["chart", "watchlist"]
    expect(desk.locator("#announcer")).to_contain_text("at place 1 of 9")
    assert desk.evaluate("document.activeElement.closest('.panel').dataset.panel") == "chart"
    before = panel(desk, "chart").bounding_box()
    _press(desk, "chart", "Shift+ArrowRight")
    after = panel(desk, "chart").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]


def test_panels_are_moved_by_dragging_their_handle(desk: Page) -> None:
    handle = panel(desk, "watchlist").locator(".handle")
    handle.hover()
    desk.mouse.down()
    box = panel(desk, "chart").bounding_box()
    assert box is not None
    desk.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    desk.mouse.up()
    assert _order(desk)[:2] == ["chart", "watchlist"]


def test_the_layout_is_remembered_until_it_is_reset(desk: Page) -> None:
    _press(desk, "system", "ArrowUp", "ArrowUp")
    panel(desk, "alerts").locator(".fold").click()
    moved = _order(desk)
    assert moved != ORDER
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    assert _order(desk) == moved
    expect(desk.locator("#alerts-empty")).to_be_hidden()
    desk.get_by_role("button", name="Reset layout").click()
    assert _order(desk) == ORDER
    expect(desk.locator("#alerts-empty")).to_be_visible()
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    assert _order(desk) == ORDER


@pytest.mark.parametrize("kept", ["{bad", '{"not": "a list"}', '[null, {"name": "nothing"}]', "7"])
def test_a_layout_that_is_none_does_no_harm(desk: Page, kept: str) -> None:
    desk.evaluate("kept => localStorage.setItem('tapeflow.layout', kept)", kept)
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    assert sorted(_order(desk)) == sorted(ORDER)


@pytest.mark.parametrize(("width", "height"), [(360, 740), (390, 844), (768, 1024), (1280, 900)])
def test_nothing_is_wider_than_the_screen(desk: Page, width: int, height: int) -> None:
    desk.set_viewport_size({"width": width, "height": height})
    expect(desk.locator("#watch-grid")).to_be_visible()
    assert desk.evaluate("document.documentElement.scrollWidth") <= width
    beyond = desk.eval_on_selector_all(
        ".panel, .bar > *, .panel-body > *",
        "all => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 90))",
    )
    assert beyond == []


def test_on_a_phone_what_is_touched_is_large_enough(chromium: Browser, served: str) -> None:
    with chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True) as context:
        phone = _sign_in(context.new_page(), served)
        # 24 CSS pixels at least (WCAG 2.2, 2.5.8).
        small = phone.eval_on_selector_all(
            ".bar button, #ticket button, #ticket select, #ticket input:not([type=radio]), .panel-tools button",
            """all => all.map((one) => [one.id || one.name || one.ariaLabel, one.getBoundingClientRect()])
              .filter(([, box]) => box.width && (box.width < 24 || box.height < 24)).map(([name]) => name)""",
        )
        assert small == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_all_text_that_is_seen_has_a_contrast_of_4_5(
    chromium: Browser, served: str, theme: Any
) -> None:
    with chromium.new_context(color_scheme=theme) as context:
        page = context.new_page()
        page.goto(served)
        expect(page.locator("#sign-in")).to_be_visible()
        entrance = page.evaluate(TEXTS)
        _sign_in(page, served)
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        expect(page.locator("#system-there tbody tr").first).to_be_visible()
        seen = [*entrance, *page.evaluate(TEXTS)]
    assert len(seen) > 60
    assert [one for one in seen if contrast(one["colour"], one["ground"]) < 4.5] == []


def test_the_theme_is_chosen_and_remembered(desk: Page) -> None:
    before = desk.evaluate("document.documentElement.dataset.theme")
    desk.locator("#theme").click()
    chosen = desk.evaluate("document.documentElement.dataset.theme")
    assert {before, chosen} == {"dark", "light"}
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    assert desk.evaluate("document.documentElement.dataset.theme") == chosen


def test_every_control_region_and_table_has_a_name(desk: Page) -> None:
    for details in desk.locator("details").all():
        details.evaluate("one => one.open = true")
    assert desk.evaluate(NAMELESS) == []


def test_identifiers_are_unique_and_no_tab_order_is_forced(desk: Page) -> None:
    twice = desk.evaluate(
        "() => { const all = [...document.querySelectorAll('[id]')].map((one) => one.id);"
        " return all.filter((id, at) => all.indexOf(id) !== at); }"
    )
    assert twice == []
    forced = desk.eval_on_selector_all(
        "[tabindex]", "all => all.filter((one) => one.tabIndex > 0).length"
    )
    assert forced == 0
    assert desk.locator("html").get_attribute("lang") == "en"
    assert desk.locator("main:visible").count() == 1
    assert desk.locator("th:not([scope])").count() == 0


def test_every_panel_is_reached_by_tab_and_the_focus_is_seen(desk: Page) -> None:
    desk.locator("body").evaluate("() => document.activeElement.blur()")
    reached: list[str] = []
    for _ in range(150):
        desk.keyboard.press("Tab")
        at, outline = desk.evaluate(
            "() => [document.activeElement.closest('.panel')?.dataset.panel ?? '',"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if at and at not in reached:
            reached.append(at)
            assert outline != "none", at
        if len(reached) == len(ORDER):
            break
    assert reached == ORDER


def test_the_ticket_asks_only_for_what_its_kind_of_order_takes(desk: Page) -> None:
    def shown() -> set[str]:
        names: list[str] = desk.eval_on_selector_all(
            "#ticket input, #ticket select, #ticket textarea",
            "all => all.filter((one) => one.checkVisibility()).map((one) => one.name)",
        )
        return set(names)

    ticket = desk.locator("#ticket")
    plain = {"side", "account", "symbol", "quantity", "order_type", "time_in_force", "order_class"}
    assert shown() == plain | {"algorithm"}
    ticket.locator("[name=order_type]").select_option("stop_limit")
    assert {"limit_price", "stop_price"} <= shown()
    ticket.locator("[name=order_type]").select_option("trailing_stop")
    assert "limit_price" not in shown()
    assert {"trail_amount", "trail_percent"} <= shown()
    ticket.locator("[name=order_class]").select_option("bracket")
    ticket.locator("[name=time_in_force]").select_option("gtd")
    assert {"take_profit_price", "stop_loss_price", "ts_expire"} <= shown()
    ticket.locator("[name=algorithm]").select_option("twap")
    assert "duration_seconds" in ticket.locator("[name=algorithm_params]").input_value()


def test_what_is_stale_is_marked_in_words_in_every_panel_of_market_data_and_orders(
    desk: Page,
) -> None:
    """The style was there, and no element had it: depth, positions and orders looked live behind a lost connection."""
    marks = """() => [...document.querySelectorAll(".panel")]
      .filter((panel) => getComputedStyle(panel.querySelector(".panel-body"), "::before").content.includes("Stale"))
      .map((panel) => panel.dataset.panel)"""
    assert desk.evaluate(marks) == []
    desk.context.set_offline(True)
    try:
        # Hidden, it has the words of the time before.
        expect(desk.locator("#banner")).to_be_visible()
        expect(desk.locator("#banner")).to_contain_text(re.compile(r"lost at [\d-]+ [\d:]+ UTC\."))
        assert set(desk.evaluate(marks)) == set(ORDER) - {"ticket", "system"}
        seen = desk.evaluate(TEXTS)
    finally:
        desk.context.set_offline(False)
    assert [one for one in seen if contrast(one["colour"], one["ground"]) < 4.5] == []
    expect(desk.locator("#connection")).to_have_text("Live")
    assert desk.evaluate(marks) == []


def test_the_watchlist_remembers_symbols_as_they_are(desk: Page) -> None:
    """An option's symbol has blanks in it: after a reload it was two symbols, of which neither is one."""
    symbols = ["AAPL  240119C00150000", 'A,"B[]']
    for symbol in symbols:
        desk.locator("#watch-symbol").fill(symbol)
        desk.locator("#watch-symbol").press("Enter")
    chips = desk.locator("#watch-buttons button")
    expect(chips).to_have_count(len(symbols))
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    assert [chip.evaluate("one => one.textContent") for chip in chips.all()] == symbols


@pytest.mark.parametrize("kept", ["{bad", '{"not": "a list"}', "[null, 7]", "7"])
def test_a_watchlist_that_is_none_does_no_harm(desk: Page, kept: str) -> None:
    desk.evaluate("kept => localStorage.setItem('tapeflow.watchlist', kept)", kept)
    desk.reload()
    expect(desk.locator("#connection")).to_have_text("Live")
    expect(desk.locator("#watch-buttons button")).to_have_count(0)
