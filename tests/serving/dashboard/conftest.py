"""A real browser, without a window, for tests of the page."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from serving.settings import Settings
from serving.users.users import Users
from tests.conftest import skip_or_fail
from tests.serving.api.servers import server
from tests.serving.dashboard.desk import ADMIN, PASSWORD

# What is waited for comes at once on an idle machine; with all tests running on two cores, a program that is
# started again may take a minute.
PATIENCE_MS = 150_000


# Of a module, not of the session: while Playwright runs, its event loop is the thread's, and no other test of
# the same process can run one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; Playwright brings none, since nothing is downloaded in tests."""
    path = shutil.which("chromium")
    if path is None:
        skip_or_fail("chromium", "no browser: apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            # Tests run as root in containers, where Chromium's own sandbox cannot.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            skip_or_fail("chromium", f"the browser does not start: {error.message}")
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of the module's own, at 1280 pixels: the page's megabytes of scripts are fetched and compiled once."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page in a browser that remembers no test before; an error in a script fails the test."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
    )
    yield page
    if page.url.startswith("http"):
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    page.close()
    context.clear_cookies()
    assert not wrong


@pytest.fixture(scope="module")
def served(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `tapeflow serve` over a home of its own, whose admin has a password."""
    home: Path = tmp_path_factory.mktemp("home")
    users = Users(Settings(home=home))
    token = users.people.first_admin()
    users.close()
    with server(home) as running:
        with chromium.new_context() as context:
            answer = context.request.post(
                f"{running.url}/v1/sign-in",
                data={"user": ADMIN, "password": PASSWORD, "one_time_token": token},
            )
            assert answer.ok, answer.text()
        yield running.url
