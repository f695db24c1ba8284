"""Test the dashboard in a real browser: its pages show the data of the simulator."""

import os
import re
import shutil
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import duckdb
import pytest
import requests
from avepoint_simulator import Simulator
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.browser import PHONE, Browser, table
from tests.browser.conftest import Look, Provider, Show, Shown, dashboard
from tests.browser.truth import NAMES, ended, errors, night
from tests.support.cli import Cli, NewUser
from tests.support.project import ROOT
from tests.support.proxy import NGINX, nginx, reverse_proxy
from tests.support.warehouse import administer, database

LAST = "Freshness of this data"


def opened(browser: Browser, address: str) -> None:
    """Open a page, and wait for its last part."""
    browser.open(address)
    browser.until(LAST)


def shown_night(browser: Browser) -> dict[str, dict[str, int]]:
    rows = browser.rows("night")
    return {row.pop("Service"): {name: int(cell.replace(",", "")) for name, cell in row.items()} for row in rows}


def as_of(user: Cli, tenant: str = "%") -> datetime:
    moment: datetime = user.query(f"SELECT max(window_end) FROM load_audit WHERE tenant LIKE '{tenant}'")[0][0]
    return moment.astimezone(UTC)


def choose(browser: Browser, **choices: str) -> None:
    """Select values of filters, and open the page that they lead to."""
    for name, text in choices.items():
        Select(browser.all(f"select[name={name}]")[0]).select_by_visible_text(text)
    button = browser.all(".filters button")[0]
    button.click()
    browser.until(lambda: LAST in browser.text() and button not in browser.all(".filters button"))


def tiles(browser: Browser) -> list[str]:
    """Return the services of the tiles on the page."""
    browser.section("protection")
    return sorted(tile.text for tile in browser.all("li.tile b"))


def services(user: Cli, condition: str) -> list[str]:
    """Return the services that the page should show as tiles."""
    return sorted(NAMES[name] for (name,) in user.query(f"SELECT object_type FROM protection_status WHERE {condition}"))


