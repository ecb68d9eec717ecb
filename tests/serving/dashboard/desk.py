"""What a person does at the page, for tests and the screenshot."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.serving.dashboard.running import Platform

ADMIN = "admin"
PASSWORD = "correct horse battery staple"


def sign_in(page: Page, platform: Platform, *, first: bool = False) -> None:
    """Sign the admin in by the form; for the first time with the one-time token, which sets the password."""
    page.goto(platform.url)
    page.get_by_label("User").fill(ADMIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    if first:
        page.get_by_text("I sign in for the first time").click()
        page.get_by_label(re.compile("^One-time token")).fill(platform.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#ticket [name=account] option")).not_to_have_count(0)


def show(page: Page, symbol: str) -> None:
    """Show a symbol, and wait until there are its bars and quotes."""
    page.get_by_label("Symbol", exact=True).first.fill(symbol)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#chart-title")).to_have_text(f"Chart: {symbol}")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(r"[1-9]\d+ bars"))
    expect(page.locator("#ladder tr")).not_to_have_count(0)


def panel(page: Page, name: str) -> Locator:
    """A panel."""
    return page.locator(f'[data-panel="{name}"]')


def newest_order(page: Page) -> Locator:
    """The first row of the blotter."""
    return page.locator("#blotter tr").first


def call(page: Page, script: str, body: str, given: Any) -> Any:
    """What a body makes of a module of the page and a value; nobody needs to be signed in."""
    return page.evaluate(
        """async ([script, body, given]) => {
          const main = document.querySelector("script[type=module]").src;
          const module = await import(main.replace("main.js", script));
          return await CALLS[body](module, given);
        }""".replace("CALLS[body]", f"({body})"),
        [script, body, given],
    )
