"""Test what pages show of scheduled backups, licences, retention and restores, on each destination."""

import re
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import dlt
from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.reports import report, sections
from m365_jobs.reports.sections import fleet
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.integration.m365_jobs.marts.rows import NOW, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_audit import story
from tests.integration.m365_jobs.marts.test_companion_marts import companions, snapshot

NAMES = {"schedule", "licence", "retention", "restores"}


def shown(pipeline: dlt.Pipeline, *tenants: str) -> tuple[Any, dict[str, tuple[str, str]]]:
    """Return the page of some tenants, and the summary and text of each section about companions."""
    with open_scope(pipeline) as scope:
        page = report.read_report_page(scope, pipeline, Filter(tenants, days=5), UTC)
    assert page is not None
    built = {built.section.name: built for built in sections.build_sections(page) if built.section.name in NAMES}
    return page, {
        name: (item.summary, " ".join(re.sub(r"<[^>]+>", " ", str(item.html)).split())) for name, item in built.items()
    }


def test_a_tenants_page_shows_schedule_licence_retention_and_restores(pipeline: dlt.Pipeline) -> None:
    rows = story()
    rows.companions["license_consumption"] = [snapshot(out_of_policy_at=ago(30))]
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    _, result = shown(pipeline, "contoso")
    assert set(result) == NAMES
    # Five days: nine slots from the 16th to the 20th at 00:00. The 16th failed, and the 17th was missed.
    summary, words = result["schedule"]
    assert summary == "7 of 9 met, 1 missed"
    assert "Exchange Online 9 7 1 1 0 2026-03-17" in words
    summary, words = result["licence"]
    assert summary == "out of policy"
    assert "Seats 400 500 80% not foreseen out of policy since 2026-03-19 00:00 UTC" in words
    assert "Storage 1,000 GB 2,000 GB 50% not foreseen" in words
    summary, words = result["retention"]
    assert summary == "1 change"
    assert "Default All services 1 year" in words
    assert "2026-03-18 06:00 UTC retention All services shortened 7 years 1 year" in words
    summary, words = result["restores"]
    assert summary == "each service has one"
    assert re.search(r"Exchange Online 2026-03-20 04:00 UTC \(.* ago\) 9 1\.0 h 3 1", words)


def test_a_page_without_companions_shows_restores_alone(pipeline: dlt.Pipeline) -> None:
    Rows([Job("B1", ago(3), start=ago(4))], [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    _, result = shown(pipeline, "contoso")
    assert {name: summary for name, (summary, _) in result.items()} == {"restores": "1 without a proved restore"}
    # A restore that never was has no number of objects.
    assert re.search(r"Exchange Online never 0 0(?! 0)", result["restores"][1])


def test_a_fleet_shows_the_licence_of_each_tenant_and_can_be_sorted_by_it(pipeline: dlt.Pipeline) -> None:
    tenants = ("adatum", "contoso", "fabrikam", "tailspin")
    Rows(
        [Job(f"B{name}", ago(3), start=ago(4), tenant=name) for name in tenants],
        [Read(tenant=name) for name in tenants],
        companions(
            license_consumption=[
                snapshot(tenant="contoso", location="EUR"),
                snapshot(tenant="contoso", location="NAM", assigned_user_seats=460),
                snapshot(tenant="fabrikam", out_of_policy_at=NOW - timedelta(days=1)),
                snapshot(tenant="tailspin", protected_size_gb=1900.0),
            ]
        ),
    ).load(pipeline)
    marts.update_views(pipeline, Protection())
    page, result = shown(pipeline, *tenants)
    assert result == {}
    lines = fleet.tenant_rows(replace(page, sort="licence"))
    assert [(line.name, line.licence) for line in lines] == [
        ("fabrikam", "out of policy"),
        ("tailspin", "95% of storage"),
        ("contoso", "NAM: 92% of seats"),
        ("adatum", ""),
    ]
    assert "Licence" in fleet.tenant_table(page).columns
