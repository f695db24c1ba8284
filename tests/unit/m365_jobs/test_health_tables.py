"""Test what health prints: each finding once, and of many tenants a row for each kind."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from m365_jobs.cli.tables.health import health_tables
from m365_jobs.health.evaluate import Completeness, Evaluation, Row
from m365_jobs.health.finding import Finding
from rich.console import Console

NOW = datetime(2026, 12, 1, 6, tzinfo=UTC)


def row(tenant: str, service: str, status: str, **more: Any) -> Row:
    return {
        "tenant": tenant,
        "location": None,
        "object_type": service,
        "status": status,
        "last_success_at": NOW - timedelta(hours=30),
        "hours_since_success": 30.0,
        "consecutive_failures": 2,
        "open_jobs": 0,
        **more,
    }


def failing(tenant: str, service: str) -> tuple[Finding, Row]:
    text = "2 backups in a row did not succeed"
    return Finding("failing", tenant, text, object_type=service), row(tenant, service, "failing")


def printed(findings: list[Finding], rows: list[Row], completeness: Completeness | None = None) -> str:
    file = StringIO()
    evaluation = Evaluation("a.duckdb", NOW, 6, findings, rows, completeness or Completeness())
    for part in health_tables(evaluation):
        Console(file=file, width=80).print(part)
    return file.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_service_with_a_finding_is_listed_once() -> None:
    finding, failed = failing("contoso", "teams")
    text = printed([finding], [failed, row("contoso", "onedrive", "protected")])
    assert text.count("contoso/teams") == 1
    assert "1 more partition protected or ignored" in text


def test_services_of_a_stale_tenant_share_a_finding_and_keep_their_rows() -> None:
    rows = [row("contoso", service, "unknown") for service in ("teams", "onedrive")]
    text = printed([Finding("stale", "contoso", "the warehouse is late")], rows)
    assert "contoso/teams" in text
    assert "contoso/onedrive" in text


def test_many_tenants_share_a_row_for_each_kind_with_the_most_affected_first() -> None:
    names = [f"cust{number:03}" for number in range(200)]
    services = ("exchange_online", "onedrive", "teams")
    failures = [failing(name, service) for name in names[:50] for service in services[: 1 + (name == "cust007")]]
    findings = [finding for finding, _ in failures]
    findings.append(Finding("never", names[60], "no backup has succeeded yet", object_type="teams"))
    findings += [Finding("failed_restores", name, "a restore failed", object_type="teams") for name in names[100:120]]
    rows = [failed for _, failed in failures] + [row(name, "power_bi", "protected") for name in names]
    text = printed(findings, rows)
    words = flat(text)
    assert "Tenants with problems: 51 of 200; with warnings only: 20." in words
    assert "failing 51 services of 50 tenants: cust007 (2), cust000, cust001," in words
    for name in names[:50]:
        assert words.count(f"{name}") == 1
    assert words.count("> Open its newest failed jobs") == 1
    # A kind with few findings keeps its texts, and warnings name few tenants.
    assert "cust060/teams: no backup has succeeded yet" in words
    assert "failed restores 20 services of 20 tenants: cust100," in words
    assert "cust109, and 10 more" in words
    assert len(text.splitlines()) < 45


def test_a_finding_of_all_of_many_tenants_names_none() -> None:
    names = [f"cust{number:03}" for number in range(200)]
    rows = [row(name, "teams", "unknown") for name in names]
    never = Completeness(never_loaded=("new", "newer"), incomplete=tuple(f"{name}/teams" for name in names))
    text = flat(printed([Finding("stale", name, "the warehouse is late") for name in names], rows, never))
    assert "stale 200 findings of all 200 tenants > Check m365-jobs status" in text
    assert "Not everything is proved complete: 2 tenants never loaded, 200 partitions not proved complete." in text
    assert "cust" not in text


def test_no_name_of_many_tenants_is_cut() -> None:
    names = [f"cust{number:03}" for number in range(60)] + ["日本支社", "o'brien & söhne"]
    text = printed([failing(name, "teams")[0] for name in names], [row("other", "teams", "protected")])
    assert "…" not in text
    assert all(name in flat(text) for name in names)
