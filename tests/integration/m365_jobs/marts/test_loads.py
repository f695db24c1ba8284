"""Test the marts that loads from the command line create."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import dlt
import duckdb
import pytest
from avepoint_simulator import Simulator
from m365_jobs import marts
from m365_jobs.config.protection import Protection, protection
from m365_jobs.marts.catalog import VIEWS, views

from tests.support.cli import NewUser
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse, administer, database_as_warehouse


def test_the_configured_defaults_replace_no_view_of_the_defaults(pipeline: dlt.Pipeline) -> None:
    assert set(marts.update_views(pipeline, Protection())) == set(VIEWS)
    assert marts.update_views(pipeline, protection()) == []


def test_a_load_leaves_the_views_in_the_warehouse_and_follows_the_configuration(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
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
        timezone="Asia/Kolkata",
    )
    user.run("load")
    assert user.query("SELECT DISTINCT time_zone FROM daily_summary_local") == [("Asia/Kolkata",)]
    status = dict(user.query("SELECT object_type, status FROM protection_status"))
    assert (status["exchange_online"], status["teams"]) == ("ignored", "unknown")
    assert status["onedrive"] in ("late", "failing")
    assert status["power_apps"] in ("protected", "failing")
    user.set(timezone="Mars/Olympus")
    assert "time zone 'Mars/Olympus' is unknown" in user.run("load", code=2).stderr


@pytest.mark.variant
def test_the_marts_of_a_lake_equal_those_of_a_database(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__TIMEZONE", "America/New_York")
    lake, database = Warehouse("filesystem"), Warehouse("duckdb")
    assert lake.rows("SELECT 1") == [(1,)]
    for place in (lake, database):
        place.load(simulator)
    for view in VIEWS:
        # These columns depend on the time of the load.
        moments = {"fetched_at", "first_seen_at", "complete_until", "last_complete_load_at", "last_load_at"}
        moments |= {"data_as_of", "hours_since_success", "hours_open", "longest_gap_hours", "last_restore_age_days"}
        described = next(item for item in views() if item.name == view)
        columns = ", ".join(column.name for column in described.columns if column.name not in moments)
        sql = f"SELECT {columns} FROM {view} ORDER BY ALL"
        assert lake.rows(sql) == database.rows(sql)
    assert lake.rows("SELECT DISTINCT time_zone FROM daily_summary_local") == [("America/New_York",)]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a PostgreSQL database that is the warehouse of this process."""
    with database_as_warehouse(tmp_path, monkeypatch) as first:
        yield first


@pytest.mark.destinations
def test_without_the_right_to_create_views_jobs_are_loaded_and_the_user_is_notified(
    simulator: Simulator, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, role, name = Warehouse("postgres"), f"clerk_{uuid4().hex[:8]}", address.rpartition("/")[2]
    administer(f"CREATE ROLE {role} LOGIN", f"GRANT CREATE ON DATABASE {name} TO {role}")
    try:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address.replace("postgres:any", f"{role}:any"))
        place.load(simulator)
        administer("DROP VIEW m365_jobs.open_jobs", f"REVOKE CREATE ON SCHEMA m365_jobs FROM {role}", address=address)
        world = simulator.world
        world.advance(timedelta(hours=8))
        newest = max(world.visible(), key=lambda job: job.start)
        running = world.change(newest.id, finish=world.now + timedelta(hours=1))
        assert place.load(simulator).exit_code == 0
        assert place.contents() == on_server(world, False)
        assert re.search(
            r"^Loaded, but the views could not be created or updated: permission denied for schema m365_jobs.* "
            r"The user needs the right to create and replace job_facts, .*\. The next load tries again\.$",
            place.messages[-1],
        )
        administer(f"GRANT CREATE ON SCHEMA m365_jobs TO {role}", address=address)
        place.load(simulator)
        assert not [line for line in place.messages if "views" in line]
        assert place.rows("SELECT id FROM open_jobs") == [(running.id,)]
    finally:
        administer(f"DROP OWNED BY {role}", address=address)
        administer(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.destinations
def test_a_view_of_the_users_own_is_never_dropped_with_the_one_it_is_made_from(
    simulator: Simulator, address: str
) -> None:
    place = Warehouse("postgres")
    place.load(simulator)
    administer(
        "DROP VIEW m365_jobs._mart_versions",
        "DROP VIEW m365_jobs.daily_summary",
        "CREATE VIEW m365_jobs.daily_summary AS SELECT 1 AS of_an_older_version",
        "CREATE VIEW public.theirs AS SELECT of_an_older_version FROM m365_jobs.daily_summary",
        address=address,
    )
    assert place.load(simulator).exit_code == 0
    assert re.search(
        r"^Loaded, but the views could not .*: cannot drop view .*daily_summary because other objects depend on it "
        r"DETAIL: view theirs depends on view .*daily_summary\. Drop those that are yours and make them again "
        r"after the next load\.$",
        place.messages[-1],
    )
    assert "CASCADE" not in place.messages[-1]
    assert administer("SELECT * FROM public.theirs", address=address) == [(1,)]
    administer("DROP VIEW public.theirs", address=address)
    place.load(simulator)
    assert place.rows("SELECT sum(jobs) FROM daily_summary") == place.rows(
        "SELECT count(*) FROM jobs WHERE finish_time IS NOT NULL"
    )


def test_a_table_with_the_name_of_a_view_is_not_changed(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA m365_jobs; CREATE TABLE m365_jobs.open_jobs AS SELECT 'ours' AS whose")
    message = " ".join(user.run("load").stderr.split())
    assert re.search(r"Loaded, but the views could not .*open_jobs.* where no table may have their names", message)
    assert user.query("SELECT * FROM open_jobs") == [("ours",)]
    assert user.query("SELECT count(*) FROM jobs") == [(len(simulator.world.visible()),)]
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")) as connection:
        connection.execute("ALTER TABLE m365_jobs.open_jobs RENAME TO theirs")
    assert "views" not in user.run("load").stderr
    assert user.query("SELECT count(*) FROM job_facts") == user.query("SELECT count(*) FROM jobs")


def test_each_configured_tenant_has_its_own_services(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
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
    ("setting", "value", "message"),
    [
        ("expected_object_types", '["mail"]', r"expected_object_types = 'mail'"),
        ("protection__tolerated_failed_ratio", "5", r"tolerated_failed_ratio = 5.0 must be between 0 and 1"),
        ("protection__tolerated_failed_ratio", "some", r"tolerated_failed_ratio = 'some' is not a number"),
        ("protection__allowed_age_hours", "0", r"allowed_age_hours = 0.0 must be a number of hours above 0"),
        ("protection__allowed_age_hours_of", '{"mail": 8}', r"Unknown value: .*allowed_age_hours_of = 'mail'"),
        ("protection__allowed_age_hours_of", '{"teams": "x"}', r"allowed_age_hours_of.teams = 'x' must be a number"),
    ],
)
def test_a_wrong_setting_of_protection_is_refused_before_any_request(
    simulator: Simulator, new_user: NewUser, setting: str, value: str, message: str
) -> None:
    user = new_user(simulator)
    user.set(**{setting: value})
    assert re.search(message, user.run("load", code=2).stderr)
    assert (simulator.asked, simulator.token_requests) == ([], 0)
