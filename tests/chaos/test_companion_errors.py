"""Test companions of servers that answer 200 without the data: what was read before stays in force."""

from typing import Any

import pytest

from tests.chaos import test_companion_servers as servers
from tests.chaos.test_companion_servers import Administrator
from tests.support.documented import ACTIVITY, FREQUENCY, LICENSES, RETENTION, Params, envelope

admin = servers.admin
ERROR = {"code": "E1", "message": "The settings cannot be read."}
ERRORS: dict[str, Any] = {
    "errors beside null": envelope(None) | {"errors": [ERROR]},
    "errors beside an empty object": envelope({}) | {"errors": [ERROR]},
    "errors in other casing": {"StatusCode": 200, "Errors": [ERROR], "Data": None},
    "a status in other casing": {"StatusCode": 500, "Message": "The settings cannot be read.", "Data": None},
    "a message alone": {"message": "The settings cannot be read."},
    "an unknown object": envelope({"detail": "The settings cannot be read."}),
    "null": envelope(None),
}


def test_an_error_in_place_of_the_data_is_a_failure_and_changes_no_setting(admin: Administrator) -> None:
    assert admin.load() == 0
    served: dict[str, Any] = {}
    for path in (LICENSES, FREQUENCY, RETENTION):
        admin.server.answers[path] = lambda _: (200, served)
    for name, body in ERRORS.items():
        served.clear()
        served.update(body)
        admin.server.advance(days=1)
        assert admin.load() == 3, name
        assert admin.rows(
            "SELECT companion FROM companion_loads WHERE status = 'failed' AND asked_at::DATE = "
            f"DATE '{admin.server.now:%Y-%m-%d}' ORDER BY 1"
        ) == [("licenses",), ("retention",), ("schedule",)], name
    assert admin.rows("SELECT purchased_user_seats FROM license_consumption") == [(100,)]
    assert admin.rows("SELECT count(*) FROM settings_changes") == [(0,)]
    assert admin.rows("SELECT object_type FROM current_backup_schedules") == [("exchange_online",)]


RENAMED: dict[str, tuple[str, Any, str]] = {
    "seats": (LICENSES, {"purchasedSeats": 100, "assignedUserSeats": 80, "outOfPolicyTime": 0}, "purchasedUserSeats"),
    "frequency": (FREQUENCY, [{"serviceType": 0, "backupsPerDay": 4, "backupStartTime": []}], "frequency"),
    "a service": (FREQUENCY, [{"service": 0, "frequency": 4, "backupStartTime": []}], "serviceType"),
    "the period": (RETENTION, {"enableDailyRetentionPolicy": True, "retention": "1 years"}, "retentionPeriod"),
    "a period": (
        RETENTION,
        {"retentionPeriod": "1 years", "servicePolicies": [{"serviceType": 0, "keep": "1 years"}]},
        "retentionPeriod",
    ),
    "attacks": (
        ACTIVITY,
        {"data": [{"serviceType": 0, "ransomwareCount": 5, "unusualActivitiesCount": 1}]},
        "potentialRansomwareAttackCount",
    ),
}


@pytest.mark.parametrize("name", RENAMED)
def test_a_field_with_an_unknown_one_in_its_place_is_reported(admin: Administrator, name: str) -> None:
    path, data, field = RENAMED[name]
    admin.load()
    assert admin.rows("SELECT rule FROM load_check_failures") == []
    admin.server.answers[path] = lambda _: (200, envelope(data))
    admin.server.advance(days=1)
    admin.load()
    examples = [row[0] for row in admin.rows("SELECT example FROM load_check_failures WHERE rule LIKE 'renamed%'")]
    assert any(example.startswith(f"{field};") for example in examples)


def test_a_negative_number_of_licences_is_reported(admin: Administrator) -> None:
    admin.server.answers[LICENSES] = lambda _: (200, envelope({"purchasedUserSeats": -1, "protectedSize": 4}))
    admin.load()
    assert admin.rows("SELECT rule, example FROM load_check_failures") == [
        ("negative_licence_value", "purchased_user_seats: -1")
    ]


