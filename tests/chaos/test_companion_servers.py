"""Test companions of servers written only from the reference: each form of value and kind of failure, over days."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_m365.companions import timing as companions_module
from m365_jobs.load import run as loading

from tests.support.documented import (
    ACTIVITY,
    COMPANIONS,
    FREQUENCY,
    JOBS_SCOPE,
    LICENSES,
    PREFIX,
    RETENTION,
    Backup,
    DocumentedServer,
    Params,
    envelope,
    serving,
)

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Administrator:
    """Load from a server into a DuckDB file, by the server's clock."""

    def __init__(self, server: DocumentedServer, file: Path) -> None:
        self.server, self.file = server, file
        self.messages: list[str] = []

    def load(self, **settings: Any) -> int:
        """Load and return the exit code; the messages of the load are in ``messages``."""
        source = {
            "credentials": {"client_id": "id", "client_secret": "secret"},
            "base_url": self.server.url,
            "token_url": f"{self.server.url}/connect/token",
            "start_date": (MONDAY - timedelta(days=3)).isoformat(),
            "include": "auto",
            **settings,
        }
        self.server.asked.clear()
        self.messages = []
        summary = loading.load(loading.LoadOptions(source=source), Progress(), self.messages.append)
        self.messages += summary.incomplete
        return summary.exit_code

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
            return connection.execute(sql).fetchall()

    def outcomes(self) -> list[tuple[Any, ...]]:
        """Return companion, location, status and day of each attempt."""
        return self.rows(
            "SELECT companion, location, status, CAST(asked_at AS DATE) FROM companion_loads "
            "ORDER BY companion, asked_at, location"
        )

    @property
    def asked(self) -> list[str]:
        return [path for path, _ in self.server.asked if path in COMPANIONS]


def licence(_: Params) -> tuple[int, Any]:
    return 200, envelope({"outOfPolicyTime": 0, "purchasedUserSeats": 100, "assignedUserSeats": 80})


def nothing(_: Params) -> tuple[int, Any]:
    return 200, envelope({"data": []})


def frequency(*starts: Any, often: Any = None, service: Any = 0) -> Any:
    item = {"serviceType": service, "frequency": often or len(starts), "backupStartTime": list(starts)}
    return lambda _: (200, envelope([item]))


def policy(period: str) -> Any:
    return lambda _: (200, envelope({"enableDailyRetentionPolicy": True, "retentionPeriod": period}))


ALL_WELL = {
    LICENSES: licence,
    ACTIVITY: nothing,
    FREQUENCY: frequency("2026-03-02T01:00:00Z"),
    RETENTION: policy("1 years"),
}


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administrator]:
    jobs = [Backup(f"FB{day}", MONDAY + timedelta(days=day, hours=-7), MONDAY + timedelta(days=day, hours=-6))
            for day in range(-2, 12)]  # fmt: skip
    server = DocumentedServer(MONDAY, jobs, dict(ALL_WELL))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    for module in (avepoint_m365, companions_module):
        monkeypatch.setattr(module, "_now", lambda: server.now)
    with serving(server):
        yield Administrator(server, tmp_path / "m365_warehouse.duckdb")


FORMS: dict[str, tuple[Any, ...]] = {
    "time stamps of the day": ("2026-03-02T09:00:00Z", "2026-03-02T21:30:00Z"),
    "time stamps with an offset": ("2026-03-02T10:00:00+01:00", "2026-03-02T16:30:00-05:00"),
    "texts with AM and PM": ("9:00 AM", "9:30 PM"),
    "american dates": ("3/2/2026 9:00:00 AM", "3/2/2026 9:30:00 PM"),
    "epoch milliseconds": (1772442000000, 1772487000000),
    "epoch milliseconds as texts": ("1772442000000", "1772487000000"),
    "epoch seconds": (1772442000, 1772487000),
    ".NET ticks": (639080388000000000, 639080838000000000),
}


