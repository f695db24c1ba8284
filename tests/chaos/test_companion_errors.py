"""Test companions of servers that answer 200 without the data: what was read before stays in force."""

from typing import Any

from tests.chaos import test_companion_servers as servers
from tests.chaos.test_companion_servers import Administrator
from tests.support.documented import ACTIVITY, FREQUENCY, LICENSES, RETENTION, envelope

admin = servers.admin
ERROR = {"code": "E1", "message": "The settings cannot be read."}
ERRORS: dict[str, Any] = {
    "errors beside null": envelope(None) | {"errors": [ERROR]},
    "errors beside an empty object": envelope({}) | {"errors": [ERROR]},
    "errors in other casing": {"StatusCode": 200, "Errors": [ERROR], "Data": None},
    "a status in other casing": {"StatusCode": 500, "Message": "The settings cannot be read.", "Data": None},
    "a message alone": {"message": "The settings cannot be read."},
    "an unknown object": envelope({"detail": "The settings cannot be read."}),
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