def test_the_dashboard_shows_what_the_server_holds(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    status = dict(shown.user.query("SELECT object_type, status FROM protection_status"))
    browser.section("protection")
    shown_tiles = {tile.find_element("css selector", "b").text: tile for tile in browser.all("li.tile")}
    assert {name: tile.get_attribute("data-status") for name, tile in shown_tiles.items()} == {
        NAMES[service]: word for service, word in status.items()
    }
    assert shown_night(browser) == night(shown.world, until=as_of(shown.user))


def test_verdict_and_findings_are_those_of_health(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    health = shown.user.run("health", "--format", "json", code=4 if "Unhealthy" in browser.text() else 0).stdout
    reasons = re.findall(r'"severity": "(\w+)"', health)
    verdict = browser.all(".verdict")[0].text
    assert f"{reasons.count('problem')} problem" in verdict
    assert f"{reasons.count('warning')} warning" in verdict
    assert len(browser.all("li.finding")) == reasons.count("problem")


def test_nobody_is_kept_from_using_the_pages(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    assert browser.barriers() == []
    opened_jobs = browser.section("errors")
    assert opened_jobs
    opened_jobs.find_element("css selector", "td.number a").click()
    browser.until("with the error")
    assert browser.barriers() == []


def test_nothing_is_fetched_from_elsewhere(shown: Shown) -> None:
    opened(shown.browser, shown.address)
    assert shown.browser.asked() == {urlsplit(shown.address).netloc}
    policy = requests.get(shown.address, timeout=30).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_several_tenants_are_rows_and_a_matrix_that_lead_to_their_pages(provider: Provider) -> None:
    browser = provider.browser
    opened(browser, provider.address)
    assert {row["Tenant"] for row in browser.rows("fleet")} == set(provider.worlds)
    problems = [int(row["Problems"]) for row in browser.rows("fleet")]
    assert problems == sorted(problems, reverse=True)
    cells = [cell.get_attribute("title") for cell in browser.all("#matrix td[title]")]
    pairs = provider.user.query("SELECT DISTINCT tenant, object_type FROM protection_status")
    assert sorted(title.partition(":")[0] for title in cells if title) == sorted(
        f"{tenant}, {NAMES[service]}" for tenant, service in pairs
    )
    assert browser.barriers() == []
    link = next(part for part in browser.all("#fleet td a") if part.text == "fabrikam")
    link.click()
    browser.until(lambda: "fabrikam" in browser.all("h1")[0].text)
    assert shown_night(browser) == night(provider.worlds["fabrikam"], until=as_of(provider.user, "fabrikam"))
    browser.open(provider.address + "?sort=tenant")
    assert [row["Tenant"] for row in browser.rows("fleet")] == sorted(provider.worlds)


def test_the_table_of_tenants_fits_a_small_window(provider: Provider, look: Look) -> None:
    browser = look((1024, 900))
    opened(browser, provider.address)
    assert browser.hidden_width("#fleet table") <= 0


def test_filters_narrow_every_part_and_stand_in_the_address(provider: Provider) -> None:
    browser, until = provider.browser, as_of(provider.user, "contoso")
    opened(browser, provider.address)
    choose(browser, tenant="contoso", location="EUR")
    world = provider.worlds["contoso"]
    truth = night(world, until=until, location="EUR")
    assert shown_night(browser) == truth
    assert tiles(browser) == services(provider.user, "tenant = 'contoso' AND location = 'EUR'")
    service = max(truth, key=lambda name: truth[name]["Jobs"])
    choose(browser, service=service)
    assert shown_night(browser) == {service: truth[service]}
    assert set(tiles(browser)) == {service}
    # Another user with this address sees the same page.
    address = browser.driver.current_url
    browser.open("about:blank")
    opened(browser, address)
    assert shown_night(browser) == {service: truth[service]}
    others = {job.id for job in provider.worlds["fabrikam"].visible()} - {job.id for job in world.visible()}
    browser.open_all()
    assert not [job for job in others if job in browser.text()]


def test_the_period_changes_trends_and_errors(shown: Shown) -> None:
    browser, until = shown.browser, as_of(shown.user)
    for days, choice in ((7, "7 days"), (90, "90 days")):
        opened(browser, shown.address)
        choose(browser, days=choice)
        trends = browser.section("trends")
        assert trends
        first = (until - timedelta(days=days - 1)).date()
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        bars = [bar.get_attribute("textContent") or "" for bar in trends.find_elements("css selector", "figure title")]
        outcomes = [bar.partition(": ")[2].split() for bar in bars if not bar.endswith("objects")]
        assert sum(int(count.replace(",", "")) for count, *_ in outcomes) == len(ended(shown.world, since, until))
        truth = {key: (times, len(ids)) for key, (times, ids) in errors(shown.world, until, days).items()}
        rows = {
            (row["Service"], row["Error"]): (int(row["Occurrences"]), int(row["Jobs"]))
            for row in browser.rows("errors")
        }
        assert rows.items() <= truth.items()
        assert len(rows) == min(20, len(truth))


def test_without_javascript_everything_but_the_refresh_works(shown: Shown) -> None:
    browser = shown.browser
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(shown.address)
        Select(browser.all("select[name=days]")[0]).select_by_visible_text("7 days")
        browser.all(".filters button")[0].click()
        browser.until(lambda: "days=7" in browser.driver.current_url and browser.all("#errors summary"))[0].click()
        browser.all("#errors td.number a")[0].click()
        browser.until(lambda: browser.all("table.jobs tbody tr"))
        assert "last 7 days" in browser.all("h2")[0].text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_an_error_leads_to_its_jobs_with_the_keyboard_alone(shown: Shown) -> None:
    browser = shown.browser
    opened(browser, shown.address)
    for _ in range(80):
        browser.press(Keys.TAB)
        focus = browser.focus()
        if focus.tag_name == "summary" and focus.text.startswith("Top errors"):
            browser.press(Keys.SPACE)
        if focus in browser.all("#errors td.number a")[:1]:
            break
    else:
        raise AssertionError("Tab does not lead to the first error")
    row = browser.rows("errors")[0]
    browser.press(Keys.ENTER)
    browser.until("with the error")
    times, ids = errors(shown.world, as_of(shown.user))[row["Service"], row["Error"]]
    assert row["Occurrences"] == f"{times:,}"
    assert {job["Job"] for job in table(browser.all("main section")[0])} == ids


def test_it_says_so_while_a_load_writes_and_goes_on_afterwards(
    simulator: Simulator, new_user: NewUser, show: Show, look: Look
) -> None:
    user = new_user(simulator)
    user.run("load")
    browser = look()
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")):
        browser.open(show(user, "--refresh", "1"))
        browser.until("A load is writing.")
    browser.until(LAST)
    assert "A load is writing" not in browser.text()


def test_another_load_shows_up_by_itself_and_what_was_opened_stays_open(
    simulator: Simulator, new_user: NewUser, show: Show, look: Look
) -> None:
    user = new_user(simulator)
    user.run("load")
    browser = look()
    opened(browser, show(user, "--refresh", "1"))
    browser.all("#night summary")[0].click()
    simulator.world.advance(timedelta(hours=9))
    user.run("load")
    # The page keeps the section open; the test does not open it again.
    truth = night(simulator.world, until=as_of(user))
    browser.until(lambda: [row["Jobs"] for row in table(browser.all("#night")[0])] and shown_night(browser) == truth)
    assert browser.all("#night details[open]")


@pytest.mark.parametrize("proxy", ["nginx", "one like it"])
def test_behind_a_proxy_under_a_path_it_works_and_a_page_that_is_cut_off_says_so(
    simulator: Simulator, new_user: NewUser, look: Look, proxy: str
) -> None:
    if proxy == "nginx" and not shutil.which(NGINX):
        assert "M365_TEST_BROWSER_REQUIRED" not in os.environ, "nginx is missing: apt-get install nginx-light"
        pytest.skip("nginx is not installed")
    user = new_user(simulator)
    user.run("load")
    browser = look()
    with ExitStack() as stack:
        with dashboard(user, "--refresh", "1") as address:
            if proxy == "nginx":
                behind = nginx(address, user.folder / "nginx", documented_location())
            else:
                behind = reverse_proxy(address)
            proxied = stack.enter_context(behind)
            opened(browser, proxied)
            assert "Drawn 20" in browser.text()
            browser.section("errors")
            browser.all("#errors td.number a")[0].click()
            browser.until("with the error")
            browser.all("main a")[0].click()
            browser.until(LAST)
            assert browser.driver.current_url.startswith(proxied)
        browser.until("Cut off from the dashboard. This page is ")
        # The open page recovers without the user when the dashboard starts again.
        stack.enter_context(dashboard(user, "--refresh", "1", "--port", str(urlsplit(address).port)))
        browser.until(lambda: "Cut off" not in browser.text())


def documented_location() -> str:
    """Return the nginx configuration of the documentation."""
    page = (ROOT / "docs" / "how-to" / "dashboard-and-reports.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    return str(block)


def test_an_empty_warehouse_says_what_to_do(simulator: Simulator, new_user: NewUser, show: Show, look: Look) -> None:
    user, browser = new_user(simulator), look(PHONE)
    browser.open(show(user, "--refresh", "1"))
    browser.until("Nothing is loaded yet. Run: m365-jobs load")
    user.run("load")
    browser.until(LAST)


def test_a_phone_shows_the_state_in_its_first_screen_and_no_wider_than_itself(shown: Shown, look: Look) -> None:
    browser = look(PHONE)
    opened(browser, shown.address)
    first = browser.all("li.finding, #warnings summary")[0]
    assert first.rect["y"] + 60 < PHONE[1]
    browser.open_all()
    assert browser.width() == PHONE[0]
    assert browser.smallest_letters() >= 11


@pytest.mark.parametrize("size", [PHONE, (1280, 900)], ids=["phone", "desk"])
def test_long_names_of_tenants_cover_no_filter_and_leave_room_for_their_services(
    simulator: Simulator, new_user: NewUser, show: Show, look: Look, size: tuple[int, int]
) -> None:
    user, browser = new_user(simulator), look(size)
    for name in ("A customer with a long name, blanks and brackets (subsidiary of the group) of 2026", "contoso"):
        user.set(tenant=name)
        user.run("load")
    opened(browser, show(user))
    places = [part.rect for part in browser.all(".filters select")]
    for place, after in pairwise(places):
        is_below = after["y"] >= place["y"] + place["height"]
        assert is_below or after["x"] >= place["x"] + place["width"]
    assert max(place["width"] for place in places) <= size[0] / 2
    assert max(part.rect["width"] for part in browser.all("#matrix th[scope=row]")) <= size[0] / 2
    assert browser.width() <= size[0]


def test_other_sites_cannot_look_in(shown: Shown) -> None:
    address = shown.address
    assert requests.get(address, timeout=30).ok
    for headers in ({"Host": "rebound.example"}, {"Origin": "https://elsewhere.example"}, {"Host": "["}):
        assert requests.get(address, headers=headers, timeout=30).status_code == 403


def test_beside_loopback_a_token_is_needed(simulator: Simulator, new_user: NewUser, show: Show, look: Look) -> None:
    user = new_user(simulator)
    user.run("load")
    shown = show(user, "--host", "0.0.0.0")
    # Other machines resolve this name; this machine may not be able to, so the test uses 127.0.0.1.
    assert urlsplit(shown).hostname == socket.gethostname().lower()
    address = shown.replace(socket.gethostname(), "127.0.0.1", 1)
    bare, _, token = address.partition("?access_token=")
    assert len(token) > 20
    for refused in (bare, f"{bare}?access_token=guess", f"{bare}jobs"):
        answer = requests.get(refused, timeout=30)
        assert answer.status_code == 401
        assert "Exchange" not in answer.text
    assert requests.get(bare, headers={"Authorization": f"Bearer {token}"}, timeout=30).ok
    browser = look()
    opened(browser, address)
    assert token not in browser.driver.current_url
    browser.driver.delete_all_cookies()
    browser.open(bare)
    browser.all("input[type=password]")[0].send_keys(token, Keys.ENTER)
    browser.until(LAST)


def test_it_shows_what_postgresql_holds_and_says_so_while_that_is_down(
    simulator: Simulator, new_user: NewUser, show: Show, look: Look
) -> None:
    user, browser = new_user(simulator), look()
    with database() as address:
        user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
        user.run("load", "--destination", "postgres")
        opened(browser, show(user, "--destination", "postgres", "--refresh", "1"))
        until = administer("SELECT max(window_end) FROM m365_jobs.load_audit", address=address)[0][0]
        assert shown_night(browser) == night(simulator.world, until=until)
    # The database has been dropped.
    browser.until("The destination has no such database")
    browser.until(" old. Waiting for the dashboard.")


@pytest.mark.parametrize(
    ("arguments", "message"), [(("--host", "192.0.2.1"), "Cannot listen"), (("--tenant", "x"), "'x'")]
)
def test_what_cannot_be_shown_is_wrong_usage(
    simulator: Simulator, new_user: NewUser, arguments: tuple[str, str], message: str
) -> None:
    assert message in new_user(simulator).run("dashboard", *arguments, code=2).stderr
