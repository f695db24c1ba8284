"""Test reports for customers: one for each tenant, for a month, and the licences for billing."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import duckdb
import pypdfium2
import pytest
from avepoint_simulator import Simulator, make_world
from m365_jobs.reports.html import Cell, HtmlTable, css, render_table
from m365_jobs.reports.image import pdf
from m365_jobs.reports.paper import paper_css
from m365_jobs.reports.sections.fleet import SORTS

from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import NOW, Cli, NewUser


def text_of(page: str) -> str:
    """Return the text that a reader sees on a page."""
    return re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)


@pytest.fixture
def provider(simulator: Simulator, new_user: NewUser) -> Cli:
    user = new_user(simulator)
    with Simulator(make_world(60, seed=9, now=NOW)) as other:
        configure(user, section("contoso", simulator) + section("fabrikam", other))
        user.run("load", "--all-tenants")
    return user


def test_each_customer_gets_a_file_that_names_no_other(provider: Cli) -> None:
    written = provider.run("report", "--each-tenant", "out", "--format", "html").stdout.split()
    assert [name.replace("\\", "/") for name in written] == ["out/contoso.html", "out/fabrikam.html"]
    for own, other in (("contoso", "fabrikam"), ("fabrikam", "contoso")):
        page = (provider.folder / "out" / f"{own}.html").read_text(encoding="utf-8")
        assert own in page
        assert other not in page
        text = text_of(page)
        for word in ("http", "m365-jobs", "127.0.0.1", "_", ".toml"):
            assert word not in text


def test_the_service_report_counts_the_backups_of_a_month(provider: Cli) -> None:
    month = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m")
    provider.run("report", "month.html", "--month", month, "--tenant", "contoso")
    text = text_of((provider.folder / "month.html").read_text(encoding="utf-8"))
    ((backups, succeeded),) = provider.query(
        f"""SELECT count(*), sum(CASE WHEN outcome = 'success' OR outcome = 'warning' AND successful_number > 0
            AND failed_ratio <= 0.05 THEN 1 ELSE 0 END)
        FROM job_facts WHERE tenant = 'contoso' AND job_type = 'backup'
            AND strftime(finish_time, '%Y-%m') = '{month}'"""
    )
    words = " ".join(text.split())
    assert f"{succeeded / backups * 100:.1f}% of backups succeeded" in words
    assert f"{backups:,} backups" in words
    assert "Restores" in words
    assert "m365-jobs" not in words
    provider.run("report", "early.html", "--month", "1999-01")
    early = " ".join(text_of((provider.folder / "early.html").read_text(encoding="utf-8")).split())
    assert "0 backups (month before: 0)" in early
    assert "No backup ended in this month." in early


@pytest.mark.parametrize(
    "arguments",
    [("x.html", "--month", "2026-13"), ("x.csv", "--month", "2999-01"), (), ("x.html", "--each-tenant", "out")],
)
def test_what_cannot_be_written_is_wrong_usage(
    simulator: Simulator, new_user: NewUser, arguments: tuple[str, ...]
) -> None:
    new_user(simulator).run("report", *arguments, code=2)


def test_billing_has_the_peaks_of_each_tenant_and_month(provider: Cli) -> None:
    with duckdb.connect(str(provider.folder / "m365_warehouse.duckdb")) as connection:
        connection.execute(
            """CREATE OR REPLACE TABLE m365_jobs.license_consumption AS SELECT * FROM (VALUES
            ('contoso', DATE '2026-01-30', 'NAM', 10, 7, 5.5), ('contoso', DATE '2026-01-30', 'EUR', 10, 4, 1.0),
            ('contoso', DATE '2026-01-31', 'NAM', 10, 9, 6.0), ('fabrikam', DATE '2026-02-01', NULL, 5, 5, 2.25)
            ) AS t(tenant, day, location, purchased_user_seats, assigned_user_seats, protected_size_gb)"""
        )
    provider.run("report", "billing.csv")
    rows = list(csv.DictReader(io.StringIO((provider.folder / "billing.csv").read_text(encoding="utf-8"))))
    assert [tuple(row.values()) for row in rows] == [
        ("contoso", "2026-01", "11", "20", "6.5", "2"),
        ("fabrikam", "2026-02", "5", "5", "2.25", "1"),
    ]
    provider.run("report", "february.csv", "--month", "2026-02")
    assert "contoso" not in (provider.folder / "february.csv").read_text(encoding="utf-8")


def test_the_audit_report_is_a_page_a_pdf_and_a_table_of_one_period(provider: Cli) -> None:
    (until,) = provider.query("SELECT date_trunc('day', min(window_end)) FROM load_audit")[0]
    period = ("--audit", "--since", f"{until - timedelta(days=9):%Y-%m-%d}", "--until", f"{until:%Y-%m-%d}")
    for name in ("audit.html", "audit.pdf", "audit.csv"):
        provider.run("report", name, *period, "--tenant", "contoso")
    text = " ".join(text_of((provider.folder / "audit.html").read_text(encoding="utf-8")).split())
    jobs = provider.query(
        f"""SELECT count(*) FROM jobs WHERE tenant = 'contoso'
            AND finish_time >= TIMESTAMPTZ '{until:%Y-%m-%d}' - INTERVAL 9 DAY
            AND finish_time < TIMESTAMPTZ '{until:%Y-%m-%d}'"""
    )
    assert f"{jobs[0][0]:,} of them are jobs that ended in the period" in text
    assert "the schedule of this period is unknown" in text
    for word in ("fabrikam", "http", "m365-jobs", "127.0.0.1"):
        assert word not in text
    assert (provider.folder / "audit.pdf").read_bytes().startswith(b"%PDF-")
    rows = list(csv.DictReader(io.StringIO((provider.folder / "audit.csv").read_text(encoding="utf-8"))))
    assert {row["tenant"] for row in rows} == {"contoso"}
    assert {row["jobs"] for row in rows} == {str(jobs[0][0])}
    assert all(row["jobs_sha256"] in text for row in rows)
    counted = provider.query(
        f"""SELECT object_type, count(*) FROM jobs WHERE tenant = 'contoso' AND job_type = 'backup'
            AND finish_time >= TIMESTAMPTZ '{until:%Y-%m-%d}' - INTERVAL 9 DAY
            AND finish_time < TIMESTAMPTZ '{until:%Y-%m-%d}' GROUP BY 1"""
    )
    assert {row["object_type"]: int(row["backups"]) for row in rows if row["backups"] != "0"} == dict(counted)


def test_a_period_without_an_audit_is_wrong_usage(simulator: Simulator, new_user: NewUser) -> None:
    new_user(simulator).run("report", "x.html", "--since", "2026-01-01", code=2)


def printed(table: HtmlTable) -> tuple[str, float, float]:
    """Return the text of a table on A4, the right end of its text, and the start of the margin (both in points)."""
    page = f"<style>{css()}{paper_css('A4', 'Report')}</style><div class='m365'>{render_table(table)}</div>"
    with pypdfium2.PdfDocument(pdf(page)) as document:
        text = document[0].get_textpage()
        ends = [text.get_charbox(place)[2] for place in range(text.count_chars())]
        return text.get_text_bounded(), max(ends), document[0].get_width() - 12 / 25.4 * 72


def test_the_widest_tables_fit_on_paper_and_break_no_word() -> None:
    moment = "2026-11-28 16:27 UTC (46 min ago)"
    row = [Cell("tenant 027"), "Unhealthy", 9, 18, 1, 8, "10 of 12", moment, "94% of seats", moment]
    columns = ["Tenant", "Verdict", *(title for title, _ in list(SORTS.values())[1:])]
    text, end, margin = printed(HtmlTable("Tenants", columns, [row] * 5, "fleet"))
    assert end <= margin
    assert text.count("Unhealthy") == 5
    job_id = "FB202611281132060005410"
    job = [job_id, "Project Online", "backup", "Failed", moment[:20], moment[:20], 35, 7]
    columns = ["Job", "Service", "Type", "State", "Started", "Ended", "Objects", "Failed objects"]
    text, end, margin = printed(HtmlTable("Jobs", columns, [job] * 5, "jobs"))
    assert end <= margin
    assert [text.count(word) for word in (job_id, "backup", "State", "Objects")] == [5, 5, 1, 1]
    long = HtmlTable("Jobs", ["Tenant", *columns], [["x" * 64, *job]], "jobs")
    assert printed(long)[1] <= margin


def test_a_first_load_that_failed_is_in_status_and_stops_no_service_report(new_user: NewUser) -> None:
    with Simulator(make_world(20, seed=9, now=NOW)) as simulator:
        user = new_user(simulator)
        user.set(credentials__client_secret="wrong")
        user.run("load", code=1)
        user.run("report", "month.html", "--month", f"{datetime.now(UTC):%Y-%m}")
        assert (user.folder / "month.html").read_text(encoding="utf-8")
        status = user.run("status").stdout
        assert "Nothing is loaded yet" in status
        assert "failed" in status
        assert "client_secret" in status
