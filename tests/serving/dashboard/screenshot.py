"""Makes the picture of the dashboard in the README: ``python -m tests.serving.dashboard.screenshot FILE``.

Real ticks of AIG and IBM where the shared data are, else a simulated market; real orders, filled by the paper market.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import SHARED
from tests.serving.dashboard.desk import newest_order, panel, show, sign_in
from tests.serving.dashboard.running import platform

_PATIENCE_MS = 150_000
_BYTES_MAX = 400_000


def main(file: Path) -> None:
    """Run the platform, trade a little, and take the picture."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no browser: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        platform(Path(folder), SHARED if SHARED.is_dir() else None) as up,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
        browser.new_context(
            viewport={"width": 1280, "height": 1000}, color_scheme="dark"
        ) as context,
    ):
        expect.set_options(timeout=_PATIENCE_MS)
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        sign_in(page, up, first=True)
        busiest, other = up.symbols[:2]
        _order(page, other, "40")
        _order(page, busiest, "300")
        _order(page, busiest, "100", side="Sell")
        show(page, busiest)
        # One that stands: a tenth below the market.
        page.locator("#ladder .bid-price").first.click()
        panel(page, "ticket").get_by_label("Buy", exact=True).check()
        limit = page.locator("#ticket [name=limit_price]")
        limit.fill(f"{float(limit.input_value()) * 0.9:.2f}")
        page.get_by_role("button", name="Place order").click()
        expect(newest_order(page).get_by_role("button", name="Cancel")).to_be_visible()
        page.get_by_label("Topic", exact=True).select_option("quotes")
        page.get_by_role("button", name="Stream", exact=True).click()
        expect(page.locator("#explore-grid regular-table tbody tr").nth(5)).to_be_visible()
        # Of the bar before the one that is open still: that one has no indicators yet.
        page.locator("#chart").press("ArrowLeft")
        expect(page.locator("#chart-readout")).to_contain_text("rsi_14")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=file, full_page=True)
    size = file.stat().st_size
    if size > _BYTES_MAX:
        sys.exit(f"{file} has {size:,} bytes, more than {_BYTES_MAX:,}")
    sys.stdout.write(f"{file}: {size:,} bytes\n")


def _order(page: Page, symbol: str, quantity: str, *, side: str = "Buy") -> None:
    """A market order, and its fill."""
    ticket = panel(page, "ticket")
    ticket.get_by_label(side, exact=True).check()
    ticket.get_by_label("Symbol").fill(symbol)
    ticket.get_by_label("Quantity", exact=True).fill(quantity)
    ticket.get_by_role("button", name="Place order").click()
    expect(newest_order(page)).to_contain_text(f"{quantity} / {quantity}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
