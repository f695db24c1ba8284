"""Find violations of WCAG 2.1 A and AA in a page with axe-core."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

FOLDER = Path(__file__).parent
SCRIPT = FOLDER / "node_modules" / "axe-core" / "axe.min.js"

RUN = """
const done = arguments[arguments.length - 1];
const only = {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]};
axe.run(document, only).then(results => done(results.violations.map(found =>
    [found.id, found.nodes.slice(0, 3).map(node => node.target.join(" ") + ": " + node.failureSummary)])));
"""


@cache
def script() -> str:
    """Return the script axe-core; install it from the lock file of this folder if it is missing."""
    npm = shutil.which("npm")
    if not SCRIPT.exists() and npm:
        subprocess.run([npm, "ci", "--silent"], cwd=FOLDER, check=True, timeout=120)
    if not SCRIPT.exists():
        text = "axe-core is needed to look for barriers: npm ci --prefix tests/browser"
        if os.environ.get("M365_TEST_BROWSER_REQUIRED"):
            pytest.fail(text)
        pytest.skip(text)
    return SCRIPT.read_text(encoding="utf-8")


def violations(driver: webdriver.Chrome) -> list[Any]:
    """Return the rules that the page breaks, each with the first elements that break it."""
    driver.execute_script(script())
    broken: list[Any] = driver.execute_async_script(RUN)
    return broken
