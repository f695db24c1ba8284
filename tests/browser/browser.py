"""Control the browser of the tests: headless Chromium with chromedriver, such as the packages of Debian."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.axe import violations

LAPTOP, PHONE = (1366, 900), (390, 844)

PATIENCE = 60
"""Seconds after which a test fails if a page does not show the expected text; a test that passes waits less."""


def require_chromium() -> tuple[str, str]:
    """Return the paths of browser and driver; if one is missing, skip the test, or fail if it is required."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    word = "Chromium and chromedriver are needed to look at pages (on Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("M365_TEST_BROWSER_REQUIRED"):
        pytest.fail(word)
    pytest.skip(word)


class Browser:
    """Control a browser window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def until(self, awaited: str | Callable[[], Any]) -> Any:
        """Wait until the page contains a text, or a function returns a true value; return that value."""
        question = (lambda: awaited in self.text()) if isinstance(awaited, str) else awaited
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.2, [StaleElementReferenceException]).until(
                lambda _: question()
            )
        except Exception as error:
            raise AssertionError(f"{awaited} is not there, but:\n{self.text()}") from error

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements of a CSS selector in the order of the page."""
        return self.driver.find_elements("css selector", selector)

    def press(self, key: str) -> None:
        """Send a key to the page."""
        ActionChains(self.driver).send_keys(key).perform()

    def focus(self) -> WebElement:
        """Return the element that has the focus."""
        return self.driver.switch_to.active_element

    def section(self, name: str) -> WebElement | None:
        """Return a section of the page by its name, after opening its folded parts so that their text is visible."""
        self.driver.execute_script(
            "document.querySelectorAll(`#${arguments[0]} details`).forEach(part => part.open = true)", name
        )
        parts = self.all(f"section#{name}")
        return parts[0] if parts else None

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of the first table of a section."""
        section = self.section(name)
        assert section, f"There is no {name!r} in:\n{self.text()}"
        return table(section)

    def open_all(self) -> None:
        """Open all folded parts."""
        self.driver.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")

    def colours(self, scheme: str) -> None:
        """Set the colour scheme of the user's system, light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def barriers(self) -> list[Any]:
        """Return the violations of accessibility rules in both colour schemes, with all parts open."""
        self.open_all()
        broken = []
        for scheme in ("light", "dark"):
            self.colours(scheme)
            broken += [(scheme, *rule) for rule in violations(self.driver)]
        return broken

    def width(self) -> int:
        return int(self.driver.execute_script("return document.documentElement.scrollWidth"))

    def hidden_width(self, selector: str) -> int:
        """Return by how many pixels an element is wider than the box in which it scrolls."""
        script = (
            "const box = document.querySelector(arguments[0]).parentElement; return box.scrollWidth - box.clientWidth"
        )
        return int(self.driver.execute_script(script, selector))

    def smallest_letters(self) -> float:
        """Return the smallest font size of a text in a chart, in pixels of the page."""
        return min(
            float(self.driver.execute_script("return parseFloat(getComputedStyle(arguments[0]).fontSize)", part))
            for part in self.all("svg text")
        )

    def asked(self) -> set[str]:
        """Return the hosts that received requests since the last call, without addresses inside the browser."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [
            urlsplit(message["params"].get("request", message["params"]).get("url", ""))
            for message in messages
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
        ]
        return {url.netloc for url in urls if url.scheme in ("http", "https", "ws", "wss")}


TABLE = """
return [...arguments[0].querySelector("table").querySelectorAll("tr")].map(
    line => [...line.querySelectorAll("th, td")].map(cell => cell.innerText.trim()));
"""


def table(place: WebElement) -> list[dict[str, str]]:
    """Return the rows of the first table of an element, read in one step because the page may refresh itself."""
    head, *lines = place.parent.execute_script(TABLE, place)
    return [dict(zip(head, line, strict=True)) for line in lines]


@contextmanager
def browser(folder: Path, size: tuple[int, int] = LAPTOP) -> Iterator[Browser]:
    """Open a window with a new profile that sends no requests of its own."""
    chromium, driver = require_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for item in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-sync"):
        options.add_argument(f"--{item}")
    for item in ("disable-background-networking", "disable-component-update", f"user-data-dir={folder / 'chromium'}"):
        options.add_argument(f"--{item}")
    options.add_argument(f"--window-size={size[0]},{size[1]}")
    if size == PHONE:
        metrics = {"width": size[0], "height": size[1], "pixelRatio": 1, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    window = webdriver.Chrome(options, Service(driver))
    try:
        yield Browser(window)
    finally:
        window.quit()
