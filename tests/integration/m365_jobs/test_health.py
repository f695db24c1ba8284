"""Test health: its findings, their order and the exit code."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import psycopg2
import pytest
from avepoint_m365.constants import ObjectType
from avepoint_m365.exceptions import MissingPermissionError, SourceError
from avepoint_m365.extract import listing
from avepoint_simulator import Answer, Simulator
from avepoint_simulator.tenant import EXCEPTION, FAILED, FINISHED, SimulatedJob
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.health.evaluate import Evaluation, evaluate
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.health.status import read_status
from m365_jobs.reports import metrics, shared_queries
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import open_scope
from prometheus_client.parser import text_string_to_metric_families

from tests.support.backups import job, serving
from tests.support.cli import NewUser
from tests.support.warehouse import Warehouse, database, empty_warehouse
from tests.support.worlds import ignore

CONFIGURATION = "SOURCES__AVEPOINT_M365__"
NAMES = {item.value: item.name for item in ObjectType}


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


@pytest.fixture
def duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    return Warehouse("duckdb")


def findings(health: Evaluation) -> list[tuple[str, str | None]]:
    return [(finding.kind, finding.object_type) for finding in health.findings]


def protected(*services: str) -> list[SimulatedJob]:
    return [job(service, 3) for service in services]


def quiet_month(service: str, **how: Any) -> list[SimulatedJob]:
    """Return a backup for each of the last 28 days except today, with the same length and failed objects."""
    return [job(service, 24 * day + 12, **how) for day in range(1, 28)]


def broken() -> tuple[list[SimulatedJob], dict[str, str]]:
    """Return jobs, and the status that each service must have for them."""
    jobs = [
        *(job("exchange_online", 30), job("exchange_online", 20, FAILED), job("exchange_online", 4, FAILED)),
        job("sharepoint_online", 5, FAILED),
        job("onedrive", 40),
        *(job("teams", 40), job("teams", None, lasted=2)),
        # Open for two days: health no longer expects it to end.
        *(job("teams_chat", 40), job("teams_chat", None, lasted=50)),
        # 4 failed objects of 100 are tolerated, 6 are not.
        *(job("microsoft_365_groups", 30, FAILED), job("microsoft_365_groups", 3, EXCEPTION, failed=4)),
        *(job("power_apps", 40), job("power_apps", 3, EXCEPTION, failed=6)),
        *(job("power_bi", 9, FAILED), job("power_bi", 4, FAILED)),
        *(job("public_folder", 13), job("public_folder", 3)),
        # The first backup of a service.
        job("power_automate", None, lasted=2),
        # Its only backup is 40 days old, and the service is not expected.
        job("viva_engage", 40 * 24),
    ]
    statuses = {
        "exchange_online": "failing",
        "sharepoint_online": "never",
        "project_online": "never",
        "onedrive": "late",
        "power_apps": "late",
        "teams_chat": "late",
        "public_folder": "unknown",
        "teams": "running_long",
        "power_automate": "onboarding",
        "microsoft_365_groups": "protected",
        "power_bi": "ignored",
    }
    return jobs, statuses


def short(simulator: Simulator, object_type: str, missing: int = 1) -> None:
    """Make the server leave out jobs from each list of a service."""
    page = simulator.jobs.page

    def answer(generation: int, path: str, params: dict[str, str]) -> Answer:
        result = page(generation, path, params)
        if params.get("objecttype") == object_type and result.body["jobs"]:
            del result.body["jobs"][-missing:]
        return result

    simulator.jobs.page = answer  # type: ignore[method-assign]


def short_of_news(simulator: Simulator, service: str, hours: float = 1) -> None:
    """Add jobs that the server leaves out of its list of the service; only new jobs are searched for there."""
    simulator.world.put(*(job(service, hours + number) for number in range(3)))
    short(simulator, str(int(ObjectType[service])), missing=2)


def test_each_status_is_evaluated_as_defined_on_every_destination(
    anywhere: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{CONFIGURATION}EXPECTED_OBJECT_TYPES", '["project_online"]')
    monkeypatch.setenv(f"{CONFIGURATION}IGNORED_OBJECT_TYPES", '["power_bi"]')
    jobs, statuses = broken()
    with serving(*jobs) as simulator:
        short(simulator, "6")
        anywhere.load(simulator)
    health = evaluate(anywhere.pipeline())
    # The job that is missing from the list of its service may be the backup of a service without any.
    statuses["project_online"] = "unknown"
    assert {row["object_type"]: row["status"] for row in health.protection} == statuses
    assert sorted(row["status"] for row in health.protection) == sorted(statuses.values())
    assert findings(health) == [
        ("failing", "exchange_online"),
        ("never", "sharepoint_online"),
        ("late", "onedrive"),
        ("late", "power_apps"),
        ("late", "teams_chat"),
        ("unknown", "project_online"),
        ("unknown", "public_folder"),
        ("incomplete", "public_folder"),
        ("check_failure", None),
        ("running_long", "teams"),
        ("onboarding", "power_automate"),
    ]
    assert health.exit_code == 4
    assert health.findings[0].text.startswith("2 backups in a row did not succeed; the last success was")
    (project,) = [finding for finding in health.findings if finding.object_type == "project_online"]
    assert project.text.endswith("is not known: the API lists 1 job under no objectType")


@pytest.mark.usual(1)
@pytest.mark.parametrize("status", [known.value for known in ProtectionStatus])
def test_the_exit_code_is_4_where_one_service_is_not_protected(
    duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    jobs, statuses = broken()
    services = {service for service, item in statuses.items() if item == status}
    expected = json.dumps(sorted(services))
    monkeypatch.setenv(f"{CONFIGURATION}EXPECTED_OBJECT_TYPES", expected)
    monkeypatch.setenv(f"{CONFIGURATION}IGNORED_OBJECT_TYPES", expected if status == "ignored" else "[]")
    mine = [item for item in jobs if NAMES[item.object_type] in services]
    with serving(*mine, *protected("viva_engage")) as simulator:
        if status == "unknown":
            short(simulator, "6")
        duckdb.load(simulator)
    health = evaluate(duckdb.pipeline())
    assert {row["object_type"]: row["status"] for row in health.protection} == {
        **dict.fromkeys(services, status),
        "viva_engage": "protected",
    }
    assert health.exit_code == (4 if status in ("failing", "never", "late", "unknown") else 0)


def test_what_else_is_worth_knowing_is_listed_and_does_not_make_it_unhealthy(
    anywhere: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
    monkeypatch.setenv(f"{CONFIGURATION}CREDENTIALS__EXPIRES_AT", ends)
    monkeypatch.setenv(f"{CONFIGURATION}CREDENTIALS__CLIENT_ID", "someone")
    monkeypatch.setenv(f"{CONFIGURATION}CREDENTIALS__CLIENT_SECRET", "secret")
    slow, fast = job("teams", None, lasted=9), job("onedrive", None, lasted=7)
    jobs = [
        *quiet_month("teams", lasted=4),
        *(slow, job("teams", 2, lasted=4)),
        *quiet_month("onedrive", lasted=4),
        *(fast, job("onedrive", 2, lasted=4)),
        *quiet_month("exchange_online", failed=5),
        job("exchange_online", 3, EXCEPTION, total=1000, failed=11),
        *quiet_month("sharepoint_online", failed=5),
        job("sharepoint_online", 3, EXCEPTION, total=1000, failed=10),
        *(job("power_bi", 5, total=0), job("power_bi", 3), job("power_bi", 8 * 24, total=0)),
        *(job("power_apps", 3), job("power_apps", 9, FAILED, kind="restore"), job("power_apps", 3, kind="restore")),
        *(job("power_apps", 8 * 24, FAILED, kind="restore"), job("power_apps", 2, "Paused by <admin>", kind="export")),
    ]
    with serving(*jobs) as simulator:
        anywhere.load(simulator)
    health = evaluate(anywhere.pipeline())
    results = [(finding.kind, finding.object_type, finding.text) for finding in health.findings]
    assert [result[:2] for result in results] == [
        ("credentials", None),
        ("slow_job", "teams"),
        ("failed_objects", "exchange_online"),
        ("failed_restores", "power_apps"),
        ("empty_backups", "power_bi"),
        ("unknown_state", None),
    ]
    texts = {kind: text for kind, _, text in results}
    assert ends in texts["credentials"]
    assert slow.id in texts["slow_job"]
    assert "running for 9.0 h" in texts["slow_job"]
    assert texts["slow_job"].endswith("(normally up to 4.0 h)")
    assert texts["failed_objects"].startswith("11 objects failed")
    assert texts["failed_objects"].endswith("(normally up to 5)")
    assert texts["failed_restores"].startswith("1 restore failed in the last 7 days")
    assert texts["empty_backups"].startswith("1 backup ended with 0 objects")
    assert "state 'Paused by <admin>' (1 job" in texts["unknown_state"]
    assert health.exit_code == 0
    monkeypatch.setenv(f"{CONFIGURATION}RESTORE_TEST_DAYS", "30")
    ignored = ["teams", "exchange_online", "sharepoint_online", "onedrive", "power_apps", "power_bi"]
    monkeypatch.setenv(f"{CONFIGURATION}IGNORED_OBJECT_TYPES", json.dumps(ignored[:-1]))
    assert findings(evaluate(anywhere.pipeline())) == [
        ("credentials", None),
        ("empty_backups", "power_bi"),
        ("restore_untested", "power_bi"),
        ("unknown_state", None),
    ]


def test_absurd_counts_of_a_service_do_not_prevent_the_evaluation(anywhere: Warehouse) -> None:
    huge = 2**63 - 1
    jobs = [
        *(job("teams", hours, EXCEPTION, total=huge, failed=huge) for hours in (2, 3)),
        *(
            job("teams", 24 * day + 12 + more, EXCEPTION, total=huge, failed=huge)
            for day in range(1, 28)
            for more in (0, 1)
        ),
        *quiet_month("exchange_online", failed=5),
        job("exchange_online", 3, EXCEPTION, total=1000, failed=11),
    ]
    with serving(*jobs) as simulator:
        anywhere.load(simulator)
    assert findings(evaluate(anywhere.pipeline())) == [("failing", "teams"), ("failed_objects", "exchange_online")]


def test_one_bad_day_or_one_long_job_does_not_hide_the_next(duckdb: Warehouse) -> None:
    jobs = quiet_month("teams", lasted=2, failed=1)
    jobs[3] = job("teams", 24 * 4 + 12, lasted=40, total=100_000, failed=5_000)
    jobs += [job("teams", 3, EXCEPTION, total=100_000, failed=60), job("teams", None, lasted=5)]
    with serving(*jobs) as simulator:
        duckdb.load(simulator)
    assert findings(evaluate(duckdb.pipeline())) == [("slow_job", "teams"), ("failed_objects", "teams")]


def test_a_short_history_calls_nothing_unusual(duckdb: Warehouse) -> None:
    jobs = [job("teams", 24 * day, lasted=1) for day in range(1, 7)]
    jobs += [job("teams", 3, EXCEPTION, total=10_000, failed=60), job("teams", None, lasted=20)]
    with serving(*jobs) as simulator:
        duckdb.load(simulator)
    assert findings(evaluate(duckdb.pipeline())) == []


def test_services_of_a_stale_warehouse_are_unknown(duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(*protected("teams", "onedrive"), job("power_bi", 40)) as simulator:
        duckdb.load(simulator)
    assert findings(evaluate(duckdb.pipeline(), max_age_hours=1)) == [("late", "power_bi")]
    monkeypatch.setenv(f"{CONFIGURATION}MAX_DATA_AGE_HOURS", "0.0000001")
    health = evaluate(duckdb.pipeline())
    assert {row["object_type"]: row["status"] for row in health.protection} == dict.fromkeys(
        ("teams", "onedrive", "power_bi"), "unknown"
    )
    assert findings(health) == [("stale", None)]
    assert health.findings[0].text.endswith(
        "nothing is known of onedrive, power_bi, teams. Load more often; or if loads run once a day, set "
        "max_data_age_hours = 26 in [sources.avepoint_m365]"
    )
    assert health.exit_code == 4
    monkeypatch.setenv(f"{CONFIGURATION}MAX_DATA_AGE_HOURS", "0")
    with pytest.raises(SourceError, match="max_data_age_hours = 0"):
        evaluate(duckdb.pipeline())
    with pytest.raises(UsageError, match="--max-age-hours -1"):
        evaluate(duckdb.pipeline(), max_age_hours=-1)


def test_without_a_service_to_evaluate_the_verdict_is_unhealthy(
    duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = evaluate(duckdb.pipeline())
    assert [(finding.kind, finding.tenant, finding.text, finding.action) for finding in health.findings] == [
        (
            "nothing_to_judge",
            None,
            "the warehouse is empty",
            "Run m365-jobs load. If no service had a backup, name those to protect in expected_object_types.",
        )
    ]
    assert health.exit_code == 4
    with serving(job("teams", 3, kind="restore")) as simulator:
        duckdb.load(simulator, tenant="restores")
    with serving(*protected("teams")) as simulator:
        duckdb.load(simulator, tenant="fine")
    monkeypatch.setenv(f"{CONFIGURATION}TENANTS__CONTOSO__LAG_HOURS", "5")
    health = evaluate(duckdb.pipeline())
    assert [(finding.kind, finding.tenant) for finding in health.findings] == [
        ("nothing_to_judge", "contoso"),
        ("nothing_to_judge", "restores"),
    ]
    assert health.exit_code == 4
    assert evaluate(duckdb.pipeline(), ["fine"]).exit_code == 0
    assert evaluate(duckdb.pipeline(), ["contoso"]).exit_code == 4


def test_jobs_whose_service_is_not_known_are_shown_and_judge_no_service(
    anywhere: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(*protected("teams", "onedrive"), job("power_bi", None)) as simulator:
        ignore(simulator.world, 0)
        anywhere.load(simulator)
    health = evaluate(anywhere.pipeline())
    ignored = ("check_failure", None)
    assert findings(health) == [("nothing_to_judge", None), ignored]
    assert "whatever object_type is asked for" in health.findings[1].text
    assert health.findings[0].text == (
        "no service can be evaluated: the API returns the same jobs whatever objectType is asked for"
    )
    monkeypatch.setenv(f"{CONFIGURATION}EXPECTED_OBJECT_TYPES", '["teams"]')
    health = evaluate(anywhere.pipeline())
    assert findings(health) == [("unknown", "teams"), ignored], "it may well have had its backup"
    assert "whatever objectType is asked for" in health.findings[0].text
    (unknown,) = read_status(anywhere.destination)["unknown_services"]
    assert (unknown["object_type"], unknown["rows_held"], unknown["open_jobs"]) == (None, 3, 1)


def test_a_failed_last_load_is_reported_until_a_load_succeeds(duckdb: Warehouse) -> None:
    with serving(*protected("teams")) as simulator:
        duckdb.load(simulator)
        simulator.fault = lambda asked: Answer(403)
        with pytest.raises(MissingPermissionError, match="answered 403"):
            duckdb.load(simulator)
        health = evaluate(duckdb.pipeline())
        assert (findings(health), health.exit_code) == ([("failed_load", None)], 0)
        assert "failed (permission)" in health.findings[0].text
        simulator.fault = None
        duckdb.load(simulator)
    assert findings(evaluate(duckdb.pipeline())) == []


def test_an_incomplete_partition_is_reported_until_a_load_proves_it_complete(duckdb: Warehouse) -> None:
    with serving(*protected("public_folder", "teams"), job("public_folder", 400), job("teams", 400)) as simulator:
        until = simulator.world.now - timedelta(days=14)
        page = simulator.jobs.page
        short(simulator, "6")
        assert duckdb.load(simulator).incomplete
        simulator.jobs.page = page  # type: ignore[method-assign]
        assert not duckdb.load(simulator, until - timedelta(days=7), until).incomplete
        assert findings(evaluate(duckdb.pipeline())) == [("stale", None), ("incomplete", "public_folder")]
        short_of_news(simulator, "public_folder", 15 * 24)
        assert duckdb.load(simulator, until - timedelta(days=7), until).incomplete
        simulator.jobs.page = page  # type: ignore[method-assign]
        assert not duckdb.load(simulator).incomplete
        assert findings(evaluate(duckdb.pipeline())) == []
        short_of_news(simulator, "public_folder", 15 * 24)
        assert duckdb.load(simulator, until - timedelta(days=7), until).incomplete
        assert findings(evaluate(duckdb.pipeline())) == [("incomplete", "public_folder"), ("check_failure", None)]


@pytest.mark.usual(1)
@pytest.mark.parametrize("tenants", [[], ["default"]], ids=["all", "one"])
def test_a_clock_that_was_weeks_ahead_once_makes_nothing_fresh_and_hides_no_later_load(
    anywhere: Warehouse, monkeypatch: pytest.MonkeyPatch, tenants: list[str]
) -> None:
    """Test a load with a clock in the future: its rows must not stay the newest until real time catches up."""
    now, ahead = avepoint_m365._now, timedelta(days=40)
    with serving(*protected("public_folder", "teams")) as simulator:
        with monkeypatch.context() as wrong:
            wrong.setattr(avepoint_m365, "_now", lambda: now() + ahead)
            wrong.setattr(listing, "_last_now", now() + ahead)
            anywhere.load(simulator)
        short_of_news(simulator, "public_folder")
        assert anywhere.load(simulator).incomplete
    health = evaluate(anywhere.pipeline(), tenants)
    assert findings(health) == [("unknown", "public_folder"), ("incomplete", "public_folder"), ("check_failure", None)]
    assert "an object type that is in no list" in health.findings[2].text
    assert max(row["data_as_of"] for row in health.protection if row["data_as_of"]) <= now()
    result = read_status(anywhere.destination, tenants=tenants)
    (left_out,) = result["clocks_ahead"]
    assert left_out["window_end"] > now() + ahead - timedelta(hours=1)
    partitions = {partition["object_type"]: partition for partition in result["partitions"]}
    assert not partitions["public_folder"]["complete"]
    assert partitions["public_folder"]["complete_until"] is None
    assert partitions["teams"]["complete"]
    assert partitions["teams"]["complete_until"] <= now()
    with open_scope(anywhere.pipeline(), tenants) as scope:
        end = metrics.as_of(scope)
        assert end is not None
        assert end <= now()
        shown = {
            item["object_type"]: item
            for item in shared_queries.read_completeness(scope, metrics.QueryRange(Filter(), now()))
        }
    assert shown["public_folder"]["complete_until"] is None


@pytest.mark.destinations
def test_a_load_that_failed_because_the_warehouse_was_down_is_named(
    duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "DESTINATION__POSTGRES__CREDENTIALS"
    with database() as address, serving(*protected("teams")) as simulator:
        there, nobody = Warehouse("postgres"), address.replace(":5432", ":1")
        for first in (True, False):
            monkeypatch.setenv(variable, nobody)
            with pytest.raises(psycopg2.OperationalError):
                there.load(simulator)
            monkeypatch.setenv(variable, address)
            health = evaluate(there.pipeline())
            (finding,) = [item for item in health.findings if item.kind == "failed_load"]
            assert finding.tenant == "default"
            assert "failed (destination): " in finding.text
            assert finding.text.endswith("The warehouse has no record of it yet.")
            assert health.exit_code == (4 if first else 0)
            there.load(simulator)
            assert findings(evaluate(there.pipeline())) == []


def test_credentials_that_end_soon_are_named_for_each_tenant(
    duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = (datetime.now(UTC) + timedelta(days=10)).date()
    ends = {"fabrikam": soon.isoformat(), "contoso": "2020-01-01", "tailspin": "2999-01-01"}
    for tenant, end in ends.items():
        section = f"{CONFIGURATION}TENANTS__{tenant.upper()}__CREDENTIALS__"
        for key, value in {"client_id": "id", "client_secret": "made up", "expires_at": end}.items():
            monkeypatch.setenv(f"{section}{key.upper()}", value)
        with serving(*protected("teams")) as simulator:
            duckdb.load(simulator, tenant=tenant)
    named = {
        finding.tenant: finding.text
        for finding in evaluate(duckdb.pipeline()).findings
        if finding.kind == "credentials"
    }
    assert named.keys() == {"fabrikam", "contoso"}
    assert soon.isoformat() in named["fabrikam"]
    assert "2020-01-01" in named["contoso"]
    narrowed = evaluate(duckdb.pipeline(), ["tailspin"])
    assert (narrowed.findings, narrowed.exit_code) == ([], 0)


def test_the_most_severe_finding_of_all_tenants_comes_first(duckdb: Warehouse) -> None:
    with serving(job("teams", 40)) as simulator:
        duckdb.load(simulator, tenant="a")
    with serving(job("onedrive", 9, FAILED), job("onedrive", 4, FAILED), job("teams", 40)) as simulator:
        duckdb.load(simulator, tenant="b")
    assert [(finding.kind, finding.tenant) for finding in evaluate(duckdb.pipeline()).findings] == [
        ("failing", "b"),
        ("late", "a"),
        ("late", "b"),
    ]


def test_json_keys_are_stable_and_metrics_agree_with_them(new_user: NewUser, tmp_path: Path) -> None:
    jobs, _ = broken()
    with serving(*jobs) as simulator:
        user = new_user(simulator)
        user.set(tenant='con"to\\so')
        user.run("load")
    metrics = user.folder / "m365.prom"
    metrics.write_text("what was there before")
    answer = json.loads(user.run("health", "--format", "json", "--prometheus", "m365.prom", code=4).stdout)
    assert list(answer) == [
        *("healthy", "judged_at", "warehouse", "max_data_age_hours", "completeness", "reasons", "protection"),
    ]
    assert {tuple(reason) for reason in answer["reasons"]} == {
        ("kind", "severity", "tenant", "location", "object_type", "text", "errors", "action")
    }
    assert {tuple(sorted(row)) for row in answer["protection"]} == {
        (
            *("allowed_age_hours", "consecutive_failures", "data_age_hours", "data_as_of", "hours_since_success"),
            *("last_backup_at", "last_outcome", "last_success_at", "location", "object_type", "open_jobs"),
            *("scheduled_interval_hours", "status", "tenant"),
        )
    }
    samples = {
        (item.name, *(item.labels.get(key) for key in ("tenant", "object_type", "m365_jobs_protection", "kind"))): item
        for family in text_string_to_metric_families(metrics.read_text(encoding="utf-8"))
        for item in family.samples
    }

    def value(name: str, *labels: str | None) -> float | None:
        sample = samples.get((f"m365_jobs_{name}", *labels, *(None,) * (4 - len(labels))))
        return sample and sample.value

    tenant = 'con"to\\so'
    for row in answer["protection"]:
        service = row["object_type"]
        assert row["tenant"] == tenant
        assert value("protection", tenant, service, row["status"]) == 1
        assert (
            sum(item.value for key, item in samples.items() if key[0] == "m365_jobs_protection" and key[2] == service)
            == 1
        )
        last = row["last_success_at"] and datetime.fromisoformat(row["last_success_at"]).timestamp()
        assert value("last_success_timestamp_seconds", tenant, service) == last
        data = datetime.fromisoformat(row["data_as_of"]).timestamp()
        assert value("data_timestamp_seconds", tenant, service) == data
        assert value("consecutive_failures", tenant, service) == row["consecutive_failures"]
        assert value("open_backups", tenant, service) == row["open_jobs"]
    late = [reason for reason in answer["reasons"] if reason["kind"] == "late"]
    assert value("health_reasons", tenant, None, None, "late") == len(late) > 1
    assert value("healthy") == 0
    assert [path.name for path in user.folder.iterdir() if "prom" in path.name] == ["m365.prom"]
    message = user.run("health", "--prometheus", "no/folder/m365.prom", code=2).stderr
    assert "cannot be written: No such file or directory" in message


def test_a_service_of_which_a_large_part_of_the_backups_fails_gives_a_warning_with_the_share(
    anywhere: Warehouse,
) -> None:
    jobs = [job("teams", 24 * day + 3) for day in range(12)]
    jobs += [job("teams", 24 * day + 5, FAILED) for day in range(12)]
    # One failure of six is too few. If backups fail in a row, the status reports it.
    jobs += [job("onedrive", 12 * day + 3, FAILED if day % 6 == 1 else FINISHED) for day in range(24)]
    jobs += [job("power_bi", 12 * day + 3, FAILED if day < 8 else FINISHED) for day in range(24)]
    jobs += [job("exchange_online", 24 * day + 3, FAILED if day in (1, 3, 5) else FINISHED) for day in range(6)]
    with serving(*jobs) as simulator:
        anywhere.load(simulator)
    health = evaluate(anywhere.pipeline())
    assert findings(health) == [("failing", "power_bi"), ("failed_backups", "teams")]
    assert health.findings[1].text.startswith("12 of 24 backups of the last 14 days failed (50 %), the last ")


def test_findings_of_the_newest_load_are_named_by_health_status_and_check_until_a_load_no_longer_has_them(
    new_user: NewUser,
) -> None:
    with serving(*protected("teams"), replace(job("teams", 4), id="negative", failed=-3)) as simulator:
        user = new_user(simulator)
        user.set(tenant="contoso", max_data_age_hours="26")
        user.run("load")
        failed = "non_negative_counts: a negative number of objects (1 job, for instance negative)"
        health = json.loads(user.run("health", "--format", "json").stdout)
        assert [(reason["kind"], reason["severity"], reason["text"]) for reason in health["reasons"]] == [
            ("check_failure", "warning", failed)
        ]
        assert [
            finding["text"] for finding in json.loads(user.run("status", "--format", "json").stdout)["findings"]
        ] == [failed]
        assert f"Finding: contoso: {failed}." in " ".join(user.run("status").stdout.split())
        assert f"warn  findings: contoso: {failed}" in user.run("check").stdout
        # A failed load checks nothing.
        simulator.fault = lambda asked: Answer(403)
        user.run("load", code=1)
        assert "negative" in user.run("check", code=1).stdout
        simulator.fault = None
        simulator.world.change("negative", failed=0)
        user.run("load")
        for command in ("health", "status", "check"):
            assert "negative" not in user.run(command).stdout


def test_a_failed_or_never_loaded_tenant_prevents_the_text_proved_complete(
    duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(*protected("teams")) as simulator:
        duckdb.load(simulator, tenant="contoso")
        completeness = evaluate(duckdb.pipeline()).completeness
        assert (completeness.proved, completeness.text) == (True, "Everything that was asked for is proved complete.")
        monkeypatch.setenv(f"{CONFIGURATION}TENANTS__NEW__LAG_HOURS", "5")
        assert evaluate(duckdb.pipeline()).completeness.text == "Never loaded: new."
        assert evaluate(duckdb.pipeline(), ["contoso"]).completeness.proved
        simulator.fault = lambda asked: Answer(403)
        with pytest.raises(MissingPermissionError, match="answered 403"):
            duckdb.load(simulator, tenant="contoso")
        assert evaluate(duckdb.pipeline(), ["contoso"]).completeness.text == "The last load failed: contoso."
        simulator.fault = None
        short_of_news(simulator, "teams")
        duckdb.load(simulator, tenant="contoso")
    text = evaluate(duckdb.pipeline()).completeness.text
    assert text == "Never loaded: new. Not proved complete: contoso/teams."


def test_the_table_fits_80_columns_without_relying_on_colour(new_user: NewUser) -> None:
    jobs, _ = broken()
    for number, item in enumerate(jobs):
        jobs[number] = replace(item, location="NAM")
    with serving(*jobs) as simulator:
        user = new_user(simulator)
        user.set(tenant="a-tenant-with-a-long-name", locations='["NAM"]')
        user.run("load")
    lines = user.run("health", code=4).stdout.splitlines()
    assert lines[0].startswith("UNHEALTHY: ")
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "failing a-tenant-with-a-long-name/NAM/exchange_online: 2 backups in a row did not succeed" in text
    assert lines[-1] == lines[0]
    assert "> Open its newest failed jobs in the vendor's portal" in text
    assert "2 more partitions protected or ignored; --format json names them." in text
