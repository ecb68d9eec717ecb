"""A real browser, without a window, for tests of the page."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from serving.api.address import running_api
from serving.settings import PREFIX, Settings
from serving.users.users import Users
from tests.conftest import skip_or_fail
from tests.serving.dashboard.desk import ADMIN, PASSWORD

# What is waited for comes at once on an idle machine; with all tests running on two cores, a program that is
# started again may take a minute.
PATIENCE_MS = 150_000
_START_S = 900.0


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


@pytest.fixture(scope="module")
def served(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `tapeflow serve` over a home of its own, whose admin has a password."""
    home: Path = tmp_path_factory.mktemp("home")
    users = Users(Settings(home=home))
    token = users.people.first_admin()
    users.close()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {"TAPEFLOW_HOME": str(home), "TAPEFLOW_API_PORT": "0"}
    with (home / "serve.out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.cli", "serve"],
            env={**kept, **own},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = _await(process, home)
        with chromium.new_context() as context:
            answer = context.request.post(
                f"{url}/v1/sign-in",
                data={"user": ADMIN, "password": PASSWORD, "one_time_token": token},
            )
            assert answer.ok, answer.text()
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _await(process: "subprocess.Popen[bytes]", home: Path) -> str:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        address = running_api(home)
        if address is not None:
            return address.url
        time.sleep(0.05)
    raise AssertionError((home / "serve.out").read_text()[-4000:])
