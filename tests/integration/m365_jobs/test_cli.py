"""Test the command line as a user runs it: as a process, configured only by environment variables."""

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import duckdb
import pytest
from avepoint_simulator import Answer, Dialect, SimulatedJob, Simulator, make_world

from tests.support.backups import job, serving
from tests.support.cli import NewUser
from tests.support.truth import end_of_day


def test_the_version_is_the_one_that_runs_are_recorded_with(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    versions = f"m365-jobs {version('avepoint-m365-jobs')} (dlt {version('dlt')}, duckdb {version('duckdb')}, Python "
    assert user.run("--version").stdout.startswith(versions)
    user.run("load")
    assert user.query("SELECT product_version FROM load_runs") == [(version("avepoint-m365-jobs"),)]


def test_load_then_status_from_an_empty_directory(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    assert "Nothing is loaded yet" in user.run("status").stdout
    loaded = {job.id for job in simulator.world.visible()}
    assert f"{len(loaded)} new, 0 changed" in user.run("load").stderr
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == loaded
    answer = json.loads(user.run("status", "--format", "json").stdout)
    assert answer["tables"]["jobs"] == len(loaded)
    assert {partition["object_type"]: partition["rows_held"] for partition in answer["partitions"]} == dict(
        user.query("SELECT object_type, count(*) FROM jobs GROUP BY 1")
    )
    newest = dict(user.query("SELECT object_type, epoch(max(finish_time))::BIGINT FROM jobs GROUP BY 1"))
    cursors = {
        partition["object_type"]: datetime.fromisoformat(partition["cursor"]).timestamp()
        for partition in answer["partitions"]
    }
    assert cursors == newest
    assert [run["status"] for run in answer["runs"]] == ["complete"]


def test_an_empty_tenant_costs_one_request_once_it_was_confirmed(new_user: NewUser) -> None:
    with Simulator(make_world(0)) as empty:
        user = new_user(empty)
        user.run("load")
        first = len(empty.asked)
        user.run("load")
        assert len(empty.asked) - first == 1, "nothing is doubted once a day only"
    assert user.query("SELECT object_type, complete, reported_total FROM load_audit") == [(None, True, 0)] * 2


def test_a_second_load_counts_new_changed_and_unchanged_jobs(simulator: Simulator, new_user: NewUser) -> None:
    user, world = new_user(simulator), simulator.world
    before = {job.id: job.state(world.now) for job in world.visible()}
    user.run("load")
    world.advance(timedelta(hours=8))
    after = {job.id: job.state(world.now) for job in world.visible()}
    new = len(after.keys() - before.keys())
    changed = sum(before[item] != after[item] for item in before)
    assert f"{new} new, {changed} changed" in user.run("load").stderr
    assert dict(user.query("SELECT id, state FROM jobs")) == after


def test_a_partition_that_stays_incomplete_exits_3_and_is_named(simulator: Simulator, new_user: NewUser) -> None:
    user, server_page = new_user(simulator), simulator.jobs.page

    def short(generation: int, path: str, params: dict[str, str]) -> Answer:
        answer = server_page(generation, path, params)
        if params.get("objecttype") == "7" and answer.body["jobs"]:
            answer.body["jobs"].pop()
        return answer

    simulator.jobs.page = short  # type: ignore[method-assign]
    assert "Not proved complete: teams: " in user.run("load", code=3).stderr
    assert user.query("SELECT status FROM load_runs") == [("incomplete",)]
    assert user.query("SELECT DISTINCT object_type FROM load_audit WHERE NOT complete") == [("teams",)]
    simulator.jobs.page = server_page  # type: ignore[method-assign]
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in simulator.world.visible()}


def test_status_calls_a_load_short_by_whichever_of_its_listings_is(simulator: Simulator, new_user: NewUser) -> None:
    user, server_page = new_user(simulator), simulator.jobs.page

    def unsure(generation: int, path: str, params: dict[str, str]) -> Answer:
        answer = server_page(generation, path, params)
        if params.get("objecttype") == "7":
            answer.body["errors"] = [{"message": "EUR is down"}]
        return answer

    simulator.jobs.page = unsure  # type: ignore[method-assign]
    user.run("load", code=3)
    assert user.query("SELECT object_type, job_type FROM load_audit WHERE NOT complete") == [("teams", None)]
    partitions = json.loads(user.run("status", "--format", "json").stdout)["partitions"]
    assert [partition["object_type"] for partition in partitions if not partition["complete"]] == ["teams"]
    assert "EUR is down" in user.run("status").stdout


def test_a_backfill_loads_its_range_and_leaves_the_cursors_alone(simulator: Simulator, new_user: NewUser) -> None:
    user, world = new_user(simulator), simulator.world
    start = world.now - timedelta(days=5)
    user.set(start_date=start.isoformat())
    user.run("load")
    before = json.loads(user.run("status", "--format", "json").stdout)["partitions"]
    since, until = start - timedelta(days=10), start - timedelta(days=3)
    user.run("load", "--since", since.isoformat(), "--until", until.isoformat())
    expected = {
        job.id
        for job in world.visible()
        if job.in_range("finish", start, None, world.now) or job.in_range("finish", since, end_of_day(until), world.now)
    }
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == expected
    again = json.loads(user.run("status", "--format", "json").stdout)["partitions"]
    for name in ("cursor", "complete_until"):
        assert [item[name] for item in again] == [item[name] for item in before]


def test_an_external_scheduler_sets_the_range_of_a_process(simulator: Simulator, new_user: NewUser) -> None:
    user, world = new_user(simulator), simulator.world
    start, end = world.now - timedelta(days=9), world.now - timedelta(days=6)
    interval = {"DLT_INTERVAL_START": start.isoformat(), "DLT_INTERVAL_END": end.isoformat()}
    user.environment |= interval | {"DLT_ALLOW_EXTERNAL_SCHEDULERS": "true"}
    user.run("load")
    expected = {job.id for job in world.visible() if job.in_range("finish", start, end_of_day(end), world.now)}
    assert 0 < len(expected) < len(world.visible())
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == expected
    for name in (*interval, "DLT_ALLOW_EXTERNAL_SCHEDULERS"):
        del user.environment[name]
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in world.visible()}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("data_center", "mars", r"Unknown value: .*data_center = 'mars'.* Known are: au, "),
        ("object_types", '["mail"]', r"Unknown value: .*object_types = 'mail'.* Known are: exchange_online"),
        ("locations", '["Europe"]', r"Unknown value: .*locations = 'Europe'.* Known are: PrimaryGeoLocation"),
        ("endpoint", "v3", r"Unknown value: .*endpoint = 'v3'.* Known are: auto, jobs, cloudbackupjobs"),
        ("base_url", "http://10.0.0.1", r"base_url = 'http://10.0.0.1'; plain http is allowed for loopback only"),
        ("page_size", "many", r"page_size = 'many' is not a whole number"),
        ("page_size", "0", r"page_size = 0 must lie between 1 and 100000"),
        ("page_size", "9" * 20, r"page_size = 9+ must lie between"),
        ("concurrency", "0", r"concurrency = 0 must lie between 1 and 256"),
        ("locations", "[1]", r"Unknown value: .*locations = 1.* Known are: PrimaryGeoLocation"),
        ("trusted_hosts", "[1]", r"trusted_hosts contains 1"),
        ("tenant", " ", r"tenant = ' '"),
        ("start_date", "2999-01-01", r"start_date = 2999-01-01 00:00 UTC leaves nothing to load"),
        ("start_date", "0001-01-01T00:00:00+05:00", r"start_date = '0001-01-01T00:00:00\+05:00' is not a date"),
        ("start_date", "1999-12-31", r"start_date = '1999-12-31' lies before the year 2000"),
        ("credentials__expires_at", "someday", r"credentials.expires_at = 'someday' is not a date or time"),
        ("credentials__certificate_password", "x", r"certificate_password is set, but no certificate_path"),
        ("start_date", "soon", r"start_date = 'soon' is not a date or time"),
        ("credentials__client_id", "", r"credentials.client_id is missing"),
        ("credentials__client_secret", "", r"either client_secret or certificate_path: neither is set"),
        ("credentials__certificate_path", "no.pfx", r"either client_secret or certificate_path: both are set"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_request(
    simulator: Simulator, new_user: NewUser, setting: str, value: str, message: str
) -> None:
    user = new_user(simulator)
    user.set(**{setting: value})
    assert re.search(message, user.run("load", code=2).stderr)
    assert (simulator.asked, simulator.token_requests) == ([], 0)


def test_trusted_hosts_come_from_the_environment_or_secrets_only(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["RUNTIME__REQUEST_MAX_ATTEMPTS"] = "1"
    user.set(base_url="https://elsewhere.example")
    (user.folder / ".dlt").mkdir()
    trust = '[sources.avepoint_m365]\ntrusted_hosts = ["elsewhere.example"]\n'
    (user.folder / ".dlt" / "config.toml").write_text(trust)
    assert "config.toml" in user.run("load", code=2).stderr
    (user.folder / ".dlt" / "config.toml").unlink()
    assert "credentials are not sent to elsewhere.example" in user.run("load", code=2).stderr
    assert simulator.token_requests == 0
    (user.folder / ".dlt" / "secrets.toml").write_text(trust)
    assert "ok    configuration: https://elsewhere.example" in user.run("check", code=1).stdout
    (user.folder / ".dlt" / "secrets.toml").unlink()
    user.set(trusted_hosts='["elsewhere.example"]')
    assert "ok    configuration: https://elsewhere.example" in user.run("check", code=1).stdout


def test_a_failed_load_is_recorded_and_names_the_permission(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    simulator.fault = lambda asked: Answer(403)
    message = user.run("load", code=1).stderr
    assert "microsoft365backup.jobInfo.read.all" in message
    assert simulator.client_secret not in message
    simulator.fault = None
    user.run("load")
    assert user.query("SELECT status, error_kind FROM load_runs ORDER BY started_at") == [
        ("failed", "permission"),
        ("complete", None),
    ]


def test_credentials_that_expire_soon_are_reported(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    for days, item in ((40, False), (20, True)):
        ends = f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"
        user.set(credentials__expires_at=ends)
        for command in ("status", "check"):
            assert (f"end on {ends}" in user.run(command).stdout) is item
    user.set(credentials__expires_at="2020-01-01")
    assert "FAIL  credentials: they ended on 2020-01-01" in user.run("check", code=1).stdout


def test_check_passes_if_the_api_requires_page_numbers(new_user: NewUser) -> None:
    with Simulator(make_world(0), dialect=Dialect(page_index_required=True)) as simulator:
        assert "ok    permission and API" in new_user(simulator).run("check").stdout


def test_check_tries_each_permission_and_only_a_named_companion_must_have_its_own(
    simulator: Simulator, new_user: NewUser
) -> None:
    scope = "microsoft365backup.settings.read.all"
    simulator.scopes = tuple(item for item in simulator.scopes if item != scope)
    user = new_user(simulator)
    user.set(include="auto")
    lines = user.run("check").stdout
    assert re.search(rf"ok    companions schedule, retention: skipped by loads: .*{scope}", lines)
    assert "ok    companion licenses: granted" in lines
    user.set(include='["schedule"]')
    assert re.search(rf"FAIL  companion schedule: .*{scope}", user.run("check", code=1).stdout)


def test_check_names_the_cure_for_each_failure(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.set(include="auto")
    lines = user.run("check").stdout.splitlines()
    assert [line[:4].strip() for line in lines] == ["ok"] * 8
    user.set(credentials__client_secret="wrong")
    assert re.search(r"FAIL  token: .*invalid_client.*expired", user.run("check", code=1).stdout)


def test_the_demo_starts_over_but_leaves_other_warehouses_alone(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("demo", "--jobs", "200")
    rows = user.query("SELECT count(*) FROM jobs")
    assert "Starting over" in user.run("demo", "--jobs", "200").stderr
    assert user.query("SELECT count(*) FROM jobs") == rows
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")) as connection:
        connection.execute(
            "UPDATE m365_jobs.jobs SET id = 'FB20241015105312327583' WHERE id = (SELECT min(id) FROM m365_jobs.jobs)"
        )
    assert "holds jobs that are not the demo's" in user.run("demo", code=2).stderr


def test_the_demo_leaves_other_datasets_of_its_file_alone(simulator: Simulator, new_user: NewUser) -> None:
    """Test that the demo does not delete a file that holds another dataset."""
    user = new_user(simulator)
    user.run("load", "--dataset", "backups")
    assert "or other tables" in user.run("demo", code=2).stderr
    with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")) as connection:
        assert len(connection.execute("FROM backups.jobs").fetchall()) == len(simulator.world.visible())


def test_a_first_real_load_never_goes_into_the_demos_warehouse(simulator: Simulator, new_user: NewUser) -> None:
    """Test that a real load refuses the demo's warehouse: its cursors would skip all jobs older than the demo."""
    user = new_user(simulator)
    user.run("demo", "--jobs", "200")
    rows = user.query("SELECT * FROM jobs ORDER BY id")
    message = user.run("load", code=2).stderr
    assert "m365_warehouse.duckdb is the demo's" in message
    assert (simulator.asked, user.query("SELECT * FROM jobs ORDER BY id")) == ([], rows)
    (user.folder / "m365_warehouse.duckdb").unlink()
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in simulator.world.visible()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "--until", "2026-01-01"),
        ("load", "--since", "2026-01-02", "--until", "2026-01-01"),
        ("load", "--since", "soon"),
        ("load", "--since", "2026-01-01", "--until", "9999-12-31T23:59:59-05:00"),
    ],
)
def test_an_impossible_range_is_wrong_usage(
    simulator: Simulator, new_user: NewUser, arguments: tuple[str, ...]
) -> None:
    new_user(simulator).run(*arguments, code=2)
    assert simulator.asked == []


def test_the_table_of_status_fits_80_columns_with_every_name_in_full(new_user: NewUser) -> None:
    with serving(job("microsoft_365_groups", 3), job("microsoft_365_groups", None, lasted=12 * 24)) as simulator:
        user = new_user(simulator)
        user.set(tenant="contoso")
        user.run("load")
        lines = user.run("status").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert "Times are UTC. Open: jobs that run, and for how long the oldest has." in lines
    (place,) = [number - 1 for number, line in enumerate(lines) if line.strip() == "microsoft_365_groups"]
    moment = r"\d\d-\d\d \d\d:\d\d"
    assert re.fullmatch(rf" contoso/ +2 +1 \(12 days\) +{moment} +{moment} *", lines[place])


def test_a_job_that_runs_without_a_start_is_shown_by_all_that_show_jobs(new_user: NewUser) -> None:
    with serving(job("teams", None), job("teams", 3)) as simulator:
        user, shown = new_user(simulator), simulator.jobs.shown

        def without_start(job: SimulatedJob) -> bytes:
            return re.sub(rb'"startTime":"[^"]+"', b'"startTime":""' if job.finish is None else rb"\g<0>", shown(job))

        simulator.jobs.shown = without_start  # type: ignore[method-assign]
        user.run("load")
        assert user.query("SELECT count(*) FROM jobs WHERE start_time IS NULL") == [(1,)]
        (row,) = [row for row in map(str.split, user.run("status").stdout.splitlines()) if row[:1] == ["teams"]]
        assert row[1:4] == ["2", "1", "(?)"]
        assert json.loads(user.run("health", "--format", "json").stdout)["protection"][0]["open_jobs"] == 1
        user.run("report", "report.html")
        assert ">1 running<" in (user.folder / "report.html").read_text(encoding="utf-8")
        user.run("report", "report.pdf")


def test_no_text_of_the_api_commands_the_terminal_or_fills_it(new_user: NewUser) -> None:
    state = "\x1b[31mred\r\x9b" + "x" * 1000
    with serving(job("teams", 3), job("teams", 4), job("teams", 5, state)) as simulator:
        user = new_user(simulator)
        message = user.run("load").stderr
        assert f"By state: Finished 2,  [31mred  {'x' * 27}... 1.\n" in message
        simulator.fault = lambda asked: Answer(400, {"message": "\x1b[31mred\x9b [bold] 1:on:1"})
        assert ":  [31mred  [bold] 1:on:1. The API refuses" in user.run("load", code=1).stderr
        for command, code in (("status", 0), ("health", 0), ("check", 1)):
            shown = user.run(command, code=code).stdout
            assert "[31mred [bold] 1:on:1. The API refuses" in " ".join(shown.split())
            assert {"\x1b", "\x9b"} & set(shown) == set()
