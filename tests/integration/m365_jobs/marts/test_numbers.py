"""Test that the numbers in the marts equal those computed from the definitions, on each destination."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dlt
import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection, Services
from m365_jobs.marts.catalog import VIEWS, questions

from tests.integration.m365_jobs.marts import truth
from tests.integration.m365_jobs.marts.rows import NOW, Error, Job, Read, Rows, ago

SETTINGS = Protection(
    Services(expected=frozenset({"teams"}), ignored=frozenset({"power_bi"})),
    of_tenant={"fabrikam": Services(expected=frozenset({"onedrive"}))},
    allowed_age_of={"onedrive": 8},
    time_zones={"": "UTC", "contoso": "Asia/Kolkata", "fabrikam": "America/New_York"},
)


def content(pipeline: dlt.Pipeline, view: str, time_zone: str = "UTC") -> list[tuple[Any, ...]]:
    """Return all rows of a view in a form that can be compared: sorted, times in UTC, fractions rounded."""
    with pipeline.sql_client() as client:
        client.execute_sql(f"SET TimeZone = '{time_zone}'")
        return plain(client.execute_sql(f"SELECT * FROM {client.make_qualified_table_name(view)}") or [])


def plain(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(_plain(value) for value in row) for row in rows), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return round(value, 9) if isinstance(value, float) else value


def random_rows(seed: int) -> Rows:
    """Return many jobs with few different values, so that ties, nulls and contradictions are frequent."""
    chance = random.Random(seed)
    texts = ("Access denied", "Throttled", None)
    states = ("Finished", "FINISHED", "Failed", "Finished with exception", "Partially-Finished", "In Progress", "Held")
    partitions = [
        (tenant, location, object_type)
        for tenant in ("contoso", "fabrikam")
        for location in (None, "EUR")
        for object_type in ("exchange_online", "onedrive", "power_bi")
    ]

    def job(number: int) -> Job:
        tenant, location, object_type = chance.choice(partitions)
        total = chance.choice((0, None, 3, 20, 100))
        return Job(
            id=f"FB{number:05d}",
            finish=chance.choice((None, *(ago(6 * chance.randrange(160)) for _ in range(7)))),
            state=chance.choice((*states, "Finished", None)),
            job_type=chance.choice(("backup", "backup", "backup", "restore", None)),
            object_type=object_type,
            tenant=tenant,
            location=location,
            start=chance.choice((None, ago(1), ago(40), ago(70), ago(900))),
            total=total,
            failed=chance.choice((0, None, 1, 5)),
            successful=chance.choice((0, None, 90)),
            errors=tuple(
                Error(chance.choice(texts), chance.choice((None, 0, 4)), chance.choice((None, "", "https://kb/1")))
                for _ in range(chance.choice((0, 0, 2, 3)))
            ),
        )

    reads = [
        Read(object_type, tenant, location, ago(chance.choice((0, 5, 1000))), chance.random() < 0.7, kind, f"run{run}")
        for tenant, location, object_type in partitions
        for run in range(3)
        for kind in (None, None, "backup")
    ]
    return Rows([job(number) for number in range(600)], reads)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.usual(1)
def test_every_mart_holds_what_plain_python_computes_from_the_rows(pipeline: dlt.Pipeline, seed: int) -> None:
    rows = random_rows(seed)
    rows.load(pipeline)
    marts.update_views(pipeline, SETTINGS)
    assert content(pipeline, "job_facts") == plain(truth.job_facts(rows))
    assert content(pipeline, "daily_summary") == plain(truth.daily_summary(rows))
    assert content(pipeline, "daily_summary_local") == plain(truth.daily_summary_local(rows, SETTINGS))
    assert content(pipeline, "error_summary") == plain(truth.error_summary(rows))
    assert content(pipeline, "open_jobs") == plain(truth.open_jobs(rows))
    assert content(pipeline, "partition_loads") == plain(truth.partition_loads(rows))
    assert content(pipeline, "protection_status") == plain(truth.protection_status(rows, SETTINGS))


OUTCOMES = {
    "success": ("Finished", "finished", "FINISHED ", "2"),
    "warning": (
        *("Finished with Exception", "Finished with exception", "FinishedWithException", "FinishedException", "4"),
        *("Partially Finished", "partially_finished", "PartiallyFinished", "5"),
    ),
    "failure": ("Failed", "FAILED", "3"),
    "running": ("In Progress", "InProgress", "in-progress", "1"),
    "other": ("Skipped", "Finished?!42", "6", "已完成 2", "失败 3", "", None),
}


def test_the_outcome_is_recognised_in_each_spelling_of_a_state(pipeline: dlt.Pipeline) -> None:
    spelled = [(outcome, state) for outcome, states in OUTCOMES.items() for state in states]
    Rows([Job(f"FB{number}", ago(1), state) for number, (_, state) in enumerate(spelled)], [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    results = {row[1]: row[15] for row in content(pipeline, "job_facts")}
    assert {state: results[f"FB{number}"] for number, (_, state) in enumerate(spelled)} == {
        state: outcome for outcome, state in spelled
    }


@pytest.mark.destinations
def test_marts_are_equal_in_a_database_with_another_locale(turkish: dlt.Pipeline) -> None:
    jobs = [
        Job("FBb", ago(2), "FINISHED"),
        Job("FBC", ago(2), "FAILED"),
        Job("FBD", ago(2), "FAILED"),
        Job("FB1", None, "IN PROGRESS"),
    ]
    rows = Rows(jobs, [Read()])
    rows.load(turkish)
    marts.update_views(turkish, Protection())
    assert content(turkish, "job_facts") == plain(truth.job_facts(rows))
    assert content(turkish, "protection_status") == plain(truth.protection_status(rows, Protection()))


def test_sums_beyond_what_their_type_holds_end_at_its_limit(pipeline: dlt.Pipeline) -> None:
    limit = 2**63 - 1
    errors = (Error("Throttled", limit), Error("Throttled", limit))
    jobs = [
        Job("FB1", ago(2), total=limit, failed=-limit, errors=errors),
        Job("FB2", ago(2), total=limit, failed=-limit),
        Job("FB3", ago(2), object_type="teams"),
    ]
    Rows(jobs, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    assert {row[3]: row[10:12] for row in content(pipeline, "daily_summary")} == {
        "exchange_online": (limit, -limit),
        "teams": (100, 0),
    }
    assert {row[1]: row[-2] for row in content(pipeline, "job_facts")} == {"FB1": limit, "FB2": 0, "FB3": 0}
    assert [row[3] for row in content(pipeline, "error_summary")] == [limit]


def test_a_job_counts_on_the_utc_day_of_its_finish_in_each_session_time_zone(
    pipeline: dlt.Pipeline,
) -> None:
    midnight = datetime(2026, 3, 18, tzinfo=UTC)
    just_before = midnight - timedelta(microseconds=1)
    jobs = [
        Job("FB1", midnight, start=midnight - timedelta(hours=30)),
        Job("FB2", just_before, start=just_before - timedelta(hours=1.5)),
        Job("FB3", None, start=midnight, state="In Progress"),
    ]
    Rows(jobs, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    for time_zone in ("Asia/Tokyo", "America/Los_Angeles"):
        days = {row[0]: (row[5], row[12]) for row in content(pipeline, "daily_summary", time_zone)}
        assert days == {date(2026, 3, 17): (1, 1.5), date(2026, 3, 18): (1, 30.0)}


def test_hours_do_not_change_with_summer_time_in_the_time_zone_of_the_session(pipeline: dlt.Pipeline) -> None:
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    Rows([Job("FB1", start + timedelta(hours=2), start=start)], [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    assert [row[12] for row in content(pipeline, "daily_summary", "Europe/Berlin")] == [2.0]


def good(hours: float, **more: Any) -> Job:
    return Job(f"FB{hours}", ago(hours), **more)


def bad(hours: float, **more: Any) -> Job:
    return Job(f"FB{hours}", ago(hours), "Failed", **more)


def warning(hours: float, failed: int | None, total: int | None = 100, successful: int | None = 50) -> Job:
    return Job(f"FB{hours}", ago(hours), "Finished with Exception", total=total, failed=failed, successful=successful)


def running(hours: float, **more: Any) -> Job:
    return Job(f"FB{hours}", None, "In Progress", start=ago(hours), **more)


def untyped(hours: float) -> Job:
    return Job(f"FB{hours}", ago(hours), job_type=None)


CASES: dict[str, tuple[list[Job], str]] = {
    "a success a day ago": ([good(24)], "protected"),
    "a success at the very end of the allowed age": ([good(26)], "protected"),
    "a success older than that": ([good(26.01)], "late"),
    "an old success and a backup that runs": ([good(30), running(47.9)], "running_long"),
    "an old success and a backup that runs for two days": ([good(30), running(48)], "late"),
    "an old success and a restore that runs": ([good(30), running(1, job_type="restore")], "late"),
    "an old success and a job that ended without a finish": ([good(30), Job("FBx", None, start=ago(2))], "late"),
    "an old success and a state nobody knows without a finish": (
        [good(30), Job("FBx", None, "Queued", start=ago(2))],
        "running_long",
    ),
    "one failure after a success": ([good(20), bad(2)], "protected"),
    "two failures after a success": ([good(20), bad(3), bad(2)], "failing"),
    "two failures before a success": ([bad(3), bad(2), good(1)], "protected"),
    "a failure and a state nobody knows": ([good(20), bad(3), Job("FBx", ago(2), "Held")], "failing"),
    "one failure and never a success": ([bad(2)], "never"),
    "two failures and never a success": ([bad(3), bad(2)], "failing"),
    "only a backup that runs": ([running(2)], "onboarding"),
    "only a backup that runs for two weeks": ([running(14 * 24)], "never"),
    "a failure and a backup that runs": ([bad(20), running(2)], "never"),
    "only restores": ([Job("RE1", ago(2), job_type="restore"), good(700)], "late"),
    "a warning with few failed objects": ([warning(2, failed=5)], "protected"),
    "a warning with too many failed objects": ([warning(2, failed=6)], "never"),
    "a warning without a successful object": ([warning(2, failed=0, successful=0)], "never"),
    "a warning without a total": ([warning(2, failed=0, total=0)], "never"),
    "a warning without counts": ([warning(2, failed=None, total=None, successful=None)], "never"),
    "tolerated warnings after a success": ([good(30), warning(3, failed=1), warning(2, failed=1)], "protected"),
    "only jobs of unknown type": ([untyped(2), untyped(3)], "unknown"),
    "jobs of unknown type beside a backup": ([good(30), untyped(2)], "late"),
    "failures with one finish, by start": (
        [good(9), bad(2, start=ago(5)), Job("FB-late", ago(2), start=ago(4)), Job("FB0", ago(2), "Failed", start=None)],
        "protected",
    ),
    "failures with one finish and start, by id": (
        [Job("FBa", ago(2)), Job("FBb", ago(2), "Failed"), Job("FBc", ago(2), "Failed")],
        "failing",
    ),
}


def test_each_status_of_protection_is_the_first_that_holds(pipeline: dlt.Pipeline) -> None:
    rows = Rows()
    for tenant, (jobs, _) in CASES.items():
        rows.jobs += [Job(**{**vars(job), "tenant": tenant}) for job in jobs]
        rows.reads.append(Read(tenant=tenant))
    rows.load(pipeline)
    marts.update_views(pipeline, Protection())
    results = {row[0]: row[8] for row in content(pipeline, "protection_status")}
    assert results == {tenant: status for tenant, (_, status) in CASES.items()}


def test_services_are_evaluated_by_configuration_and_loads(pipeline: dlt.Pipeline) -> None:
    rows = Rows(
        [
            good(20, object_type="exchange_online"),
            good(21, object_type="onedrive"),
            bad(22, object_type="power_bi"),
            bad(23, object_type="power_bi"),
            good(24, object_type="viva_engage"),
            good(31 * 24, object_type="project_online"),
            good(29 * 24, object_type="public_folder", location="EUR"),
            good(25, object_type="exchange_online", tenant="fabrikam"),
            good(26, object_type="power_bi", tenant="fabrikam"),
        ],
        [
            *(Read(item) for item in ("exchange_online", "onedrive", "power_bi", "project_online", "teams")),
            Read("viva_engage", complete=False),
            Read("public_folder", location="EUR", until=ago(12)),
            Read("teams", location="NAM", until=ago(31 * 24)),
            Read("exchange_online", tenant="fabrikam", until=ago(3)),
            Read("exchange_online", tenant="fabrikam", run_id="short", complete=False),
            Read("exchange_online", tenant="fabrikam", run_id="short"),
            Read("exchange_online", tenant="fabrikam", run_id="backfill", until=ago(500)),
            Read("power_bi", tenant="fabrikam", until=ago(3)),
        ],
    )
    rows.load(pipeline)
    marts.update_views(pipeline, SETTINGS)
    results = {row[:3]: (row[4], row[8], row[9]) for row in content(pipeline, "protection_status")}
    assert results == {
        # The allowed age is 8 hours.
        ("contoso", None, "onedrive"): (21.0, "late", NOW),
        ("contoso", None, "exchange_online"): (20.0, "protected", NOW),
        ("contoso", None, "power_bi"): (None, "ignored", NOW),
        # No load proved it complete.
        ("contoso", None, "viva_engage"): (None, "unknown", None),
        # Expected in EUR, but not loaded there; the newest load does not list NAM any more. The tenant has locations,
        # so Teams is not expected without one.
        ("contoso", "EUR", "teams"): (None, "unknown", None),
        # Evaluated at the end of its data, not now.
        ("contoso", "EUR", "public_folder"): (29 * 24 - 12.0, "late", ago(12)),
        # This tenant expects other services and ignores none. An incomplete load proves nothing.
        ("fabrikam", None, "exchange_online"): (22.0, "protected", ago(3)),
        ("fabrikam", None, "power_bi"): (23.0, "protected", ago(3)),
        ("fabrikam", None, "onedrive"): (None, "unknown", None),
    }


def test_without_any_load_on_record_nothing_is_called_protected(pipeline: dlt.Pipeline) -> None:
    Rows([good(1)], []).load(pipeline)
    marts.update_views(pipeline, Protection())
    assert [row[8:10] for row in content(pipeline, "protection_status")] == [("unknown", None)]


def test_a_listing_of_all_services_vouches_for_each_and_that_of_a_service_only_for_itself(
    pipeline: dlt.Pipeline,
) -> None:
    rows = Rows(
        [
            good(20, object_type="teams", location="EUR"),
            good(21, object_type="onedrive", location="NAM"),
            Job("unlabelled", ago(3), object_type=None),
            good(20, object_type="teams", tenant="fabrikam"),
        ],
        [
            Read(None, until=ago(30), run_id="look"),
            # The next scan is complete, but the listing of one service in one location is not.
            Read(None, until=ago(6), run_id="next"),
            Read("teams", location="EUR", until=ago(6), run_id="next", complete=False),
            Read("teams", location="EUR", until=ago(6), run_id="next", job_type="backup", complete=False),
            # A listing of a single job type proves nothing.
            Read(None, tenant="fabrikam", job_type="restore"),
            Read("onedrive", tenant="fabrikam", complete=False),
        ],
    )
    rows.load(pipeline)
    marts.update_views(pipeline, Protection(Services(expected=frozenset({"power_bi"}))))
    assert content(pipeline, "partition_loads") == plain(truth.partition_loads(rows))
    assert {row[:3]: (row[3], row[6]) for row in content(pipeline, "partition_loads")} == {
        ("contoso", None, None): (ago(6), True),
        ("contoso", "EUR", "teams"): (ago(30), False),
        ("contoso", "NAM", "onedrive"): (ago(6), True),
        ("fabrikam", None, "onedrive"): (None, False),
    }
    status = {row[:3]: (row[8], row[9]) for row in content(pipeline, "protection_status")}
    # A service that never ran is expected in each location with known jobs; the scan proves that it never ran.
    assert status[("contoso", "EUR", "power_bi")] == ("never", ago(6))
    assert status[("contoso", "NAM", "power_bi")] == ("never", ago(6))
    assert ("contoso", None, "power_bi") not in status
    assert status[("contoso", "EUR", "teams")] == ("protected", ago(30))
    assert status[("fabrikam", None, "power_bi")] == ("unknown", None)


def test_an_unusual_state_has_the_meaning_learned_from_the_api(pipeline: dlt.Pipeline) -> None:
    words = {"Abgeschlossen": 2, "Fehlgeschlagen": 3, "Mit Ausnahme beendet": 4, "Teilweise": 5, "Failed": 2}
    states = [*words, "Läuft"]
    jobs = [Job(f"FB{number}", ago(number + 1), state) for number, state in enumerate(states)]
    Rows(jobs, [Read()], words=words).load(pipeline)
    marts.update_views(pipeline, Protection())
    outcomes = dict(sorted((row[1], row[15]) for row in content(pipeline, "job_facts")))
    # A word that the product knows needs no table, and the table does not change its meaning.
    assert list(outcomes.values()) == ["success", "failure", "warning", "warning", "failure", "other"]


def test_errors_may_be_cut_if_more_objects_failed_than_errors_are_listed(pipeline: dlt.Pipeline) -> None:
    jobs = [
        Job("all", ago(1), failed=5, errors=(Error("Locked", 4), Error("Denied", None))),
        Job("cut", ago(1), failed=6, errors=(Error("Locked", 4), Error("Denied", None))),
        Job("none", ago(1), failed=1),
        Job("unknown", ago(1), failed=None),
    ]
    Rows(jobs, [Read()]).load(pipeline)
    marts.update_views(pipeline, Protection())
    cut = {row[1]: row[-1] for row in content(pipeline, "job_facts")}
    assert cut == {"all": False, "cut": True, "none": True, "unknown": False}


ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe")
"""Session time zones; in the second, summer time begins within the four weeks before NOW."""


def test_every_view_and_question_is_independent_of_the_session_time_zone(pipeline: dlt.Pipeline) -> None:
    random_rows(3).load(pipeline)
    marts.update_views(pipeline, SETTINGS)
    queries = {question.name: question.sql for question in questions()}

    def answers(time_zone: str) -> dict[str, Any]:
        with pipeline.sql_client() as client:
            client.execute_sql(f"SET TimeZone = '{time_zone}'")
            views = {name: plain(client.execute_sql(f"SELECT * FROM {name}") or []) for name in VIEWS}
            return views | {name: plain(client.execute_sql(sql) or []) for name, sql in queries.items()}

    expected, *others = map(answers, ZONES)
    for other in others:
        assert {name for name in expected if other[name] != expected[name]} == set()
