"""Test numbers of pages that a limit, a filter, a rounding or a tie could change, on each destination."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.cli.tables.health import health_tables
from m365_jobs.config.protection import Protection
from m365_jobs.health import check_queries
from m365_jobs.health.alerts.findings import findings_of
from m365_jobs.health.document import evaluation_document
from m365_jobs.health.status import OPEN
from m365_jobs.reports import drilldown, report, sections
from m365_jobs.reports.dashboard.app import overview_html
from m365_jobs.reports.dashboard.cache import CachedPage
from m365_jobs.reports.metrics import filter_options
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.errors import read_errors
from m365_jobs.reports.sections.findings import warnings
from m365_jobs.reports.service_report import service_report_html
from m365_jobs.reports.view import UNKNOWN_SERVICE, Filter, parse_filter
from m365_jobs.warehouse.tenant_scope import open_scope
from rich.console import Console

from tests.integration.m365_jobs.marts.rows import NOW, Error, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_companion_marts import companions, licenses, policy


def page_of(pipeline: dlt.Pipeline, filters: Filter) -> Page:
    with open_scope(pipeline) as scope:
        page = report.read_report_page(scope, pipeline, filters, filters.zone)
    assert page is not None
    return page


def built(page: Page) -> dict[str, tuple[str, str]]:
    """Return the summary and the text of each section."""
    return {
        part.section.name: (part.summary, " ".join(re.sub(r"<[^>]+>", " ", str(part.html)).split()))
        for part in sections.build_sections(page)
    }


def listed(pipeline: dlt.Pipeline, page: Page, parameters: dict[str, str]) -> tuple[int, set[str]]:
    """Return the number of jobs in a list, and their ids."""
    page = replace(page, filters=parse_filter(parameters, page.filters))
    with open_scope(pipeline) as scope:
        values = drilldown.list_jobs(scope, page, parameters)
    return values["in_all"], {str(getattr(row[0], "text", row[0])) for row in values["table"].rows}


def printed_health(page: Page) -> str:
    """Return what health prints on a wide terminal."""
    printed = StringIO()
    console = Console(file=printed, width=200)
    for part in health_tables(page.evaluation):
        console.print(part)
    return printed.getvalue()


def stored(pipeline: dlt.Pipeline, jobs: Sequence[Job], **more: Any) -> None:
    Rows([*jobs], [Read(None)], **more).load(pipeline)
    marts.update_views(pipeline, Protection())


def test_the_sum_of_all_errors_and_new_errors_do_not_end_with_the_table(pipeline: dlt.Pipeline) -> None:
    often = [Job(f"F{number:02}", ago(100), "Failed", errors=(Error(f"old {number:02}", 10),)) for number in range(21)]
    before = Job("B1", ago(24 * 10), "Failed", errors=(Error("ten days old", 1),))
    now = Job("N1", ago(3), "Failed", errors=(Error("brand new", 1), Error("ten days old", 1)))
    stored(pipeline, [*often, before, now])
    for days, occurrences, kinds in ((30, 213, 23), (7, 212, 23)):
        sections_of_page = built(page_of(pipeline, Filter(("contoso",), days=days)))
        summary, words = sections_of_page["errors"]
        assert summary == f"{occurrences} occurrences in {days} days"
        assert f"{kinds} errors; these are the 20 that occurred most." in words
        assert "New error of Exchange Online: brand new" in sections_of_page["verdict"][1]
        assert "ten days old" not in sections_of_page["verdict"][1]


def test_a_location_narrows_settings_licences_and_their_findings(pipeline: dlt.Pipeline) -> None:
    places = ("NAM", "EUR")
    shortened = [
        {**row, "location": place}
        for place in places
        for row in (policy("default", "7 years", 2555, 300, 48), policy("default", "1 years", 365, 48, None))
    ]
    Rows(
        [Job(f"B{place}", ago(3), location=place) for place in places],
        [Read(location=place) for place in places],
        companions(
            retention_policies=shortened,
            license_consumption=[
                {**licenses(1, 0)[0], "location": place, "snapshot_at": NOW, "assigned_user_seats": seats}
                for place, seats in (("NAM", 480), ("EUR", 470))
            ],
        ),
    ).load(pipeline)
    marts.update_views(pipeline, Protection())
    whole, narrow = (built(page_of(pipeline, Filter(("contoso",), location))) for location in (None, "EUR"))
    assert (whole["retention"][0], narrow["retention"][0]) == ("2 changes", "1 change")
    assert (whole["licence"][0], narrow["licence"][0]) == ("EUR: 94% of seats; NAM: 96% of seats", "94% of seats")
    for name in ("retention", "licence", "warnings"):
        assert "NAM" in whole[name][1]
        assert "NAM" not in narrow[name][1]


def test_findings_of_a_service_that_is_no_object_type_name_it(pipeline: dlt.Pipeline) -> None:
    attack = {"tenant": "contoso", "day": NOW.date(), "potential_ransomware_attack_count": 2}
    names = ("Private Channel", "Public Folder Metadata", None)
    Rows(
        [Job("B1", ago(3))],
        [Read()],
        companions(
            unusual_activity=[{**attack, "id": str(name), "service": name} for name in names],
            retention_policies=[
                policy("service", "7 years", 2555, 48, 24, service="Shared Channel"),
                policy("service", "1 years", 365, 24, None, service="Shared Channel"),
            ],
        ),
    ).load(pipeline)
    marts.update_views(pipeline, Protection())
    page = page_of(pipeline, Filter(("contoso",)))
    shown = [(item.title, item.finding.kind) for group in (warnings(page) or {})["groups"] for item in group]
    places = ["Private Channel", "Public Folder Metadata", "unknown service"]
    expected = [*((name, "unusual_activity") for name in places), ("Shared Channel", "retention_shortened")]
    assert shown == expected
    printed = printed_health(page)
    documents = {
        (item["kind"], item["text"].partition(": ")[0]) for item in evaluation_document(page.evaluation)["reasons"]
    }
    alerts = {finding.kind: finding.text for finding in findings_of(page.evaluation)}
    for name, kind in expected:
        assert f"contoso/{name}: " in printed
        assert (kind, name) in documents
        assert f"{name}: " in alerts[kind]
    assert not page_of(pipeline, Filter(("contoso",), object_type="exchange_online")).warnings


def test_a_job_that_ends_at_midnight_is_listed_on_one_day(pipeline: dlt.Pipeline) -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = NOW.astimezone(zone).replace(hour=0, minute=0)
    stored(pipeline, [Job("LAST", midnight - timedelta(seconds=1)), Job("FIRST", midnight)])
    page = page_of(pipeline, Filter(("contoso",), zone=zone))
    days = [f"{midnight - timedelta(days=back):%Y-%m-%d}" for back in (1, 0)]
    assert [listed(pipeline, page, {"day": day}) for day in days] == [(1, {"LAST"}), (1, {"FIRST"})]


def test_an_error_leads_to_as_many_jobs_as_its_row_counts_even_of_an_unknown_service(pipeline: dlt.Pipeline) -> None:
    failed = [
        Job(f"F{number}", ago(3), "Failed", object_type=service, errors=(Error("Throttled"),))
        for number, service in enumerate((None, None, "teams", "exchange_online"))
    ]
    stored(pipeline, failed)
    page = replace(page_of(pipeline, Filter(("contoso",))), linked=True)
    lists = {}
    for row in page.rows(read_errors):
        link = page.error_link(row)
        assert link
        number, _ = listed(pipeline, page, dict(parse_qsl(link.partition("?")[2], keep_blank_values=True)))
        lists[row["object_type"]] = row["jobs"], number
    assert lists == {None: (2, 2), "teams": (1, 1), "exchange_online": (1, 1)}
    unknown = page_of(pipeline, Filter(("contoso",), object_type=UNKNOWN_SERVICE))
    assert "Unknown Service 2" in built(unknown)["night"][1].replace("service", "Service")


def test_a_job_without_a_location_is_not_said_to_be_in_all_of_them(pipeline: dlt.Pipeline) -> None:
    stored(pipeline, [Job("PLAIN", ago(3)), Job("PLACED", ago(3), location="NAM")])
    page = page_of(pipeline, Filter(("contoso",)))
    with open_scope(pipeline) as scope:
        table = drilldown.list_jobs(scope, page, {})["table"]
        options = filter_options(scope)
    assert {str(getattr(row[0], "text", row[0])): row[2] for row in table.rows} == {"PLAIN": None, "PLACED": "NAM"}
    cached = CachedPage((1, NOW), 0, NOW, page, options)
    document = overview_html(cached, "", {"location": ""}, Filter())
    assert '<option value="*">Everywhere</option>' in document
    assert '<option value="" selected>Without a location</option>' in document


def test_status_counts_as_open_what_the_view_of_open_jobs_holds(pipeline: dlt.Pipeline) -> None:
    without_finish = {"R1": "In Progress", "W1": "Waiting", "F1": "Failed", "E1": "Finished"}
    stored(pipeline, [Job(name, None, state, start=ago(5)) for name, state in without_finish.items()])
    with open_scope(pipeline) as scope:
        assert [(row["open_jobs"], row["oldest_open_start"]) for row in scope.rows(OPEN)] == [(2, ago(5))]


def test_a_success_after_the_end_of_the_data_has_no_negative_age(pipeline: dlt.Pipeline) -> None:
    for ahead, age in ((3, "in 3.0 h"), (0.01, "0.0 h")):
        stored(pipeline, [Job("B1", ago(-ahead), start=ago(1))])
        lines = printed_health(page_of(pipeline, Filter())).splitlines()
        (row,) = (line for line in lines if line.startswith(" unknown"))
        assert f" {age} " in row


def test_one_failure_among_many_successes_is_not_rounded_away(pipeline: dlt.Pipeline) -> None:
    jobs = [Job(f"B{number:04}", ago(5)) for number in range(2500)]
    stored(pipeline, [*jobs, Job("FAILED", ago(5), "Failed", successful=0)])
    assert built(page_of(pipeline, Filter(("contoso",))))["trends"][0] == "2,501 jobs in 30 days, 99% succeeded"
    with open_scope(pipeline) as scope:
        month = service_report_html(scope, Filter(("contoso",)), UTC, NOW.date().replace(day=1), "A4")
    assert "<b>99.9%</b> of backups succeeded" in month


@pytest.mark.destinations
def test_messages_that_occur_equally_often_have_one_order_in_databases_of_any_language(turkish: dlt.Pipeline) -> None:
    texts = ("zeta", "Zeta", "äpfel", "apple", "I", "i")
    failures = [Job(f"F{number}", ago(3), "Failed", errors=(Error(text),)) for number, text in enumerate(texts)]
    stored(turkish, failures)
    expected = sorted(texts)
    with open_scope(turkish) as scope:
        rows = scope.rows(check_queries.causes_query(30, "WHERE f.outcome = 'failure'"), since=ago(100))
    assert [row["message"] for row in rows] == expected[: check_queries.MAX_MESSAGES]
    page = page_of(turkish, Filter(("contoso",), zone=UTC))
    assert [row["error_message"] for row in page.rows(read_errors)] == expected
