"""The dashboard, looked at through a real browser and compared with what the simulator knows."""

import socket
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import duckdb
import pytest
import requests
from avepoint_simulator import Simulator
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.browser import PHONE, Browser, table
from tests.browser.conftest import Look, Provider, Show, Shown
from tests.browser.truth import NAMES, ended, errors, night
from tests.support.cli import Desk
from tests.support.warehouse import administer, database

Sit = Callable[[Simulator], Desk]
LAST = "Freshness of this data"
ERRORS = "Top errors, last 30 days"


def opened(browser: Browser, address: str) -> None:
    """Waits for the last part of the page."""
    browser.open(address)
    browser.until(LAST)


def shown_night(browser: Browser) -> dict[str, dict[str, int]]:
    rows = browser.rows("Last night")
    return {row.pop("Service"): {name: int(cell.replace(",", "")) for name, cell in row.items()} for row in rows}


def as_of(user: Desk, tenant: str = "%") -> datetime:
    moment: datetime = user.query(f"SELECT max(window_end) FROM load_audit WHERE tenant LIKE '{tenant}'")[0][0]
    return moment.astimezone(UTC)


def choose(browser: Browser, every: str, wanted: str) -> None:
    """Chooses in the filter that has a choice ``every``."""
    chooser = browser.until(lambda: [one for one in browser.all("select") if every in one.text])[0]
    Select(chooser).select_by_visible_text(wanted)


def tiles(browser: Browser) -> list[str]:
    """The services of the tiles that are shown."""
    return sorted(one.text for one in browser.all("li.tile b"))


def services(user: Desk, condition: str) -> list[str]:
    """The services of the tiles that there should be."""
    return sorted(NAMES[one] for (one,) in user.query(f"SELECT object_type FROM protection_status WHERE {condition}"))


