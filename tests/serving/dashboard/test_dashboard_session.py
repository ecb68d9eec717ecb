"""A session that ends, or rights that change, while somebody is at the page."""

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.serving.dashboard.desk import ADMIN, PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Trader:
    """A trader at a page, and an admin elsewhere."""

    page: Page
    url: str
    admin: dict[str, str]

    def do(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        """What the admin does to her."""
        ask = self.page.context.request
        answer = ask.fetch(
            f"{self.url}/v1/users/tess{path}", method=method, headers=self.admin, data=data
        )
        assert answer.ok, answer.text()
        return answer.json()


@pytest.fixture
def tess(page: Page, served: str) -> Trader:
    """She may trade ACC-1 and ACC-2, and may not see what operations measure."""
    ask = page.context.request
    signed_in = ask.post(f"{served}/v1/sign-in", data={"user": ADMIN, "password": PASSWORD})
    trader = Trader(page, served, {"Authorization": f"Bearer {signed_in.json()['access_token']}"})
    accounts = {"ACC-1": True, "ACC-2": True}
    made = {"name": "tess", "roles": ["trader"], "accounts": accounts}
    answer = ask.post(f"{served}/v1/users", headers=trader.admin, data=made)
    if answer.ok:
        token = answer.json()["one_time_token"]
        claim = {"user": "tess", "password": PASSWORD, "one_time_token": token}
        assert ask.post(f"{served}/v1/sign-in", data=claim).ok
    else:
        trader.do("PATCH", "", {"accounts": accounts})
    page.goto(served)
    page.get_by_label("User").fill("tess")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("Live")
    return trader


def test_whose_session_is_ended_elsewhere_is_asked_to_sign_in(tess: Trader) -> None:
    """Her page tried to connect again for ever: none of its panels asked anything else of the server."""
    for device in tess.do("GET", "/devices")["devices"]:
        tess.do("DELETE", f"/devices/{device['id']}")
    expect(tess.page.locator("#sign-in-problem")).to_have_text(
        "Your session is over. Sign in again.", timeout=30_000
    )
    expect(tess.page.locator("#panels")).to_be_hidden()


def test_an_account_that_is_taken_away_leaves_the_page(tess: Trader) -> None:
    """Its orders and positions stood there as if they were live, and it could be chosen in the ticket."""
    accounts = tess.page.locator("#ticket [name=account] option")
    expect(accounts).to_have_count(2)
    tess.do("PATCH", "", {"accounts": {"ACC-1": True}})
    expect(accounts).to_have_text(["ACC-1"], timeout=30_000)
    expect(tess.page.locator("#connection")).to_have_text("Live")