def test_data_is_found_in_any_casing(admin: Administrator) -> None:
    admin.server.answers[LICENSES] = lambda _: (200, {"StatusCode": 200, "Data": {"PurchasedUserSeats": 7}})
    admin.server.answers[RETENTION] = lambda _: (200, {"StatusCode": 200, "Data": {"RetentionPeriod": "7 years"}})
    assert admin.load() == 0
    assert admin.rows("SELECT purchased_user_seats FROM license_consumption") == [(7,)]
    assert admin.rows("SELECT retention_days FROM retention_policies") == [(7 * 365,)]


def test_activity_that_the_api_withdraws_within_its_day_becomes_zero(admin: Administrator) -> None:
    site = {"tenantId": "t1", "serviceType": 1, "potentialRansomwareAttackCount": 5, "unusualActivitiesCount": 9}
    admin.server.answers[ACTIVITY] = lambda asked: (
        200,
        envelope({"data": [site] if asked["startTime"].startswith("2026-03-02") else []}),
    )
    assert admin.load() == 0
    admin.server.answers[ACTIVITY] = lambda _: (200, envelope({"data": []}))
    admin.server.advance(days=1)
    assert admin.load() == 0
    assert admin.rows(
        "SELECT CAST(day AS VARCHAR), object_type, potential_ransomware_attack_count, unusual_activities_count, "
        "day_complete FROM unusual_activity"
    ) == [("2026-03-02", "sharepoint_online", 0, 0, True)]


def test_a_frequency_of_zero_or_less_schedules_no_backup(admin: Administrator) -> None:
    services, starts = [(0, 0), (1, -1), (2, 2), (6, None)], ["2026-03-02T01:00:00Z"]
    admin.server.answers[FREQUENCY] = lambda _: (
        200,
        envelope([{"serviceType": s, "frequency": f, "backupStartTime": starts} for s, f in services]),
    )
    admin.load()
    assert admin.rows(
        "SELECT object_type, backups_per_day, interval_hours FROM backup_schedules ORDER BY service_type"
    ) == [
        ("exchange_online", 0, None),
        ("sharepoint_online", None, None),
        ("onedrive", 2, 12),
        ("teams", 1, 24),
    ]
    assert admin.rows("SELECT example FROM load_check_failures WHERE rule = 'unknown_frequency'") == [
        ("SharePoint Online: -1",)
    ]


def test_one_start_time_in_an_unknown_form_hides_no_other_setting(admin: Administrator) -> None:
    items = [(0, 2, ["2026-03-02T01:00:00Z", "at night", None]), (2, "daily", ["9:00 PM"])]
    admin.server.answers[FREQUENCY] = lambda _: (
        200,
        envelope([{"serviceType": s, "frequency": f, "backupStartTime": t} for s, f, t in items]),
    )
    admin.load()
    assert admin.rows(
        "SELECT s.object_type, s.backups_per_day, list(t.start_time ORDER BY t.start_index) FROM backup_schedules AS s "
        "JOIN backup_schedules__start_times AS t ON t.schedule_id = s.id GROUP BY ALL ORDER BY ALL"
    ) == [("exchange_online", 2, ["01:00", "13:00"]), ("onedrive", None, ["21:00"])]
    assert admin.rows("SELECT rule, example FROM load_check_failures ORDER BY ALL") == [
        ("unknown_frequency", "OneDrive: daily"),
        ("unknown_start_time", "Exchange Online: None"),
        ("unknown_start_time", "Exchange Online: at night"),
    ]


SERVICES = {0: "exchange_online", 1: "sharepoint_online", 2: "onedrive", 6: "teams"}
LINKS = {
    "a path": "/backup/m365/settings/backup/frequency?pageIndex={}",
    "an address in other casing": "https://elsewhere.example/x?PageIndex={}&PageSize=2",
    "a token": "?skiptoken={}",
}


