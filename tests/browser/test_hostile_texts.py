"""Test that the dashboard shows texts of a malicious API, and that the browser executes none of them."""

from dataclasses import replace
from urllib.parse import quote, urljoin

from avepoint_simulator import JobError, Simulator

from tests.browser.browser import Browser
from tests.browser.conftest import Look, Show
from tests.support.cli import NewUser

MARKUP = '"><img src=x onerror="window.owned=1"><script>window.owned=1</script>{{7*7}}'
LINK = "javascript:window.owned=1"
INTRUDERS = """
return [
  typeof window.owned,
  document.querySelectorAll("[onerror], img[src=x]").length,
  [...document.scripts].filter(script => script.textContent.includes("owned")).length,
  [...document.links].filter(link => link.protocol === "javascript:").length,
];
"""


def check(browser: Browser) -> None:
    """Check that the texts added no element to the page, and that the browser executed none of them."""
    assert browser.driver.execute_script(INTRUDERS) == ["undefined", 0, 0, 0]


def test_what_the_api_sends_executes_nothing_on_any_page(
    simulator: Simulator, new_user: NewUser, show: Show, look: Look
) -> None:
    user, world = new_user(simulator), simulator.world
    for job in list(world.visible()):
        error = JobError(f"Denied: {MARKUP}", False, LINK, 5)
        world.remove(job.id)
        state = f"Failed {MARKUP}" if job.finished(world.now) else job.final_state
        world.put(replace(job, id=f"{job.id}{MARKUP}", final_state=state, failed=job.total, skipped=0, errors=(error,)))
    user.run("load")
    browser, address = look(), show(user)
    browser.open(address)
    browser.until("Freshness of this data")
    browser.open_all()
    check(browser)
    assert MARKUP in browser.text()
    browser.all("#errors td.number a")[0].click()
    browser.until("with the error")
    check(browser)
    assert MARKUP in browser.text()
    assert [job for job in world.visible() if job.id in browser.text()]
    for name in ("tenant", "location", "service", "period", "error"):
        browser.open(urljoin(address, f"?{name}={quote(MARKUP)}"))
        check(browser)
