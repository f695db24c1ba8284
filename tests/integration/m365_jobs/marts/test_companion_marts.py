"""Test the marts on companions, which compare schedules with jobs, on each destination and in each time zone."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection

from tests.integration.m365_jobs.marts import companion_truth as truth
from tests.integration.m365_jobs.marts.rows import NOW, Job, Read, Rows, ago
from tests.integration.m365_jobs.marts.test_numbers import content, plain

SERVICES = {"exchange_online": "Exchange Online", "onedrive": "OneDrive", "power_bi": "Power BI"}
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
DAY = 24.0


def schedule(
    object_type: str,
    minutes: list[int],
    since: datetime,
    until: datetime | None = None,
    location: str | None = None,
    tenant: str = "contoso",
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of a version of a schedule, and the rows of its start times."""
    schedule_id = f"{object_type}{len(minutes)}{location}{tenant}"
    row = {
        "tenant": tenant,
        "id": schedule_id,
        "location": location,
        "setting_scope": f"{tenant}/{location or ''}",
        "service_type": 0,
        "service": SERVICES[object_type],
        "object_type": object_type,
        "backups_per_day": float(len(minutes)),
        "interval_hours": 24 / len(minutes),
        "valid_from": since,
        "valid_to": until,
    }
    times = [
        {"tenant": tenant, "schedule_id": schedule_id, "start_index": index, "minute_of_day": minute, "listed": True}
        for index, minute in enumerate(minutes)
    ]
    return row, times


def read_schedule(hours: float, status: str = "loaded", **more: Any) -> dict[str, Any]:
    """Return the record of a load that asked for the schedule."""
    known = {"tenant": "contoso", "id": f"{hours}{status}{more}", "companion": "schedule", "status": status}
    return {**known, "asked_at": ago(hours), **more}


def companions(*schedules: tuple[dict[str, Any], list[dict[str, Any]]], **more: Any) -> dict[str, Any]:
    """Return the rows of the companions' tables."""
    unique = {(row["tenant"], row["schedule_id"], row["start_index"]): row for _, times in schedules for row in times}
    return {
        "backup_schedules": [row for row, _ in schedules],
        "backup_schedules__start_times": list(unique.values()),
        **more,
    }


def random_rows(seed: int) -> Rows:
    """Return backups that mostly follow their schedules, and restores."""
    chance = random.Random(seed)
    four, two, once = [0, 360, 720, 1080], [90, 810], [60]
    rows = Rows(
        companions=companions(
            schedule("exchange_online", four, ago(12 * DAY), ago(6 * DAY)),
            schedule("exchange_online", two, ago(6 * DAY)),
            schedule("onedrive", once, ago(500 * DAY)),
            schedule("onedrive", [480, 720, 1200], ago(9 * DAY), location="EUR"),
            schedule("power_bi", once, ago(3 * DAY)),
            schedule("exchange_online", four, ago(40 * DAY), tenant="fabrikam"),
            companion_loads=[
                *(read_schedule(days * DAY + 0.01) for days in (500, 100, 12, 9, 6, 3)),
                *(read_schedule(days * DAY + 0.01, location="EUR") for days in (9, 1)),
                # Its schedule is known until 3 days ago, and its jobs go on.
                *(read_schedule(days * DAY + 0.01, tenant="fabrikam") for days in (40, 33)),
                read_schedule(DAY, "permission_missing", tenant="fabrikam"),
            ],
        )
    )
    partitions = [("contoso", None, "exchange_online"), ("contoso", None, "onedrive"), ("contoso", "EUR", "onedrive")]
    partitions += [("fabrikam", None, "exchange_online"), ("contoso", None, "power_bi")]
    for number in range(400):
        tenant, location, object_type = chance.choice(partitions[:4])
        start = ago(
            chance.choice((6 * chance.randrange(50), 12 * chance.randrange(30))) + chance.choice((-0.1, 0, 0.1))
        )
        start -= timedelta(minutes=chance.choice((0, 1, 5, 11, 90, 200, 400)))
        job_type = chance.choice(("backup", "backup", "backup", "backup", "restore"))
        if chance.random() < 0.3 and job_type == "backup":
            continue
        length = timedelta(hours=chance.choice((0.3, 0.5, 1, 7, 14)))
        rows.jobs.append(
            Job(
                f"J{number:04}",
                chance.choice((None, *[start + length] * 12)),
                chance.choice(("Finished", "Finished", "Failed", "Finished with exception")),
                job_type,
                object_type,
                tenant,
                location,
                start,
                failed=chance.choice((0, 4, 20)),
                successful=chance.choice((0, 80)),
            )
        )
    reads = [Read(kind, tenant, place, ago(chance.choice((0, 3, 30)))) for tenant, place, kind in partitions]
    rows.reads += reads
    return rows


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usual(1)
def test_schedule_recovery_point_and_restores_are_those_of_the_definitions(pipeline: dlt.Pipeline, seed: int) -> None:
    rows = random_rows(seed)
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    promised: dict[truth.Key, float] = {
        ("contoso", None, "exchange_online"): 12.0,
        ("contoso", None, "onedrive"): 24.0,
        ("contoso", "EUR", "onedrive"): 12.0,
    }
    expected = {
        "schedule_compliance": plain(truth.schedule_compliance(rows)),
        "recovery_point": plain(truth.recovery_point(rows, promised)),
        "restore_evidence": plain(truth.restore_evidence(rows)),
    }
    assert all(len(answer) >= 3 for answer in expected.values())
    for zone in ZONES:
        assert {view: content(pipeline, view, zone) for view in expected} == expected


