"""Marts as a user of the command line meets them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from avepoint_simulator import Simulator
from m365_jobs import marts
from m365_jobs.marts import VIEWS

from ..conftest import Desk
from ..places import Place

Sit = Callable[[Simulator], Desk]


def test_a_load_leaves_the_views_in_the_warehouse_and_follows_the_configuration(
    simulator: Simulator, desk: Sit
) -> None:
    user = desk(simulator)
    user.set(object_types='["exchange_online", "onedrive", "power_apps"]')
    user.run("load")
    for view in VIEWS:
        user.query(f"SELECT * FROM {view}")
    assert user.query("SELECT count(*) FROM job_facts") == user.query("SELECT count(*) FROM jobs")
    judged = {row[0] for row in user.query("SELECT object_type FROM protection_status")}
    assert judged == {"exchange_online", "onedrive", "power_apps"}
    user.set(
        expected_object_types='["teams"]',
        ignored_object_types='["exchange_online"]',
        protection__tolerated_failed_ratio="1",
        protection__allowed_age_hours="99999",
        protection__allowed_age_hours_of='{"onedrive": 0.01}',
    )
    user.run("load")
    status = dict(user.query("SELECT object_type, status FROM protection_status"))
    assert (status["exchange_online"], status["teams"]) == ("ignored", "unknown")
    assert status["onedrive"] in ("late", "failing")
    assert status["power_apps"] in ("protected", "failing")


def test_the_marts_of_a_lake_say_what_those_of_a_database_say(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    lake, database = Place("filesystem"), Place("duckdb")
    assert lake.rows("SELECT 1") == [(1,)]
    for place in (lake, database):
        place.load(simulator)
    for view in VIEWS:
        # These tell when a load took place.
        moments = {"fetched_at", "data_as_of", "hours_since_success", "hours_open"}
        described = next(one for one in marts.views() if one.name == view)
        columns = ", ".join(column.name for column in described.columns if column.name not in moments)
        sql = f"SELECT {columns} FROM {view} ORDER BY ALL"
        assert lake.rows(sql) == database.rows(sql)


def test_tenants_of_the_configuration_have_services_of_their_own(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    user.set(
        object_types='["teams", "onedrive"]',
        expected_object_types='["power_apps"]',
        tenants__contoso__expected_object_types='["power_bi"]',
        tenants__fabrikam__ignored_object_types='["teams"]',
    )
    user.run("load", "--all-tenants")
    assert set(user.query("SELECT tenant, object_type, status = 'ignored' FROM protection_status")) == {
        *(("contoso", "teams", False), ("contoso", "onedrive", False), ("contoso", "power_bi", False)),
        *(("fabrikam", "teams", True), ("fabrikam", "onedrive", False), ("fabrikam", "power_apps", False)),
    }


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("expected_object_types", '["mail"]', r"expected_object_types = 'mail' is not known"),
        ("tenants__contoso__ignored_object_types", '["mail"]', r"tenants.contoso.ignored_object_types = 'mail'"),
        ("protection__tolerated_failed_ratio", "5", r"tolerated_failed_ratio = 5.0 must be between 0 and 1"),
        ("protection__tolerated_failed_ratio", "some", r"tolerated_failed_ratio = 'some' is not a number"),
        ("protection__allowed_age_hours", "0", r"allowed_age_hours = 0.0 must be a number of hours above 0"),
        ("protection__allowed_age_hours_of", '{"mail": 8}', r"allowed_age_hours_of = 'mail' is not known"),
        ("protection__allowed_age_hours_of", '{"teams": "x"}', r"allowed_age_hours_of.teams = 'x' must be a number"),
    ],
)
def test_a_wrong_setting_of_protection_is_refused_before_any_request(
    simulator: Simulator, desk: Sit, setting: str, value: str, said: str
) -> None:
    user = desk(simulator)
    user.set(**{setting: value})
    assert re.search(said, user.run("load", code=2).stderr)
    assert (simulator.asked, simulator.token_requests) == ([], 0)
