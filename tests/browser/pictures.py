"""Draw the pictures of the README again: dashboard and report of the demo, in a real browser.

The program requires Chromium and chromedriver, like the browser tests.
"""

import tempfile
from pathlib import Path

from avepoint_simulator import Simulator, make_world

from tests.browser.browser import Browser, browser
from tests.browser.conftest import dashboard
from tests.support.cli import make_user
from tests.support.project import ROOT

DOCS = ROOT / "docs"


def take(window: Browser, name: str) -> None:
    """Save a picture of the visible page in docs."""
    window.driver.execute_script("document.documentElement.style.scrollbarWidth = 'none'")
    window.driver.save_screenshot(str(DOCS / name))


def main() -> None:
    """Load the demo, and save pictures of its dashboard and report."""
    with tempfile.TemporaryDirectory() as folder, Simulator(make_world(1)) as simulator:
        user = make_user(Path(folder), simulator)
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
