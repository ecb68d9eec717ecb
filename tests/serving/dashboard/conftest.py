"""A real browser, without a window, for tests of the page."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.conftest import skip_or_fail

# What is waited for comes at once on an idle machine; with all tests running on two cores, a program that is
# started again may take a minute.
PATIENCE_MS = 150_000


@pytest.fixture(scope="session")
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


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser of the test's own, at 1280 pixels; an error in a script fails the test."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: (
                wrong.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        yield page
        assert not wrong
