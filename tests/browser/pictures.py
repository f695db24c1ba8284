"""Draws the pictures of the README anew: dashboard and report of three simulated tenants, in a real browser.

Wants Chromium and chromedriver, as the tests do that look through them.
"""

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from avepoint_simulator import Simulator, make_world

from tests.browser.browser import Browser, browser
from tests.browser.conftest import dashboard
from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import sit
from tests.support.project import ROOT

DOCS = ROOT / "docs"

TENANTS = {"contoso": (3000, 3), "northwind": (800, 4), "fabrikam": (350, 1)}
"""Jobs of each, and the seed that they are made from: such that some services are late and some fail."""

LAST, TRENDS = "Freshness of this data", "Trends, last 30 days"


def take(window: Browser, name: str) -> None:
    """Keeps what the window shows."""
    window.driver.execute_script(
        "const style = document.createElement('style'); style.textContent = '* { scrollbar-width: none }';"
        "document.head.append(style)"
    )
    window.driver.save_screenshot(str(DOCS / name))


def main() -> None:
    """Loads, looks, and writes into docs."""
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        simulators = {
            name: stack.enter_context(Simulator(make_world(jobs, seed, now))) for name, (jobs, seed) in TENANTS.items()
        }
        user = sit(Path(folder), simulators["contoso"])
        configure(user, "".join(section(name, one) for name, one in simulators.items()))
        user.run("load", "--all-tenants")
        user.run("report", "report.html")
        with dashboard(user) as address, browser(Path(folder)) as window:
            window.open(address)
            window.until(LAST)
            # The clock and the filters move parts down a last time.
            window.until(lambda: window.all("select"))
            take(window, "dashboard.png")
            window.open((user.folder / "report.html").as_uri())
            part = window.section(TRENDS)
            window.driver.execute_script("arguments[0].scrollIntoView(); scrollBy(0, -10)", part)
            take(window, "report.png")


if __name__ == "__main__":
    main()