def test_three_weeks_without_a_good_backup_that_began_before_the_30_days_are_the_longest_gap(
    pipeline: dlt.Pipeline,
) -> None:
    bad = [Job(f"BAD{day}", ago(24 * day), "Failed") for day in range(9, 31)]
    good = [Job("OLD", ago(24 * 31)), *(Job(f"GOOD{day}", ago(24 * day)) for day in range(9))]
    # Long ago, and a gap that ends before the 30 days.
    others = [Job("LONG_AGO", ago(24 * 90)), Job("FAILED", ago(24 * 60), "Failed")]
    # Without a good backup in the 30 days a service has no row.
    others.append(Job("TEAMS", ago(24 * 31), object_type="teams"))
    Rows([*bad, *good, *others], [Read(), Read("teams")]).load(pipeline)
    marts.update_views(pipeline, Protection())
    assert content(pipeline, "recovery_point") == [
        ("contoso", None, "exchange_online", 9, 23 * 24.0, ago(24 * 31), None, NOW)
    ]


def test_a_backup_is_missed_skipped_or_not_due_yet(pipeline: dlt.Pipeline) -> None:
    """Test four backups a day at 0, 6, 12 and 18 o'clock; NOW is 06:00, so that of 06:00 may still start."""
    rows = Rows(
        [
            # A starts late, but within half an interval. B is so long that 12:00 is skipped. 18:00 is missed.
            Job("A", ago(26), start=ago(27.5)),
            Job("B", ago(16), start=ago(23.9)),
            Job("C", ago(5), "Failed", start=ago(5.9)),
        ],
        [Read()],
        companions(schedule("exchange_online", [0, 360, 720, 1080], ago(30))),
    )
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    yesterday, today = date(2026, 3, 19), date(2026, 3, 20)
    assert content(pipeline, "schedule_compliance") == [
        ("contoso", None, "exchange_online", yesterday, 4, 2, 2, 1, 1, round(2 / 3, 9)),
        ("contoso", None, "exchange_online", today, 1, 1, 0, 0, 0, 0.0),
    ]


def test_a_schedule_in_local_time_is_met_in_the_nights_in_which_clocks_change(pipeline: dlt.Pipeline) -> None:
    """Test Europe on 29 March 2026: backups start at 02:00 UTC in winter and at 01:00 UTC in summer.

    The load reads the changed schedule at noon.
    """
    forward = datetime(2026, 3, 29, 12, tzinfo=UTC)
    starts = [datetime(2026, 3, day, 2 if day < 29 else 1, 5, tzinfo=UTC) for day in range(26, 32)]
    rows = Rows(
        [Job(f"J{start.day}", start + timedelta(hours=1), start=start) for start in starts],
        [Read(until=datetime(2026, 4, 1, tzinfo=UTC))],
        companions(
            schedule("exchange_online", [120], ago(24 * 60), forward),
            renamed(schedule("exchange_online", [60], forward), "summer"),
            companion_loads=[read_schedule(24 * days) for days in (60, 2, -9)],
        ),
    )
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    answer = content(pipeline, "schedule_compliance")
    assert answer == plain(truth.schedule_compliance(rows))
    ran = {row[3]: row[4:8] for row in answer if row[3] >= date(2026, 3, 26)}
    assert ran == {date(2026, 3, day): (1, 1, 1, 0) for day in range(26, 32)}


