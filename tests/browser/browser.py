"""A real browser that tests look through: Chromium without a window, as Debian's packages install it."""

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

LAPTOP, PHONE = (1366, 900), (390, 844)

PATIENCE = 60
"""Seconds until a page that does not show what it should has failed; nothing waits that long otherwise."""

DEEP = """
const found = [], selector = %s;
(function walk(root) {
  for (const one of root.querySelectorAll("*")) {
    if (one.matches(selector)) found.push(one);
    if (one.shadowRoot) walk(one.shadowRoot);
  }
})(document);
return found;
"""

CONTRASTS = """
// Colours may be written in any way that CSS knows: the browser itself paints them.
const dot = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const paint = colour => {
  dot.clearRect(0, 0, 1, 1); dot.fillStyle = colour; dot.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = dot.getImageData(0, 0, 1, 1).data;
  return [[r, g, b], a / 255];
};
const over = (ink, share, paper) => paper.map((value, index) => value * (1 - share) + ink[index] * share);
const light = colour => {
  const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const above = one => one.parentElement || one.getRootNode().host;
const up = one => { const all = []; for (; one; one = above(one)) all.push(one); return all; };
const paper = one => up(one).reverse().reduce((under, each) =>
    over(...paint(getComputedStyle(each).backgroundColor), under), [255, 255, 255]);
const said = one => one.tagName === "SELECT" ? one.selectedOptions[0]?.text
    : one.tagName === "INPUT" ? one.value || one.placeholder
    : [...one.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join("");
const poor = [];
(function walk(root) {
  for (const one of root.querySelectorAll("*")) {
    if (one.shadowRoot) walk(one.shadowRoot);
    const text = said(one), style = getComputedStyle(one), box = one.getBoundingClientRect();
    const drawn = one.closest("svg"), share = up(one).reduce((all, each) => all * getComputedStyle(each).opacity, 1);
    if (!text || one.closest("title, style, script, option")) continue;
    // Without a share it shows itself under the pointer only.
    if (box.width < 2 || style.visibility === "hidden" || !share) continue;
    const under = drawn ? [255, 255, 255] : paper(one), [ink, opaque] = paint(drawn ? style.fill : style.color);
    const [a, b] = [light(over(ink, opaque * share, under)), light(under)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([text, style.color, ((a + 0.05) / (b + 0.05)).toFixed(2)]);
  }
})(document);
return poor;
"""


def require_chromium() -> tuple[str, str]:
    """Browser and driver; skips a test without them, fails it where they are promised."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    word = "Chromium and chromedriver are needed to look at pages (on Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("M365_TEST_BROWSER_REQUIRED"):
        pytest.fail(word)
    pytest.skip(word)


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def until(self, said: str | Callable[[], Any]) -> Any:
        """Waits for a text on the page, or for something to be true; that."""
        question = (lambda: said in self.text()) if isinstance(said, str) else said
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.2, [StaleElementReferenceException]).until(
                lambda _: question()
            )
        except Exception as error:
            raise AssertionError(f"{said} is not there, but:\n{self.text()}") from error

    def all(self, selector: str) -> list[WebElement]:
        """Elements, those inside of marimo's own ones included."""
        found: list[WebElement] = self.driver.execute_script(DEEP % json.dumps(selector))
        return found

    def press(self, key: str) -> None:
        """Strikes a key."""
        ActionChains(self.driver).send_keys(key).perform()

    def focus(self) -> WebElement:
        """The element that keys reach."""
        script = "let one = document.activeElement; while (one?.shadowRoot) one = one.shadowRoot.activeElement"
        found: WebElement = self.driver.execute_script(f"{script}; return one;")
        return found

    def section(self, title: str) -> WebElement | None:
        """A part of the page by its heading."""
        for one in self.all("section.m365"):
            if one.find_elements("css selector", "h2") and one.find_element("css selector", "h2").text == title:
                return one
        return None

    def rows(self, title: str) -> list[dict[str, str]]:
        """The first table of a section."""
        section = self.section(title)
        assert section, f"There is no {title!r} in:\n{self.text()}"
        return table(section)

    def width(self) -> int:
        return int(self.driver.execute_script("return document.documentElement.scrollWidth"))

    def poor_contrasts(self) -> list[Any]:
        """Texts, those of controls included, with less than 4.5 to 1 against what they stand on."""
        found: list[Any] = self.driver.execute_script(CONTRASTS)
        return found

    def smallest_letters(self) -> float:
        """Of drawings, in the page's pixels, whatever the size at which a drawing is shown."""
        sizes = [
            self.driver.execute_script(
                "const one = arguments[0], drawing = one.ownerSVGElement;"
                "return parseFloat(getComputedStyle(one).fontSize)"
                " * drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width",
                one,
            )
            for one in self.all("figure text")
        ]
        return float(min(sizes))

    def asked(self) -> set[str]:
        """Hosts that pages have asked for anything so far; not of addresses within the browser itself."""
        messages = [json.loads(one["message"])["message"] for one in self.driver.get_log("performance")]
        urls = [
            urlsplit(one["params"].get("request", one["params"]).get("url", ""))
            for one in messages
            if one["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
        ]
        return {url.netloc for url in urls if url.scheme in ("http", "https", "ws", "wss")}


def table(place: WebElement) -> list[dict[str, str]]:
    """The first table of a part of a page."""
    lines = place.find_element("css selector", "table").find_elements("css selector", "tr")
    cells = [[cell.text for cell in line.find_elements("css selector", "th, td")] for line in lines]
    return [dict(zip(cells[0], line, strict=True)) for line in cells[1:]]


@contextmanager
def browser(folder: Path, size: tuple[int, int] = LAPTOP) -> Iterator[Browser]:
    """A window of its own, which knows nothing of earlier ones and asks nobody for anything by itself."""
    chromium, driver = require_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for one in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-sync"):
        options.add_argument(f"--{one}")
    for one in ("disable-background-networking", "disable-component-update", f"user-data-dir={folder / 'chromium'}"):
        options.add_argument(f"--{one}")
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