def test_the_dashboard_shows_what_the_server_holds(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    status = dict(shown.user.query("SELECT object_type, status FROM protection_status"))
    tiles = browser.all("li.tile")
    assert len(tiles) == len(status) > 0
    assert sorted(str(one.get_attribute("class")).split()[-1] for one in tiles) == sorted(status.values())
    assert all(one.find_element("css selector", ".word").text for one in tiles)
    browser.until(lambda: shown_night(browser) == night(shown.world, until=as_of(shown.user)))
    browser.until(lambda: browser.all("tbody [role=checkbox]"))
    assert browser.poor_contrasts() == []


def test_nothing_is_fetched_from_elsewhere(shown: Shown) -> None:
    opened(shown.browser, shown.address)
    assert shown.browser.asked() == {urlsplit(shown.address).netloc}


def test_the_filter_of_the_service_narrows_every_part(provider: Provider) -> None:
    browser = provider.browser
    opened(browser, provider.address)
    truth = night(*provider.worlds.values(), until=as_of(provider.user))
    service = max(truth, key=lambda one: truth[one]["Jobs"])
    choose(browser, "All services", service)
    browser.until(lambda: shown_night(browser) == {service: truth[service]})
    browser.until(lambda: set(tiles(browser)) == {service})
    assert tiles(browser) == [one for one in services(provider.user, "true") if one == service]
    choose(browser, "All services", "All services")
    browser.until(lambda: shown_night(browser) == truth)
    assert tiles(browser) == services(provider.user, "true")


def test_the_filter_of_the_tenant_shows_nothing_of_the_others(provider: Provider) -> None:
    browser = provider.browser
    opened(browser, provider.address)
    for tenant, world in provider.worlds.items():
        choose(browser, "All tenants", tenant)
        truth = night(world, until=as_of(provider.user, tenant))
        browser.until(lambda truth=truth: shown_night(browser) == truth)
        browser.until(lambda tenant=tenant: tiles(browser) == services(provider.user, f"tenant = '{tenant}'"))
        headings = [one.text for one in browser.all("section.m365 h3")]
        assert {one.split(" · ")[0] for one in headings if " · " in one} == {tenant}
        others = {job.id for name, other in provider.worlds.items() if name != tenant for job in other.visible()}
        text = browser.text()
        assert not [one for one in others if one in text]


def test_the_filter_of_the_location_narrows_every_part(provider: Provider) -> None:
    browser, until = provider.browser, as_of(provider.user)
    opened(browser, provider.address)
    for location in ("NAM", "EUR"):
        choose(browser, "Everywhere", location)
        truth = night(*provider.worlds.values(), until=until, location=location)
        browser.until(lambda truth=truth: shown_night(browser) == truth)
        wanted = services(provider.user, f"location = '{location}'")
        browser.until(lambda wanted=wanted: tiles(browser) == wanted)


def test_the_filter_of_the_time_changes_trends_and_errors(provider: Provider) -> None:
    browser, until = provider.browser, as_of(provider.user)
    opened(browser, provider.address)
    for days, choice in ((7, "7 days"), (90, "90 days")):
        choose(browser, "90 days", choice)
        trends = browser.until(lambda days=days: browser.section(f"Trends, last {days} days"))
        first = (until - timedelta(days=days - 1)).date()
        ended_since = [
            job
            for world in provider.worlds.values()
            for job in ended(world, datetime(first.year, first.month, first.day, tzinfo=UTC), until + timedelta(1))
        ]
        bars = [one.get_attribute("textContent") for one in trends.find_elements("css selector", "figure title")]
        outcomes = [bar.partition(": ")[2].split() for bar in bars if not bar.endswith("objects")]
        assert sum(int(count.replace(",", "")) for count, *_ in outcomes) == len(ended_since)
        errors_shown = browser.until(lambda days=days: browser.section(f"Top errors, last {days} days"))
        truth = Counter[str]()
        for world in provider.worlds.values():
            for (service, message), (times, _) in errors(world, until, days).items():
                truth[f"{service}: {message}"] += times
        titles = [one.get_attribute("textContent") for one in errors_shown.find_elements("css selector", "title")]
        named = [title.removesuffix(" times").rsplit(" ", 1) for title in titles]
        assert {name: int(times.replace(",", "")) for name, times in named}.items() <= truth.items()
        assert sorted(int(times.replace(",", "")) for _, times in named) == sorted(truth.values())[-len(named) :]


def test_it_shows_what_postgresql_holds_and_says_so_while_that_is_down(
    simulator: Simulator, desk: Sit, show: Show, look: Look
) -> None:
    user, browser = desk(simulator), look()
    with database() as address:
        user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
        user.run("load", "--destination", "postgres")
        opened(browser, show(user, "--destination", "postgres"))
        until = administer("SELECT max(window_end) FROM m365_jobs.load_audit", address=address)[0][0]
        truth = night(simulator.world, until=until)
        browser.until(lambda: shown_night(browser) == truth)
        service = max(truth, key=lambda one: truth[one]["Jobs"])
        choose(browser, "All services", service)
        browser.until(lambda: shown_night(browser) == {service: truth[service]})
    # The database is gone.
    browser.until("The destination has no such database")


def test_an_error_leads_to_its_jobs_with_the_keyboard_alone(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    browser.until(lambda: browser.all("tbody [role=checkbox]"))
    for _ in range(60):
        browser.press(Keys.TAB)
        # The table is drawn twice, a moment apart: the first error is the one that is there now.
        if browser.focus() in browser.all("tbody [role=checkbox]")[:1]:
            break
    else:
        raise AssertionError("Tab does not lead to the first error")
    row = browser.driver.execute_script("return arguments[0].closest('tr').innerText", browser.focus())
    browser.press(Keys.SPACE)
    jobs = browser.until(lambda: browser.all("section.m365:has(h3 + p + .scroll)"))[-1]
    service, message = jobs.find_element("css selector", "h3").text.split(": ", 1)
    assert service in row
    assert message in row
    times, ids = errors(shown.world, as_of(shown.user))[service, message]
    assert str(times) in row
    assert {one["Job"] for one in table(jobs)} == ids
    # The table with a choice, the controls under it, and what has the focus can be read by everybody.
    assert browser.poor_contrasts() == []


def test_it_says_so_while_a_load_writes_and_goes_on_afterwards(
    simulator: Simulator, desk: Sit, show: Show, look: Look
) -> None:
    user = desk(simulator)
    user.run("load")
    browser = look()
    address = show(user)
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")):
        browser.open(address)
        browser.until("A load is writing; showing again in a moment.")
    browser.until(LAST)
    assert "A load is writing" not in browser.text()


def test_another_load_shows_up_by_itself(simulator: Simulator, desk: Sit, show: Show, look: Look) -> None:
    user = desk(simulator)
    user.run("load")
    browser = look()
    opened(browser, show(user))
    simulator.world.advance(timedelta(hours=9))
    user.run("load")
    browser.until(lambda: shown_night(browser) == night(simulator.world, until=as_of(user)))


def test_an_empty_warehouse_says_what_to_do(simulator: Simulator, desk: Sit, show: Show, look: Look) -> None:
    user, browser = desk(simulator), look(PHONE)
    browser.open(show(user))
    browser.until("Nothing is loaded yet. Run: m365-jobs load")
    user.run("load")
    browser.until(LAST)


def test_on_a_phone_the_page_is_as_wide_as_the_screen(shown: Shown, look: Look) -> None:
    browser = look(PHONE)
    opened(browser, shown.address)
    browser.until(lambda: browser.section(ERRORS))
    assert browser.width() == PHONE[0]
    assert browser.smallest_letters() >= 11


def test_other_sites_cannot_look_in(shown: Shown) -> None:
    address = shown.address
    assert requests.get(address, timeout=30).ok
    for headers in ({"Host": "rebound.example"}, {"Origin": "https://elsewhere.example"}, {"Host": "["}):
        assert requests.get(address, headers=headers, timeout=30).status_code == 403


def test_beside_loopback_a_token_is_needed(simulator: Simulator, desk: Sit, show: Show, look: Look) -> None:
    user = desk(simulator)
    user.run("load")
    shown = show(user, "--host", "0.0.0.0")
    # The name that others know this machine by, which it need not know itself.
    assert urlsplit(shown).hostname == socket.gethostname().lower()
    address = shown.replace(socket.gethostname(), "127.0.0.1", 1)
    bare, _, token = address.partition("?access_token=")
    assert len(token) > 20
    assert "/auth/login" in requests.get(bare, timeout=30).url
    assert "/auth/login" in requests.get(f"{bare}?access_token=guess", timeout=30).url
    opened(look(), address)


@pytest.mark.parametrize(
    ("arguments", "said"), [(("--host", "192.0.2.1"), "Cannot listen"), (("--tenant", "x"), "'x'")]
)
def test_what_cannot_be_shown_is_wrong_usage(
    simulator: Simulator, desk: Sit, arguments: tuple[str, str], said: str
) -> None:
    assert said in desk(simulator).run("dashboard", *arguments, code=2).stderr
