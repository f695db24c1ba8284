"""The report: one file, the same figures, nothing from elsewhere."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dlt
import pytest
from avepoint_simulator import JobError, Simulator, make_world
from m365_jobs.marts.catalog import questions
from m365_jobs.reports import charts, html, image, metrics, report
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.browser.browser import LAPTOP, PHONE
from tests.browser.conftest import Look, Shown
from tests.browser.test_dashboard import as_of, shown_night
from tests.browser.truth import errors, night
from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import NOW, Desk
from tests.support.warehouse import Place, database
from tests.support.worlds import ignore

Sit = Callable[[Simulator], Desk]


class Elements(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_the_report_opens_offline_and_shows_what_the_server_holds(
    shown: Shown, look: Look, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "report.html"
    shown.user.run("report", str(path))
    browser = look(size)
    browser.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.open(path.as_uri())
    assert shown_night(browser) == night(shown.world, until=as_of(shown.user))
    found = {
        (row["Service"], row["Error"]): (int(row["Occurrences"]), int(row["Jobs"]))
        for row in browser.rows("Top errors, last 30 days")
    }
    truth = {key: (times, len(ids)) for key, (times, ids) in errors(shown.world, as_of(shown.user)).items()}
    assert found.items() <= truth.items()
    assert sorted(times for times, _ in found.values()) == sorted(times for times, _ in truth.values())[-len(found) :]
    assert len(found) == min(20, len(truth))
    assert browser.width() <= size[0]
    assert browser.smallest_letters() >= 11
    assert browser.poor_contrasts() == []
    assert browser.asked() == set()
    # On paper nothing scrolls, so nothing may be wider than a sheet of A4.
    sheet = {"width": 717, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.all("table")
    assert [one.text for one in browser.all("table, svg") if one.rect["x"] + one.rect["width"] > 717] == []


def test_the_report_refers_to_nothing_outside_but_pages_that_explain_errors(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown.user.run("report", str(path))
    for tag, attributes in Elements(path.read_text(encoding="utf-8")).found:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed")
        assert tag == "a" or not {"src", "href", "xlink:href"} & attributes.keys()


def test_charts_come_as_png_and_pdf_too(shown: Shown, tmp_path: Path) -> None:
    for ending, mark in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        path = tmp_path / f"report{ending}"
        shown.user.run("report", str(path))
        assert path.read_bytes().startswith(mark)


def test_times_are_in_the_zone_that_is_asked_for(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown.user.run("report", str(path), "--timezone", "Asia/Kolkata")
    local = as_of(shown.user) + timedelta(hours=5, minutes=30)
    page = path.read_text(encoding="utf-8")
    assert f"Data as of {local:%Y-%m-%d %H:%M} IST." in page
    assert "Times are Asia/Kolkata" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report.docx",), "a report ends in .html"),
        (("report.html", "--timezone", "Mars/Olympus"), "'Mars/Olympus' is not known"),
        (("report.html", "--tenant", "nobody"), "'nobody'"),
    ],
)
def test_a_report_that_cannot_be_is_wrong_usage(shown: Shown, arguments: tuple[str, ...], said: str) -> None:
    assert said in shown.user.run("report", *arguments, code=2).stderr


def test_before_the_first_load_it_says_what_to_do(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    for name in ("report.html", "report.png", "report.pdf"):
        user.run("report", name)
        assert (user.folder / name).stat().st_size > 0
    assert "Nothing is loaded yet. Run: m365-jobs load" in (user.folder / "report.html").read_text(encoding="utf-8")


def test_old_data_is_not_shown_as_protection_now(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    user.set(protection__max_data_age_hours="0.0000001")
    user.run("load")
    user.run("report", "report.html")
    page = (user.folder / "report.html").read_text(encoding="utf-8")
    assert "it shows how things stood then" in page
    assert 'class="tile unknown"' in page
    assert 'class="tile protected"' not in page


def test_a_report_of_one_tenant_names_no_other(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    with Simulator(make_world(60, seed=9, now=NOW)) as other:
        configure(user, section("contoso", simulator) + section("fabrikam", other))
        user.run("load", "--all-tenants")
    user.run("report", "report.html", "--tenant", "contoso")
    page = (user.folder / "report.html").read_text(encoding="utf-8")
    assert "contoso" in page
    assert "fabrikam" not in page
    assert not [job.id for job in other.world.visible() if job.id in page]


def test_what_the_api_sends_is_text_and_never_markup(simulator: Simulator, desk: Sit) -> None:
    user, world = desk(simulator), simulator.world
    # What XML has no place for among it; to draw that would end the process.
    hostile = '\x1b[31m\x00\uffff<img src=x onerror="alert(1)">&lt;'
    for job in list(world.visible()):
        if job.finished(world.now):
            world.put(replace(job, errors=(JobError(hostile, False, "javascript:alert(1)", 5),)))
    user.run("load")
    for ending in ("png", "pdf", "html"):
        user.run("report", f"report.{ending}")
    found = Elements((user.folder / "report.html").read_text(encoding="utf-8")).found
    assert "img" not in {tag for tag, _ in found}
    assert not [one for one in found if "javascript" in (one[1].get("href") or "")]


def test_jobs_whose_service_nobody_knows_are_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    place, now = Place("duckdb"), datetime.now(UTC)
    ignore(simulator.world, 0)
    place.load(simulator)
    assert place.rows("SELECT DISTINCT object_type FROM jobs") == [(None,)]
    with open_scope(place.pipeline()) as scope:
        found = metrics.read(scope, metrics.Filter())
        assert found is not None
        error = found.errors[0]
        behind = metrics.jobs_of_error(scope, found.chosen, found.as_of, None, error["error_message"])
    assert len(behind) == error["jobs"]
    slow = [{**row, "median": 9.0, "high": 1.0} for row in found.durations]
    shown = report.page(replace(found, durations=slow), now, UTC) + html.jobs_of_error(error, "All", behind, UTC)
    assert "than nine in ten of the backups before: Unknown service." in shown
    assert f"<h3>Unknown service: {escape(error['error_message'])}" in re.sub("</?a[^>]*>", "", shown)
    assert "None" not in shown
    nobody = "No service is known to have had a backup in the last 30 days, and none is expected"
    assert nobody in shown
    assert nobody in image._svg(found, now, UTC)


def test_an_error_without_a_message_is_called_so_in_the_chart() -> None:
    row = {"object_type": "teams", "error_message": None, "occurrences": 2}
    assert re.findall(r">([^<]+)</text>", charts.svg(charts.errors([row]))) == [
        "Teams: no message", "2", "Top errors, by occurrences",
    ]  # fmt: skip


def test_figures_are_the_same_on_duckdb_and_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    until = datetime.now(UTC)
    with database() as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        found = []
        for place in (Place("duckdb"), Place("postgres")):
            place.load(simulator)
            found.append((_figures(place.pipeline(), until), _answers(place.pipeline())))
    assert found[0] == found[1]
    assert all(found[0][0].values())


def _figures(pipeline: dlt.Pipeline, until: datetime) -> dict[str, Any]:
    chosen = metrics.Filter(location=metrics.NO_LOCATION, days=60)
    with open_scope(pipeline) as scope:
        return {
            "night": metrics.last_night(scope, chosen, until),
            "trend": metrics.trend(scope, chosen, until),
            "durations": [
                {name: round(value, 9) if isinstance(value, float) else value for name, value in row.items()}
                for row in metrics.durations(scope, chosen, until)
            ],
            "errors": (found := metrics.errors(scope, chosen, until)),
            "jobs": [
                metrics.jobs_of_error(scope, chosen, until, row["object_type"], row["error_message"]) for row in found
            ],
            "choices": metrics.choices(scope),
            "protection": [
                {name: row[name] for name in ("object_type", "status", "last_success_at", "consecutive_failures")}
                for row in metrics.protection(scope, chosen)
            ],
        }


def _answers(pipeline: dlt.Pipeline) -> dict[str, int]:
    """How many rows answer each question of the analyst's notebook."""
    with open_scope(pipeline) as scope:
        return {one.name: len(scope.rows(one.sql)) for one in questions()}
