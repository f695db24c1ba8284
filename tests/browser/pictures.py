"""Draws the pictures of the README anew: dashboard and report of the demo, in a real browser.

Wants Chromium and chromedriver, as the tests do that look through them.
"""

import tempfile
from pathlib import Path

from avepoint_simulator import Simulator, make_world

from tests.browser.browser import Browser, browser
from tests.browser.conftest import dashboard
from tests.support.cli import sit
from tests.support.project import ROOT

DOCS = ROOT / "docs"


def take(window: Browser, name: str) -> None:
    """Keeps what the window shows."""
    window.driver.execute_script("document.documentElement.style.scrollbarWidth = 'none'")
    window.driver.save_screenshot(str(DOCS / name))


def main() -> None:
    """Loads, looks, and writes into docs."""
    with tempfile.TemporaryDirectory() as folder, Simulator(make_world(1)) as simulator:
        user = sit(Path(folder), simulator)
        user.run("demo")
        user.run("report", "report.html")
        with dashboard(user) as address, browser(Path(folder)) as window:
            window.open(address)
            window.until("Freshness of this data")
            take(window, "dashboard.png")
            window.open((user.folder / "report.html").as_uri())
            window.driver.execute_script("arguments[0].scrollIntoView(); scrollBy(0, -10)", window.section("calendar"))
            take(window, "report.png")


if __name__ == "__main__":
    main()