def test_start_times_are_read_in_each_form(admin: Administrator) -> None:
    items = [
        {"serviceType": number, "frequency": "2", "backupStartTime": list(times)}
        for number, times in enumerate(FORMS.values())
    ]
    admin.server.answers = {**ALL_WELL, FREQUENCY: lambda _: (200, envelope(items))}
    assert admin.load(include=["schedule"]) == 0
    schedules = "SELECT service_type, backups_per_day, interval_hours FROM backup_schedules ORDER BY 1"
    assert admin.rows(schedules) == [(number, 2.0, 12.0) for number in range(len(FORMS))]
    times = """SELECT s.service_type, t.start_time, t.minute_of_day, t.listed FROM backup_schedules AS s
        JOIN backup_schedules__start_times AS t ON t.schedule_id = s.id ORDER BY s.service_type, t.start_index"""
    assert admin.rows(times) == [
        (number, *start) for number in range(len(FORMS)) for start in (("09:00", 540, True), ("21:30", 1290, True))
    ]


def test_nested_data_and_undocumented_enumeration_values_are_read(admin: Administrator) -> None:
    activity = {"tenantOwner": "o", "tenantId": "t", "serviceType": 99, "potentialRansomwareAttackCount": 1}
    admin.server.answers = {
        LICENSES: lambda _: (200, envelope({"data": {"purchasedUserSeats": "1,000", "assignedUserSeats": 7.0}})),
        ACTIVITY: lambda given: (200, envelope({"data": [activity] if "2026-03-02T00" in given["startTime"] else []})),
        FREQUENCY: lambda _: (200, envelope({"data": [{"serviceType": "Copilot Studio", "frequency": 4}]})),
        RETENTION: lambda _: (200, envelope({"data": {"retentionPeriod": "until Easter", "servicePolicies": None}})),
    }
    assert admin.load() == 0
    assert admin.rows("SELECT purchased_user_seats, assigned_user_seats FROM license_consumption") == [(1000, 7)]
    assert admin.rows("SELECT day, service_type, service, object_type FROM unusual_activity") == [
        (date(2026, 3, 2), 99, "99", None)
    ]
    assert admin.rows("SELECT service_type, service, object_type, backups_per_day FROM backup_schedules") == [
        (None, "Copilot Studio", None, 4.0)
    ]
    # Without start times, the backups are spread evenly from midnight, and are marked as not listed.
    assert admin.rows("SELECT minute_of_day, listed FROM backup_schedules__start_times ORDER BY 1") == [
        (minute, False) for minute in (0, 360, 720, 1080)
    ]
    assert admin.rows("SELECT retention_period, retention_days FROM retention_policies") == [("until Easter", None)]
    findings = "SELECT DISTINCT rule, example FROM load_check_failures ORDER BY rule, example"
    assert admin.rows(findings) == [
        ("unknown_retention_period", "until Easter"),
        ("unknown_service_type", "99"),
        ("unknown_service_type", "Copilot Studio"),
    ]


@pytest.mark.usual(1)
@pytest.mark.parametrize("refused_by", ["the API", "the token endpoint"])
def test_a_missing_permission_skips_only_its_companion(admin: Administrator, refused_by: str) -> None:
    if refused_by == "the API":
        admin.server.answers[ACTIVITY] = lambda _: (403, {"message": "Forbidden"})
    else:
        admin.server.scopes -= {PREFIX + "unusualActivity.read.all"}
    assert admin.load() == 0
    assert [row[:3] for row in admin.outcomes()] == [
        ("licenses", None, "loaded"),
        ("retention", None, "loaded"),
        ("schedule", None, "loaded"),
        ("unusual_activity", None, "permission_missing"),
    ]
    message = [line for line in admin.messages if "unusual_activity" in line]
    assert len(message) == 1
    assert PREFIX + "unusualActivity.read.all" in message[0]
    admin.server.advance(days=1)
    assert admin.load() == 0
    assert not [line for line in admin.messages if "unusual_activity" in line], "said a second time"


def test_a_token_endpoint_of_one_scope_costs_no_job_and_a_request_a_day_for_each_scope(admin: Administrator) -> None:
    admin.server.scopes = {JOBS_SCOPE}
    assert admin.load() == 0
    assert admin.rows("SELECT count(*) FROM jobs") == [(3,)]
    assert admin.asked == []
    assert {row[2] for row in admin.outcomes()} == {"permission_missing"}
    assert all(" " not in scope for scope in admin.server.tokens), "two scopes in one token"
    admin.server.tokens.clear()
    assert admin.load() == 0
    assert set(admin.server.tokens) <= {JOBS_SCOPE}


