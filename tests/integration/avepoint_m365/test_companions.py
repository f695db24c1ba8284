"""Test companions against the simulated API: the rows of their tables, and what a failure leaves out."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from avepoint_m365.companions import timing as companions_module
from avepoint_m365.companions.registry import included
from avepoint_m365.companions.source import STATE_KEY, Attempt, companions_source
from avepoint_m365.companions.timing import due
from avepoint_m365.exceptions import ConfigurationError
from avepoint_simulator import SCOPES, Simulator, World
from avepoint_simulator.companions import (
    ACTIVITY,
    ACTIVITY_1,
    FREQUENCY,
    LICENSES,
    LICENSES_1,
    RETENTION,
    Companions,
    ServiceSchedule,
    license_of,
    retention_of,
)

from tests.support.worlds import settings

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FOUR = tuple(time(hour) for hour in (0, 6, 12, 18))
OUT_OF_POLICY = int(datetime(2026, 2, 20, tzinfo=UTC).timestamp())


def tenant_settings() -> Companions:
    """Return a tenant with two services, whose schedule and retention change on the second day."""
    return Companions(
        licenses=[(DAY - timedelta(days=9), license_of(500, 420, 2048, 1500.5, OUT_OF_POLICY))],
        schedules=[
            (DAY - timedelta(days=9), (ServiceSchedule(0, (time(1),)), ServiceSchedule(10, (time(2, 30),)))),
            (DAY + timedelta(days=1), (ServiceSchedule(0, FOUR),)),
        ],
        retention=[
            (DAY - timedelta(days=9), retention_of("7 years", {0: "7 years"})),
            (DAY + timedelta(days=1), retention_of("Unlimited", {0: "1 years"})),
        ],
        activity={(date(2026, 2, 27), 1): (2, 30), (date(2026, 3, 1), 1): (0, 5), (date(2026, 3, 1), 2): (1, 1)},
    )


class Machine:
    """Load only companions into a DuckDB file."""

    def __init__(self, folder: Path, world: World, simulator: Simulator) -> None:
        self.world, self.simulator, self.file = world, simulator, folder / "w.duckdb"
        self.pipeline = dlt.pipeline(
            "companions", destination=dlt.destinations.duckdb(str(self.file)), dataset_name="m365_jobs"
        )

    def load(self, **more: Any) -> list[Attempt]:
        self.simulator.asked.clear()
        attempts: list[Attempt] = []
        self.pipeline.run(
            companions_source(**settings(self.simulator, **{"include": "auto", **more}), attempts=attempts)
        )
        return attempts

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.simulator.asked]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
            return connection.execute(sql).fetchall()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    world = World(DAY + timedelta(hours=8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(companions_module, "_now", lambda: world.now)
    with Simulator(world, companions=tenant_settings()) as simulator:
        yield Machine(tmp_path, world, simulator)


def check_tables(machine: Machine) -> None:
    assert machine.rows(
        "SELECT tenant, day, location, purchased_user_seats, assigned_user_seats, purchased_storage_gb, "
        "protected_size_gb, epoch(out_of_policy_at), out_of_policy_time_raw FROM license_consumption"
    ) == [("default", date(2026, 3, 1), None, 500, 420, 2048.0, 1500.5, OUT_OF_POLICY, OUT_OF_POLICY)]
    assert machine.rows(
        "SELECT day, object_type, potential_ransomware_attack_count, unusual_activities_count, day_complete "
        "FROM unusual_activity ORDER BY day, object_type"
    ) == [
        (date(2026, 2, 27), "sharepoint_online", 2, 30, True),
        (date(2026, 3, 1), "onedrive", 1, 1, False),
        (date(2026, 3, 1), "sharepoint_online", 0, 5, False),
    ]
    assert machine.rows(
        "SELECT s.service_type, s.service, s.object_type, s.backups_per_day, s.interval_hours, t.start_time, "
        "t.minute_of_day, s.valid_to FROM backup_schedules s JOIN backup_schedules__start_times t "
        "ON t.tenant = s.tenant AND t.schedule_id = s.id ORDER BY s.service_type"
    ) == [
        (0, "Exchange Online", "exchange_online", 1.0, 24.0, "01:00", 60, None),
        (10, "Personal Chat", "teams_chat", 1.0, 24.0, "02:30", 150, None),
    ]
    assert machine.rows(
        "SELECT level, object_type, container_name, retention_period, retention_days, daily_retention_enabled "
        "FROM retention_policies ORDER BY level"
    ) == [
        ("container", "exchange_online", "Executives", "Unlimited", None, None),
        ("default", None, None, "7 years", 2555, True),
        ("service", "exchange_online", None, "7 years", 2555, None),
        ("unassigned", "exchange_online", None, "90 days", 90, None),
    ]
    assert machine.rows("SELECT count(*), count(object_type) FROM service_types") == [(15, 12)]
    assert machine.rows("SELECT companion, status, epoch(asked_at) FROM companion_loads ORDER BY 1") == [
        (name, "loaded", machine.world.now.timestamp())
        for name in ("licenses", "retention", "schedule", "unusual_activity")
    ]


@pytest.mark.parametrize("form", ["iso", "seconds", "milliseconds", "clock"])
@pytest.mark.usual(1)
def test_all_four_land_in_their_tables_in_each_form_of_the_api(machine: Machine, form: str) -> None:
    machine.simulator.companions.time_form = form
    machine.simulator.companions.nested = machine.simulator.companions.service_names = form == "clock"
    assert [attempt.status for attempt in machine.load()] == ["loaded"] * 4
    check_tables(machine)
    assert machine.simulator.token_requests == 3, "one token per scope"


def test_the_first_generation_is_asked_where_the_second_is_missing(machine: Machine) -> None:
    machine.simulator.companions.generations = (1,)
    attempts = {attempt.name: attempt.status for attempt in machine.load()}
    assert attempts == {
        "licenses": "loaded",
        "unusual_activity": "loaded",
        "schedule": "not_available",
        "retention": "not_available",
    }
    assert {LICENSES_1, ACTIVITY_1} <= set(machine.paths)
    assert machine.rows("SELECT count(*) FROM license_consumption") == [(1,)]
    assert machine.rows("SELECT count(*) FROM unusual_activity") == [(3,)]


def test_each_companion_is_requested_at_most_once_a_day_even_if_it_fails(machine: Machine) -> None:
    machine.simulator.scopes = tuple(scope for scope in SCOPES if "settings" not in scope)
    machine.load()
    assert machine.paths.count(LICENSES) == 1
    tokens = machine.simulator.token_requests
    machine.world.advance(timedelta(hours=15))
    assert machine.load() == []
    assert machine.paths == []
    assert machine.simulator.token_requests == tokens
    machine.world.advance(timedelta(hours=2))
    assert {attempt.name: attempt.status for attempt in machine.load()} == {
        **dict.fromkeys(("licenses", "unusual_activity"), "loaded"),
        **dict.fromkeys(("schedule", "retention"), "permission_missing"),
    }
    # One request for licences. Two for activity: yesterday, which was incomplete when it was loaded, and today.
    assert Counter(machine.paths) == {LICENSES: 1, ACTIVITY: 2}
    assert machine.rows(
        "SELECT day, object_type, day_complete FROM unusual_activity WHERE day = '2026-03-01' ORDER BY 2"
    ) == [(date(2026, 3, 1), "onedrive", True), (date(2026, 3, 1), "sharepoint_online", True)]
    assert machine.rows("SELECT count(*) FROM license_consumption") == [(2,)]


def test_due_companions_are_known_without_a_request(machine: Machine) -> None:
    assert due("auto", {}) == ["licenses", "unusual_activity", "schedule", "retention"]
    assert due("none", {}) == []
    machine.load(include=["licenses"])
    state = machine.pipeline.state["sources"]["avepoint_m365"]
    assert due("auto", state) == ["unusual_activity", "schedule", "retention"]
    machine.world.advance(timedelta(days=1))
    assert due(["licenses"], state) == ["licenses"]


def test_a_missing_permission_is_named_and_skips_its_resource_only(machine: Machine) -> None:
    scope = "microsoft365backup.unusualActivity.read.all"
    machine.simulator.scopes = tuple(item for item in SCOPES if item != scope)
    attempts = machine.load()
    failed = [attempt for attempt in attempts if attempt.status != "loaded"]
    assert [(attempt.name, attempt.status, attempt.expected) for attempt in failed] == [
        ("unusual_activity", "permission_missing", False)
    ]
    assert scope in failed[0].message
    assert machine.rows("SELECT count(*) FROM unusual_activity") == [(0,)]
    assert machine.rows("SELECT count(*) FROM backup_schedules") == [(2,)]
    assert machine.rows("SELECT companion, permission FROM companion_loads WHERE status <> 'loaded'") == [
        ("unusual_activity", scope)
    ]
    memory = machine.pipeline.state["sources"]["avepoint_m365"][STATE_KEY]["unusual_activity"]
    assert (memory["status"], memory["scope"]) == ("permission_missing", scope)


def test_a_configured_permission_is_expected_and_so_is_one_granted_before(machine: Machine) -> None:
    machine.simulator.scopes = SCOPES[:1]
    assert [attempt.expected for attempt in machine.load(include=["licenses"])] == [True]
    machine.simulator.scopes = SCOPES
    machine.world.advance(timedelta(days=1))
    assert [attempt.expected for attempt in machine.load()] == [False] * 4
    machine.world.advance(timedelta(days=1))
    machine.simulator.expire_tokens()
    machine.simulator.scopes = SCOPES[:1]
    assert [attempt.expected for attempt in machine.load()] == [True] * 4


def test_settings_are_stored_with_their_validity(machine: Machine) -> None:
    machine.load()
    machine.world.advance(timedelta(days=1))
    machine.load()
    machine.world.advance(timedelta(days=1))
    machine.load()
    assert machine.rows(
        "SELECT object_type, backups_per_day, valid_to IS NULL FROM backup_schedules ORDER BY valid_from, object_type"
    ) == [("exchange_online", 1.0, False), ("teams_chat", 1.0, False), ("exchange_online", 4.0, True)]
    assert machine.rows(
        "SELECT level, retention_period, valid_to IS NULL FROM retention_policies "
        "WHERE level IN ('default', 'service') ORDER BY level, valid_from"
    ) == [
        ("default", "7 years", False),
        ("default", "Unlimited", True),
        ("service", "7 years", False),
        ("service", "1 years", True),
    ]
    # A setting that did not change has one version.
    assert machine.rows("SELECT count(*) FROM retention_policies WHERE level = 'unassigned'") == [(1,)]
    assert machine.rows("SELECT count(*) FROM backup_schedules__start_times") == [(6,)]


def test_a_schedule_that_is_switched_off_altogether_ends(machine: Machine) -> None:
    machine.load()
    machine.simulator.companions.schedules.append((DAY + timedelta(days=1), ()))
    machine.world.advance(timedelta(days=1))
    machine.load()
    assert machine.rows("SELECT service, backups_per_day FROM backup_schedules WHERE valid_to IS NULL") == [(None, 0.0)]


def test_settings_are_asked_for_per_location_and_tenants_keep_their_own(machine: Machine) -> None:
    europe = tenant_settings()
    europe.schedules = [(DAY - timedelta(days=9), (ServiceSchedule(2, FOUR),))]
    machine.simulator.companions.of_location["EUR"] = europe
    machine.load(locations=["NAM", "EUR"], tenant="one")
    asked = [(asked.path, asked.params.get("location")) for asked in machine.simulator.asked]
    settings_asked = sorted(request for request in asked if request[0] in (FREQUENCY, RETENTION))
    assert settings_asked == sorted((path, place) for path in (FREQUENCY, RETENTION) for place in ("EUR", "NAM"))
    other = Machine(machine.file.parent, machine.world, machine.simulator)
    other.pipeline = dlt.pipeline(
        "others", destination=dlt.destinations.duckdb(str(machine.file)), dataset_name="m365_jobs"
    )
    other.load(tenant="two")
    assert machine.rows(
        "SELECT tenant, location, object_type FROM backup_schedules WHERE valid_to IS NULL ORDER BY ALL"
    ) == [
        ("one", "EUR", "onedrive"),
        ("one", "NAM", "exchange_online"),
        ("one", "NAM", "teams_chat"),
        ("two", None, "exchange_online"),
        ("two", None, "teams_chat"),
    ]


def test_unknown_enumeration_values_are_stored_and_reported(machine: Machine) -> None:
    machine.simulator.companions.schedules = [(DAY, (ServiceSchedule(27, FOUR),))]
    machine.simulator.companions.retention = [(DAY, retention_of("a while"))]
    machine.load()
    assert machine.rows("SELECT service_type, service, object_type FROM backup_schedules") == [(27, "27", None)]
    assert machine.rows("SELECT retention_period, retention_days FROM retention_policies") == [("a while", None)]
    memory = machine.pipeline.state["sources"]["avepoint_m365"][STATE_KEY]
    results = [finding for tree in memory.values() for finding in tree["findings"]]
    assert [(finding["rule"], finding["example"]) for finding in results] == [
        ("unknown_service_type", "27"),
        ("unknown_retention_period", "a while"),
    ]


def test_an_answer_that_is_not_documented_skips_its_resource_only(machine: Machine) -> None:
    machine.simulator.companions.licenses = [(DAY, {"purchasedUserSeats": "plenty"})]
    attempts = {attempt.name: attempt for attempt in machine.load()}
    assert attempts["licenses"].status == "failed"
    assert "licence consumption holds a value that is not a number" in attempts["licenses"].message
    assert [attempts[name].status for name in ("unusual_activity", "schedule", "retention")] == ["loaded"] * 3


def test_include_none_sends_no_request_and_creates_the_tables(machine: Machine) -> None:
    assert machine.load(include="none") == []
    assert machine.paths == []
    assert machine.simulator.token_requests == 0
    for table in ("license_consumption", "unusual_activity", "backup_schedules", "retention_policies"):
        assert machine.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_include_accepts_a_list_a_word_or_comma_separated_names() -> None:
    assert [companion.name for companion in included("licenses, retention")[0]] == ["licenses", "retention"]
    assert [companion.name for companion in included('["schedule", "retention"]')[0]] == ["schedule", "retention"]
    assert (len(included("context")[0]), included("context")[1]) == (4, True)
    assert (len(included(None)[0]), included(None)[1]) == (4, False)
    with pytest.raises(ConfigurationError, match=r"include = 'licences'\. Did you mean 'licenses'"):
        included(["licences"])