def renamed(
    version: tuple[dict[str, Any], list[dict[str, Any]]], schedule_id: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    row, times = version
    return {**row, "id": schedule_id}, [{**time, "schedule_id": schedule_id} for time in times]


def licenses(days: int, seats_per_day: float, noise: int = 0, purchased: int = 500) -> list[dict[str, Any]]:
    """Return a snapshot for each day up to today; today 400 seats are in use and 1,000 of 2,000 GB are protected."""
    chance = random.Random(5)
    return [
        {
            "tenant": "contoso",
            "id": f"{number}",
            "day": NOW.date() - timedelta(days=number),
            "purchased_user_seats": purchased,
            "assigned_user_seats": round(
                400 - seats_per_day * number + (chance.randint(-noise, noise) if number else 0)
            ),
            "purchased_storage_gb": 2000.0,
            "protected_size_gb": 1000.0,
            "snapshot_at": NOW - timedelta(days=number),
        }
        for number in range(days)
    ]


def snapshot(**values: Any) -> dict[str, Any]:
    """Return the licences of today, with other ``values``."""
    return {**licenses(1, 0)[0], "snapshot_at": NOW, **values}


def least_squares(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return slope, value at 0 and twice the standard error of the slope, by the textbook formula."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    level = mean_y - slope * mean_x
    rest: float = sum((y - level - slope * x) ** 2 for x, y in points)
    return slope, level, 2 * (rest / (n - 2) / sxx) ** 0.5


COLUMNS = "day, seats_per_day, seats_run_out_on, seats_run_out_earliest, seats_run_out_latest, storage_run_out_on"


def newest_forecast(pipeline: dlt.Pipeline) -> tuple[Any, ...]:
    with pipeline.sql_client() as client:
        rows = client.execute_sql(f"SELECT {COLUMNS} FROM m365_jobs.license_trend ORDER BY day DESC") or []
    assert all(row[1:] == (None,) * 5 for row in rows[1:]), "a forecast for a day of the past"
    return tuple(rows[0])


def test_the_day_on_which_seats_run_out_is_that_of_a_straight_line(pipeline: dlt.Pipeline) -> None:
    snapshots = licenses(60, 2.0, noise=12)
    Rows([], [Read()], {"license_consumption": snapshots}).load(pipeline)
    marts.update_views(pipeline, Protection())
    points = [(-float(number), float(row["assigned_user_seats"])) for number, row in enumerate(snapshots)]
    slope, level, margin = least_squares(points)

    def day(rise: float) -> date:
        return NOW.date() + timedelta(days=-int(-(500 - level) // rise))

    answer = newest_forecast(pipeline)
    assert answer[0] == NOW.date()
    assert answer[1] == pytest.approx(slope)
    assert answer[2:5] == (day(slope), day(slope + margin), day(slope - margin))
    assert answer[3] < answer[2] < answer[4]
    assert answer[5] is None, "storage does not grow"
    peaks = "SELECT DISTINCT extract(MONTH FROM day), month_peak_seats FROM m365_jobs.license_trend"
    months: dict[int, int] = {}
    for row in snapshots:
        month = row["day"].month
        months[month] = max(months.get(month, 0), row["assigned_user_seats"])
    with pipeline.sql_client() as client:
        assert {int(month): peak for month, peak in client.execute_sql(peaks) or []} == months


@pytest.mark.parametrize(
    ("days", "per_day", "purchased", "runs_out"),
    [(13, 5.0, 500, None), (14, 5.0, 500, 20), (30, -1.0, 500, None), (30, 0.0, 500, None), (30, 1.0, 300, 0)],
)
def test_a_forecast_needs_14_days_and_growth(
    pipeline: dlt.Pipeline, days: int, per_day: float, purchased: int, runs_out: int | None
) -> None:
    Rows([], [Read()], {"license_consumption": licenses(days, per_day, purchased=purchased)}).load(pipeline)
    marts.update_views(pipeline, Protection())
    expected = None if runs_out is None else NOW.date() + timedelta(days=runs_out)
    assert newest_forecast(pipeline)[2] == expected


def policy(level: str, period: str, days: int | None, since: float, until: float | None, **more: Any) -> dict[str, Any]:
    return {
        "tenant": "contoso",
        "id": f"{level}{period}{more}",
        "setting_scope": "contoso/",
        "level": level,
        "retention_period": period,
        "retention_days": days,
        "valid_from": ago(since),
        "valid_to": None if until is None else ago(until),
        **more,
    }


def test_changes_of_settings_name_the_loads_before_and_after(pipeline: dlt.Pipeline) -> None:
    exchange = {"service": "Exchange Online", "object_type": "exchange_online"}
    policies = [
        policy("default", "7 years", 2555, 72, 24, daily_retention_enabled=True, custom_retention_enabled=True),
        policy("default", "7 years", 2555, 24, None, daily_retention_enabled=False, custom_retention_enabled=True),
        policy("service", "7 years", 2555, 72, 24, **exchange),
        policy("service", "1 years", 365, 24, None, **exchange),
        policy("unassigned", "90 days", 90, 72, 24, **exchange),
        policy("unassigned", "Unlimited", None, 24, None, **exchange),
        policy("container", "a while", None, 72, 24, container_id="c1", container_name="Executives", **exchange),
        policy("container", "some time", None, 24, None, container_id="c1", container_name="Executives", **exchange),
    ]
    loads = [
        {"tenant": "contoso", "id": f"{name}{at}", "companion": name, "status": status, "asked_at": ago(at)}
        for name in ("schedule", "retention")
        for at, status in ((72.01, "loaded"), (48.01, "loaded"), (36, "failed"), (24.01, "loaded"))
    ]
    rows = companions(
        schedule("exchange_online", [0, 360, 720, 1080], ago(72), ago(24)),
        schedule("exchange_online", [0], ago(24)),
        schedule("onedrive", [0], ago(72), ago(24)),
        schedule("power_bi", [0], ago(24)),
        retention_policies=policies,
        companion_loads=loads,
    )
    Rows([], [Read()], rows).load(pipeline)
    marts.update_views(pipeline, Protection())
    after, before = ago(48.01), ago(24)
    name, kind = "Exchange Online", "exchange_online"
    for zone in ZONES:
        assert content(pipeline, "settings_changes", zone) == plain(
            ("contoso", None, *change, after, before)
            for change in [
                ("schedule", "service", name, kind, None, None, "less_often", "4 a day", "1 a day"),
                ("schedule", "service", "OneDrive", "onedrive", None, None, "switched_off", "1 a day", None),
                ("schedule", "service", "Power BI", "power_bi", None, None, "switched_on", None, "1 a day"),
                ("retention", "service", name, kind, None, None, "shortened", "7 years", "1 years"),
                ("retention", "unassigned", name, kind, None, None, "lengthened", "90 days", "Unlimited"),
                ("retention", "container", name, kind, "c1", "Executives", "changed", "a while", "some time"),
                ("daily_retention", "default", None, None, None, None, "switched_off", "on", "off"),
            ]
        )
    with pipeline.sql_client() as client:
        in_force = client.execute_sql("SELECT level FROM m365_jobs.current_retention_policies ORDER BY level") or []
        scheduled = client.execute_sql("SELECT service FROM m365_jobs.current_backup_schedules ORDER BY service") or []
    assert [row[0] for row in in_force] == ["container", "default", "service", "unassigned"]
    assert [row[0] for row in scheduled] == ["Exchange Online", "Power BI"]


def test_unusual_activity_is_shown_beside_jumps_of_failed_objects(pipeline: dlt.Pipeline) -> None:
    jobs = [
        Job(f"{kind}{day}", ago(24 * day + 3), start=ago(24 * day + 4), object_type=kind, failed=failed)
        for kind, today in (("exchange_online", 40), ("onedrive", 40), ("power_bi", 5))
        for day, failed in [(0, today), *((day, 4) for day in range(1, 12))]
    ]
    # Too few days to compute a usual number of failed objects.
    jobs.append(Job("T1", ago(3), start=ago(4), object_type="teams", failed=90))
    activity = [
        {
            "tenant": "contoso",
            "id": f"{kind}{day}",
            "day": (NOW - timedelta(days=day)).date(),
            "object_type": kind,
            "potential_ransomware_attack_count": attacks,
            "unusual_activities_count": unusual,
        }
        for kind, day, attacks, unusual in (("exchange_online", 0, 2, 30), ("onedrive", 5, 0, 1), ("power_bi", 1, 0, 0))
    ]
    activity += [
        activity[0] | {"id": str(name), "object_type": None, "service": name}
        for name in ("Private Channel", "99", None)
    ]
    Rows(jobs, [Read()], {"unusual_activity": activity}).load(pipeline)
    marts.update_views(pipeline, Protection())
    today = NOW.date()
    for zone in ZONES:
        assert content(pipeline, "suspicious_days", zone) == [
            ("contoso", None, "exchange_online", None, today, 2, 30, 40, 4.0, "both"),
            ("contoso", None, "onedrive", None, today - timedelta(days=5), 0, 1, 4, None, "activity"),
            ("contoso", None, "onedrive", None, today, 0, 0, 40, 4.0, "failed_objects"),
            *(
                ("contoso", None, None, name, today, 2, 30, 0, None, "activity")
                for name in ("", "99", "Private Channel")
            ),
        ]