def test_failing_companions_are_requested_once_a_day_and_lose_no_job(admin: Administrator) -> None:
    assert admin.load() == 0
    for path in COMPANIONS:
        admin.server.answers[path] = lambda _: (500, "<html>Oops</html>")
    for day in range(3):
        admin.server.advance(days=1)
        # The companions worked before, so a failure now is reported, and the load is not complete.
        assert admin.load() == 3
        assert sorted(admin.asked) == sorted(COMPANIONS), f"day {day}"
        assert len([line for line in admin.messages if "companion" in line]) == len(COMPANIONS)
    admin.server.advance(hours=1)
    admin.load()
    assert admin.asked == []
    assert admin.rows("SELECT count(*) FROM jobs") == [(6,)]
    in_force = admin.rows("SELECT valid_to FROM backup_schedules UNION ALL SELECT valid_to FROM retention_policies")
    assert in_force == [(None,), (None,)], "a failure ended a setting"
    admin.server.answers = dict(ALL_WELL)
    admin.server.advance(days=1)
    assert admin.load() == 0
    # The days in between are requested again, so none is lost.
    days = sorted({params["startTime"][:10] for path, params in admin.server.asked if path == ACTIVITY})
    assert days == [f"2026-03-{day:02}" for day in range(2, 7)]
    assert admin.rows("SELECT count(*) FROM backup_schedules") == [(1,)]


def test_a_location_without_a_companion_does_not_affect_the_others(admin: Administrator) -> None:
    refusals = {"NAM": 403, "EUR": 400, "GBR": 404, "JPN": 500}

    def schedule(given: Params) -> tuple[int, Any]:
        if given["location"] in refusals:
            return refusals[given["location"]], {"message": "No"}
        return 200, envelope([{"serviceType": 2, "frequency": 1, "backupStartTime": ["2026-03-02T01:00:00Z"]}])

    admin.server.answers[FREQUENCY] = schedule
    admin.load(locations=[*refusals, "CAN"])
    assert admin.rows("SELECT location, object_type FROM backup_schedules") == [("CAN", "onedrive")]
    assert {row[1]: row[2] for row in admin.outcomes() if row[0] == "schedule"} == {
        "NAM": "permission_missing",
        "EUR": "failed",
        "GBR": "not_available",
        "JPN": "failed",
        "CAN": "loaded",
    }
    assert admin.rows("SELECT count(*) FROM jobs") == [(3,)]


def test_a_setting_that_changes_twice_a_day_has_a_version_for_each_day_it_was_read(admin: Administrator) -> None:
    """Test settings, which are read once per UTC day: a change that is undone within the day leaves no version."""
    periods = iter(["7 years", "1 years", "7 years", "Unlimited"])
    for day in range(4):
        admin.server.answers[RETENTION] = policy(next(periods))
        assert admin.load() == 0
        if day == 1:
            admin.server.answers[RETENTION] = policy("1 days")
            assert admin.load() == 0
        admin.server.advance(days=1)
        # dlt marks versions with the time of the run, not with the server's time.
        assert admin.rows("SELECT count(*) FROM retention_policies") == [(day + 1,)]
    versions = "SELECT retention_period, valid_to IS NULL FROM retention_policies ORDER BY valid_from"
    assert admin.rows(versions) == [("7 years", False), ("1 years", False), ("7 years", False), ("Unlimited", True)]
    changes = "SELECT change, old_value, new_value FROM settings_changes ORDER BY changed_before"
    assert admin.rows(changes) == [
        ("shortened", "7 years", "1 years"),
        ("lengthened", "1 years", "7 years"),
        ("lengthened", "7 years", "Unlimited"),
    ]


def test_a_schedule_that_is_emptied_and_comes_back_is_three_versions(admin: Administrator) -> None:
    starts = FREQUENCY, ALL_WELL[FREQUENCY]
    for answer in (starts[1], lambda _: (200, envelope([])), starts[1]):
        admin.server.answers[FREQUENCY] = answer
        assert admin.load() == 0
        admin.server.advance(days=1)
    services = "SELECT service, backups_per_day, valid_to IS NULL FROM backup_schedules ORDER BY valid_from"
    assert admin.rows(services) == [("Exchange Online", 1.0, False), (None, 0.0, False), ("Exchange Online", 1.0, True)]
    assert admin.rows("SELECT change FROM settings_changes ORDER BY changed_before") == [
        ("switched_off",),
        ("switched_on",),
    ]
