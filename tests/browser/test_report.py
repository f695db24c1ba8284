"""Test the report: a single file with the figures of the server, which needs no other file or host."""

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dlt
import pypdfium2
import pytest
from avepoint_simulator import JobError, Simulator, make_world
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from m365_jobs.config.calendar import parse_backup_window
from m365_jobs.marts.catalog import questions
from m365_jobs.reports import report
from m365_jobs.reports.calendar import read_due_times
from m365_jobs.reports.metrics import QueryRange, filter_options
from m365_jobs.reports.sections import SECTIONS
from m365_jobs.reports.sections.durations import read_durations
from m365_jobs.reports.sections.errors import read_errors
from m365_jobs.reports.shared_queries import read_completeness, read_loads
from m365_jobs.reports.view import NO_LOCATION, Filter
from m365_jobs.warehouse.tenant_scope import open_scope
from PIL import Image

from tests.browser.browser import LAPTOP, PHONE
from tests.browser.conftest import Look, Shown
from tests.browser.test_dashboard import as_of, shown_night
from tests.browser.truth import errors, night
from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import NOW, NewUser
from tests.support.warehouse import Warehouse, database
from tests.support.worlds import ignore


class Elements(HTMLParser):
    """Collect the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.results: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.results.append((tag, dict(attrs)))


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
    rows = {
        (row["Service"], row["Error"]): (int(row["Occurrences"]), int(row["Jobs"])) for row in browser.rows("errors")
    }
    truth = {key: (times, len(ids)) for key, (times, ids) in errors(shown.world, as_of(shown.user)).items()}
    assert rows.items() <= truth.items()
    assert sorted(times for times, _ in rows.values()) == sorted(times for times, _ in truth.values())[-len(rows) :]
    assert len(rows) == min(20, len(truth))
    assert browser.width() <= size[0]
    assert browser.smallest_letters() >= 11
    assert browser.barriers() == []
    assert browser.asked() == set()
    # A printed page cannot scroll, so no element may be wider than a sheet of A4.
    browser.colours("light")
    sheet = {"width": 717, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.all("table")
    assert [part.text for part in browser.all("table, figure") if part.rect["x"] + part.rect["width"] > 717] == []


def test_the_report_refers_to_nothing_outside_but_pages_that_explain_errors(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown.user.run("report", str(path))
    for tag, attributes in Elements(path.read_text(encoding="utf-8")).results:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed")
        assert tag == "a" or not {"src", "href", "xlink:href"} & attributes.keys()


def pages(path: Path) -> list[str]:
    """Return the text of each page of a PDF."""
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def test_the_pdf_has_pages_numbers_a_title_and_repeats_the_heads_of_its_tables(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    shown.user.run("report", str(path), "--days", "365")
    texts = pages(path)
    assert len(texts) > 1
    for number, text in enumerate(texts, 1):
        assert f"Page {number} of {len(texts)}" in text
    with pypdfium2.PdfDocument(path) as document:
        assert document.get_metadata_value("Title") == "Microsoft 365 backup"
        assert document.get_metadata_value("Author")
        assert [round(length) for length in document[0].get_size()] == [595, 842]
    split = [text for text in texts if "Occurrences" in text]
    assert "Last seen" in split[-1]
    for service, message in errors(shown.world, as_of(shown.user)):
        words = " ".join(" ".join(texts).split())
        assert service in words
        assert message.split(".")[0].split(" ")[0] in words


def test_the_paper_may_be_letter(shown: Shown, tmp_path: Path) -> None:
    shown.user.run("report", str(tmp_path / "report.pdf"), "--paper", "letter")
    with pypdfium2.PdfDocument(tmp_path / "report.pdf") as document:
        assert [round(length) for length in document[0].get_size()] == [612, 792]


def test_the_picture_is_one_png_that_ends_with_the_page(shown: Shown, tmp_path: Path) -> None:
    shown.user.run("report", str(tmp_path / "report.png"))
    picture = Image.open(tmp_path / "report.png")
    assert picture.width > 1200
    assert picture.width < picture.height < 16000
    assert picture.getbbox()


def test_times_are_in_the_zone_that_is_asked_for(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown.user.run("report", str(path), "--timezone", "Asia/Kolkata")
    local = as_of(shown.user) + timedelta(hours=5, minutes=30)
    page = path.read_text(encoding="utf-8")
    assert f"Data as of {local:%Y-%m-%d %H:%M} IST" in page
    assert "Times and days are those of Asia/Kolkata" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report.docx",), "a report ends in .html"),
        (("report.html", "--timezone", "Mars/Olympus"), "'Mars/Olympus' is unknown"),
        (("report.html", "--tenant", "nobody"), "'nobody'"),
    ],
)
def test_a_report_that_cannot_be_is_wrong_usage(shown: Shown, arguments: tuple[str, ...], message: str) -> None:
    assert message in shown.user.run("report", *arguments, code=2).stderr


def test_before_the_first_load_it_says_what_to_do(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    for name in ("report.html", "report.png", "report.pdf"):
        user.run("report", name)
        assert (user.folder / name).stat().st_size > 0
    assert "Nothing is loaded yet. Run: m365-jobs load" in (user.folder / "report.html").read_text(encoding="utf-8")


def test_old_data_is_not_shown_as_protection_now(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.set(protection__max_data_age_hours="0.0000001")
    user.run("load")
    user.run("report", "report.html")
    page = (user.folder / "report.html").read_text(encoding="utf-8")
    assert "The page shows the state at that time" in page
    assert 'data-status="unknown"' in page
    assert 'data-status="protected"' not in page


def test_a_report_of_one_tenant_names_no_other(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    with Simulator(make_world(60, seed=9, now=NOW)) as other:
        configure(user, section("contoso", simulator) + section("fabrikam", other))
        user.run("load", "--all-tenants")
    user.run("report", "report.html", "--tenant", "contoso")
    page = (user.folder / "report.html").read_text(encoding="utf-8")
    assert "contoso" in page
    assert "fabrikam" not in page
    assert not [job.id for job in other.world.visible() if job.id in page]


def test_what_the_api_sends_is_text_and_never_markup(simulator: Simulator, new_user: NewUser) -> None:
    user, world = new_user(simulator), simulator.world
    # XML does not allow some of these characters; drawing them would end the process.
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    hostile = f'\x1b[31m\x00\uffff<img src=x onerror="alert(1)">&lt; {turning}gnp.exe'
    for job in list(world.visible()):
        if job.finished(world.now):
            world.put(replace(job, errors=(JobError(hostile, False, "javascript:alert(1)", 5),)))
    user.run("load")
    for ending in ("png", "pdf", "html"):
        user.run("report", f"report.{ending}")
    page = (user.folder / "report.html").read_text(encoding="utf-8")
    for text in (page, "".join(pages(user.folder / "report.pdf"))):
        # Each character that would reverse the text beside it is shown as a code point.
        assert "[U+202E][U+2066]" in "".join(text.split())
        assert {*"\x1b", *turning} & {*text} == set()
    result = Elements(page).results
    assert "img" not in {tag for tag, _ in result}
    assert not [result for result in result if "javascript" in (result[1].get("href") or "")]


def test_jobs_whose_service_is_unknown_are_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    place = Warehouse("duckdb")
    ignore(simulator.world, 0)
    place.load(simulator)
    assert place.rows("SELECT DISTINCT object_type FROM jobs") == [(None,)]
    with open_scope(place.pipeline()) as scope:
        page = report.read_report_page(scope, place.pipeline(), Filter(), None)
    assert page is not None
    slow = [{**row, "median": 9.0, "high": 1.0} for row in page.rows(read_durations)]
    rows = {**page.metrics.rows, read_durations: slow}
    shown = report.report_html(replace(page, metrics=replace(page.metrics, rows=rows)))
    assert "than nine in ten of the backups before: Unknown service." in shown
    assert f'<td>Unknown service</td><td class="text">{escape(page.rows(read_errors)[0]["error_message"])}' in re.sub(
        "</?a[^>]*>", "", shown
    )
    assert "None" not in shown
    assert "No service had a backup in the last 30 days, and none is expected" in shown


def test_a_report_for_a_customer_has_no_commands_addresses_or_settings(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    with Simulator(make_world(60, seed=9, now=NOW)) as other:
        configure(user, section("contoso", simulator) + section("fabrikam", other, expected_object_types='["teams"]'))
        user.run("load", "--tenant", "contoso")
        # The server of the other tenant ends here: its load fails with a message that contains the address.
    user.environment["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0.001"
    user.run("load", "--tenant", "fabrikam", code=1)
    for tenant in ("contoso", "fabrikam"):
        user.run("report", f"{tenant}.html", "--tenant", tenant)
        page = (user.folder / f"{tenant}.html").read_text(encoding="utf-8")
        text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
        for word in ("http", "m365-jobs", "127.0.0.1", "_", "--", ".toml", "support.example"):
            assert word not in text, text


def test_figures_are_the_same_on_duckdb_and_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    until = datetime.now(UTC)
    with database() as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        results: list[Any] = []
        for place in (Warehouse("duckdb"), Warehouse("postgres")):
            place.load(simulator)
            results.append((_figures(place.pipeline(), until), _answers(place.pipeline())))
    assert results[0] == results[1]
    assert all(results[0][0][name] for name in ("read_trend", "read_durations", "read_errors", "read_backup_days"))


def _figures(pipeline: dlt.Pipeline, until: datetime) -> dict[str, Any]:
    shown = Filter(
        location=NO_LOCATION, days=60, zone=ZoneInfo("America/New_York"), window=parse_backup_window("20:00-06:00", "")
    )
    with open_scope(pipeline) as scope:
        queries = {query for part in SECTIONS for query in part.reads} - {read_loads, read_completeness, read_due_times}
        asked = QueryRange(shown, until)
        # Times of the two loads differ, so some queries are left out.
        figures: dict[str, Any] = {query.__name__: query(scope, asked) for query in queries}
        figures["read_durations"] = [
            {name: round(value, 9) if isinstance(value, float) else value for name, value in row.items()}
            for row in figures["read_durations"]
        ]
        # The age depends on the end of each load.
        for row in figures["read_restores"]:
            del row["last_restore_age_days"]
        return {**figures, "choices": filter_options(scope)}


def _answers(pipeline: dlt.Pipeline) -> dict[str, int]:
    """Count the rows of each question of the analyst's notebook, except of questions whose tables do not exist."""
    answers = {}
    with open_scope(pipeline) as scope:
        for question in questions():
            with suppress(DestinationUndefinedEntity):
                answers[question.name] = len(scope.rows(question.sql))
    return answers