@pytest.mark.usual(1)
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_list_of_settings_is_read_to_its_last_page(admin: Administrator, link: str) -> None:
    """Test a list that is divided into pages from the second day on; its last page links to itself."""
    items = [{"serviceType": s, "frequency": 1, "backupStartTime": ["2026-03-02T01:00:00Z"]} for s in SERVICES]
    paged = False

    def answer(params: Params) -> tuple[int, Any]:
        index = int(params.get("pageIndex") or params.get("skiptoken") or 0)
        page = items[2 * index : 2 * index + 2] if paged else items
        return 200, envelope(page, nextLink=link.format(1) if paged else "")

    admin.server.answers[FREQUENCY] = answer
    assert admin.load() == 0
    assert admin.asked.count(FREQUENCY) == 1
    paged = True
    admin.server.advance(days=1)
    assert admin.load() == 0
    assert admin.asked.count(FREQUENCY) == 2
    assert admin.rows("SELECT object_type FROM current_backup_schedules ORDER BY service_type") == [
        (name,) for name in SERVICES.values()
    ]
    assert admin.rows("SELECT count(*) FROM settings_changes") == [(0,)]


@pytest.mark.parametrize("link", ["another-page", "?pageIndex={}"], ids=["opaque", "endless"])
def test_a_page_of_settings_that_cannot_be_read_changes_none(admin: Administrator, link: str) -> None:
    assert admin.load() == 0

    def answer(params: Params) -> tuple[int, Any]:
        number = int(params.get("pageIndex", "0")) + 1
        return 200, envelope([{"serviceType": f"{number}th", "frequency": 1}], nextLink=link.format(number))

    admin.server.answers[FREQUENCY] = answer
    admin.server.advance(days=1)
    assert admin.load() == 3
    assert any("cannot be read" in message for message in admin.messages)
    assert admin.rows("SELECT object_type FROM current_backup_schedules") == [("exchange_online",)]


def test_a_response_without_content_changes_no_setting(admin: Administrator) -> None:
    assert admin.load() == 0
    for path in (LICENSES, FREQUENCY, RETENTION):
        admin.server.answers[path] = lambda _: (204, "")
    admin.server.advance(days=1)
    assert admin.load() == 3
    assert [row[0] for row in admin.outcomes() if row[2] == "failed"] == ["licenses", "retention", "schedule"]
    assert admin.rows("SELECT count(*) FROM settings_changes") == [(0,)]


def test_values_that_a_retention_policy_lacks_for_some_days_did_not_change(admin: Administrator) -> None:
    """Test a policy that lacks a value, names its period in other words, and then is shortened."""
    service = {"serviceType": 0, "retentionPeriod": "Forever"}
    whole = {
        "enableDailyRetentionPolicy": True,
        "enableCustomizedRetentionPolicy": True,
        "retentionPeriod": "1 years",
        "servicePolicies": [service],
    }
    days: list[tuple[dict[str, Any], int]] = [
        (whole, 0),
        ({**whole, "enableDailyRetentionPolicy": None, "retentionPeriod": None}, 0),
        ({name: value for name, value in whole.items() if name != "servicePolicies"}, 3),
        ({**whole, "retentionPeriod": "12 months", "servicePolicies": [service | {"retentionPeriod": "Unlimited"}]}, 0),
        ({**whole, "retentionPeriod": 365}, 0),
    ]
    served: dict[str, Any] = {}
    admin.server.answers[RETENTION] = lambda _: (200, envelope(served))
    for served, code in days:  # noqa: B007 - the server reads it
        assert admin.load() == code
        assert admin.rows("SELECT setting, old_value, new_value FROM settings_changes") == []
        admin.server.advance(days=1)
    off: dict[str, Any] = {"enableDailyRetentionPolicy": False, "enableCustomizedRetentionPolicy": None}
    shorter = {"retentionPeriod": "30 days", "servicePolicies": [service | {"retentionPeriod": "7 years"}]}
    admin.server.answers[RETENTION] = lambda _: (200, envelope(off | shorter))
    assert admin.load() == 0
    assert admin.rows(
        "SELECT setting, level, change, old_value, new_value FROM settings_changes ORDER BY setting, level"
    ) == [
        ("daily_retention", "default", "switched_off", "on", "off"),
        ("retention", "default", "shortened", "365", "30 days"),
        ("retention", "service", "shortened", "Forever", "7 years"),
    ]
