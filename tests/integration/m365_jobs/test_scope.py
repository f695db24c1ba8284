"""Test ``--tenant``: the output for one tenant contains nothing of another."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from avepoint_simulator.tenant import FAILED
from m365_jobs.health.status import read_status
from m365_jobs.warehouse.tenant_scope import open_scope

from tests.support.backups import job, serving
from tests.support.cli import NewUser
from tests.support.warehouse import Warehouse, empty_warehouse

TENANTS = ("contoso", "fab'rikam 100%s", "northwind")


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def three(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Return a warehouse with three tenants whose jobs have the same ids; the second has 2 jobs of its own."""
    jobs = [job("teams", 3), job("teams", 30, FAILED), job("onedrive", None), job("power_bi", 4, FAILED)]
    own = [job("exchange_online", 5), job("exchange_online", 6)]
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        for tenant in TENANTS:
            with serving(*jobs, *(own if tenant == TENANTS[1] else ())) as simulator:
                warehouse.load(simulator, tenant=tenant)
        yield warehouse


def test_every_table_and_view_is_narrowed_to_the_tenants_named(three: Warehouse) -> None:
    sizes = dict.fromkeys(TENANTS, 4) | {TENANTS[1]: 6}
    per_tenant = "SELECT t.tenant, count(*) AS n FROM {} AS t GROUP BY t.tenant"
    with open_scope(three.pipeline()) as scope:
        everything = {
            name: {row["tenant"]: row["n"] for row in scope.rows(per_tenant.format(name))}
            for name in ("jobs", "jobs__backup_details", "load_runs", "job_facts", "open_jobs", "protection_status")
        }
        assert everything["jobs"] == everything["job_facts"] == sizes
    for names in ((TENANTS[1],), (TENANTS[0], TENANTS[2])):
        with open_scope(three.pipeline(), names) as scope:
            assert scope.loaded_tenants() == sorted(names)
            for name, counts in everything.items():
                results = {row["tenant"]: row["n"] for row in scope.rows(per_tenant.format(name))}
                assert results == {tenant: counts[tenant] for tenant in names}, name
            joined = scope.rows(
                "WITH mine AS (SELECT f.id, f.tenant FROM job_facts AS f WHERE f.outcome = :outcome) "
                "SELECT count(*) AS n FROM mine AS m JOIN jobs AS j ON j.id = m.id",
                outcome="failure",
            )
            assert joined == [{"n": 2 * len(names) ** 2}]


def test_status_has_the_cursors_of_every_tenant_and_only_of_those_named(three: Warehouse) -> None:
    newest = {
        (row[0], row[1]): row[2]
        for row in three.rows(
            "SELECT tenant, object_type, max(finish_time) FROM jobs WHERE finish_time IS NOT NULL GROUP BY 1, 2"
        )
    }

    def cursors(*tenants: str) -> dict[tuple[str, str], object]:
        result = read_status(three.destination, tenants=tenants)
        return {
            (partition["tenant"], partition["object_type"]): partition["cursor"]
            for partition in result["partitions"]
            if partition["cursor"]
        }

    assert cursors() == newest
    assert cursors("contoso") == {key: value for key, value in newest.items() if key[0] == "contoso"}
    mine = read_status(three.destination, tenants=["contoso"])
    assert {key: mine["tables"][key] for key in ("jobs", "jobs__backup_details", "load_runs")} == {
        "jobs": 4,
        "jobs__backup_details": 4,
        "load_runs": 1,
    }
    assert [run["tenant"] for run in mine["runs"]] == ["contoso"]


def test_commands_for_one_tenant_do_not_name_or_count_another(new_user: NewUser) -> None:
    jobs = [job("teams", 3), job("onedrive", 40), job("onedrive", 5, "Odd", kind="restore")]
    with serving(*jobs) as simulator:
        user = new_user(simulator)
        user.set(tenant="contoso")
        user.run("load")
        alone = {
            command: json.loads(user.run(*command, "--format", "json", code=code).stdout)
            for command, code in ((("status",), 0), (("health",), 4))
        }
        user.set(tenant="fabrikam")
        user.run("load")
    user.set(tenant="contoso")
    for command, expected in alone.items():
        code = 4 if command == ("health",) else 0
        assert "fabrikam" in user.run(*command, code=code).stdout
        assert "fabrikam" not in user.run(*command, "--tenant", "contoso", code=code).stdout
        text = user.run(*command, "--tenant", "contoso", "--format", "json", code=code).stdout
        assert "fabrikam" not in text
        answer = json.loads(text)
        for item in (answer, expected):
            item.pop("judged_at", None)
            for row in item.get("protection", ()):
                row.pop("data_age_hours")
        assert answer == expected
    message = user.run("health", "--tenant", "nobody", code=2).stderr
    assert "'nobody' is neither in the configuration nor in the warehouse" in message
    assert "fabrikam" not in message


def test_check_names_unknown_states(new_user: NewUser) -> None:
    with serving(job("teams", 3), job("teams", 4, "Paused"), job("onedrive", 9, "Paused")) as simulator:
        user = new_user(simulator)
        user.run("load")
        assert "warn  states: state 'Paused' (2 jobs, the last started " in user.run("check").stdout


def test_check_of_a_tenant_names_no_state_of_another(new_user: NewUser) -> None:
    with serving(job("teams", 3), job("teams", 4, "Paused")) as simulator:
        user = new_user(simulator)
        for name in ("contoso", "fabrikam"):
            user.set(tenant=name)
            user.run("load")
        both = user.run("check").stdout
        assert [f"states: {name}: state 'Paused' (1 job" in both for name in ("contoso", "fabrikam")] == [True, True]
        alone = user.run("check", "--tenant", "fabrikam").stdout
        assert "states: fabrikam: state 'Paused' (1 job" in alone
        assert "contoso" not in alone
