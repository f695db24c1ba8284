"""Test loads as assets of Dagster, with Dagster's executors and an instance on disk, against simulated tenants."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from avepoint_simulator import Answer, Simulator, make_world
from dagster_dlt import DagsterDltTranslator
from m365_jobs.orchestrators.dagster import RETRIES, definitions

from tests.support.cli import NOW, Cli, NewUser
from tests.support.project import ROOT
from tests.support.truth import in_warehouse, on_server

JOBS, RECORDS, BY_DAY = (dg.AssetKey(["m365_jobs", name]) for name in ("jobs", "load_records", "jobs_by_day"))


@pytest.fixture
def user(simulator: Simulator, new_user: NewUser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Create a user with two tenants, and set the same environment variables in this process."""
    user = new_user(simulator)
    with Simulator(make_world(80, seed=9, now=NOW)) as second:
        for name in [name for name in user.environment if name.startswith("SOURCES__")]:
            del user.environment[name]
        for tenant, server in (("contoso", simulator), ("fabrikam", second)):
            own = {
                "base_url": server.base_url,
                "token_url": server.token_url,
                "credentials__client_id": server.client_id,
                "credentials__client_secret": server.client_secret,
            }
            user.set(**{f"tenants__{tenant}__{key}": value for key, value in own.items()})
        user.environment["DAGSTER_HOME"] = str(user.folder)
        (user.folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        for name, value in user.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(user.folder)
        user.fabrikam = second  # type: ignore[attr-defined]
        yield user


@pytest.fixture
def instance(user: Cli) -> Iterator[dg.DagsterInstance]:
    """Create the instance in which Dagster stores its runs, before any run starts.

    Without it, two processes would both create it, and one would fail ("table alembic_version already exists").
    """
    with dg.DagsterInstance.from_config(str(user.folder)) as instance:
        yield instance


def run(instance: dg.DagsterInstance, partition: str, *assets: dg.AssetKey, fine: bool = True, **arguments: Any) -> Any:
    """Run assets with the in-process executor, in definitions with these arguments; check and return the result."""
    done = (
        definitions(**arguments)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            partition_key=partition, asset_selection=list(assets), instance=instance, raise_on_error=False
        )
    )
    assert done.success is fine
    return done


def start(user: Cli, tenant: str) -> subprocess.Popen[str]:
    """Start a run with Dagster's command line, which has a process for each step."""
    tags = json.dumps({"dagster/partition": tenant})
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "m365_jobs.dagster", "-j", "load"]
    return subprocess.Popen(
        [*command, "--tags", tags], cwd=user.folder, env=user.environment, stderr=subprocess.PIPE, text=True
    )


def metadata(done: Any, key: dg.AssetKey) -> dict[str, Any]:
    (materialization,) = [event for event in done.get_asset_materialization_events() if event.asset_key == key]
    return {name: value.value for name, value in materialization.materialization.metadata.items()}


def checks(done: Any) -> dict[str, tuple[bool, str, list[str]]]:
    """Return for each check by name: True if it passed, its severity, and its findings."""
    return {
        evaluation.check_name: (
            evaluation.passed,
            evaluation.severity.value,
            evaluation.metadata["found"].value,
        )
        for evaluation in done.get_asset_check_evaluations()
    }


def test_a_tenant_is_a_partition_and_its_load_says_what_it_did(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    done = run(instance, "contoso", JOBS, RECORDS)
    truth, file = on_server(simulator.world, False), user.folder / "m365_warehouse.duckdb"
    assert in_warehouse(file, "contoso") == truth
    assert in_warehouse(file, "fabrikam") == {}
    message = metadata(done, JOBS)
    assert (message["new"], message["changed"], message["dagster/partition_row_count"]) == (len(truth), 0, len(truth))
    assert (message["requests"], message["complete"]) == (len(simulator.asked) + simulator.token_requests, True)
    assert user.query("SELECT run_id, tenant, status FROM load_runs") == [(message["run_id"], "contoso", "complete")]
    audit = user.query("SELECT count(*) FROM load_audit")[0][0]
    assert metadata(done, RECORDS)["rows of load_audit"] == audit > 0
    assert instance.get_materialized_partitions(JOBS) == {"contoso"}
    # Dagster and the command line share the cursors.
    simulator.world.advance(timedelta(hours=8))
    user.run("load", "--tenant", "contoso")
    assert metadata(run(instance, "contoso", JOBS, RECORDS), JOBS)["new"] == 0
    assert in_warehouse(file, "contoso") == on_server(simulator.world, False)


def test_checks_tell_of_each_tenant_what_the_load_and_health_found(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    server_page = simulator.jobs.page

    def wrong(generation: int, path: str, params: dict[str, str]) -> Answer:
        answer = server_page(generation, path, params)
        answer.body.update({key: 10_000 for key in answer.body if key.startswith("total")})
        # The simulator holds each job as the bytes that it sends.
        jobs = [json.loads(job) | {"duration": "999"} for job in answer.body.get("jobs", [])]
        answer.body["jobs"] = [json.dumps(job).encode() for job in jobs]
        return answer

    simulator.jobs.page = wrong  # type: ignore[method-assign]
    result = checks(run(instance, "contoso", JOBS, RECORDS))
    assert result["complete"][:2] == (False, "WARN")
    assert any("10000 reported" in text for text in result["complete"][2])
    assert result["data"][:2] == (False, "ERROR")
    assert "(valid_duration)" in result["data"][2][0]
    fine = checks(run(instance, "fabrikam", JOBS, RECORDS))
    assert (fine["complete"], fine["data"]) == ((True, "WARN", []), (True, "ERROR", []))
    for tenant, item in (("contoso", result), ("fabrikam", fine)):
        health = subprocess.run(
            [sys.executable, "-m", "m365_jobs", "health", "--tenant", tenant],
            capture_output=True, cwd=user.folder, env=user.environment, check=False,
        )  # fmt: skip
        assert item["health"][0] is (health.returncode == 0)


def test_a_failure_is_one_paragraph_and_is_not_tried_again_where_that_is_no_use(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    simulator.fault = lambda asked: Answer(403)
    done = run(instance, "contoso", JOBS, RECORDS, fine=False)
    (failed,) = [event for event in done.all_node_events if event.is_step_failure]
    why = failed.step_failure_data.user_failure_data
    assert "microsoft365backup.jobInfo.read.all" in why.description
    assert why.metadata["kind"].value == "permission"
    assert not any(event.is_step_up_for_retry for event in done.all_node_events)
    assert user.query("SELECT tenant, status, error_kind FROM load_runs") == [("contoso", "failed", "permission")]


def test_a_section_that_cannot_be_fails_its_tenant_alone_and_is_not_tried_again(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = "SOURCES__AVEPOINT_M365__TENANTS__TYPO__"
    monkeypatch.setenv(f"{prefix}PAGE_SIZE", "many")
    monkeypatch.setenv(f"{prefix}EXPECTED_OBJECT_TYPES", '["tims"]')
    done = run(instance, "typo", JOBS, RECORDS, fine=False)
    (failed,) = [event for event in done.all_node_events if event.is_step_failure]
    assert (
        "tenants.typo.page_size = 'many' is not a whole number"
        in failed.step_failure_data.user_failure_data.description
    )
    assert not any(event.is_step_up_for_retry for event in done.all_node_events)
    run(instance, "contoso", JOBS, RECORDS)
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "contoso") == on_server(simulator.world, False)


def test_a_load_is_tried_twice_more_where_the_api_is_down_for_a_while(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (RETRIES.max_retries, RETRIES.delay, RETRIES.backoff) == (2, 60, dg.Backoff.EXPONENTIAL)
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__INCLUDE", "none")
    # Each load requests its own token: during the first two loads the API is down.
    simulator.fault = lambda asked: Answer(503) if simulator.token_requests < 3 else None
    done = run(instance, "contoso", JOBS, RECORDS, retries=dg.RetryPolicy(max_retries=2))
    assert len([event for event in done.all_node_events if event.is_step_up_for_retry]) == 2
    assert user.query("SELECT status FROM load_runs ORDER BY started_at") == [("failed",), ("failed",), ("complete",)]
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "contoso") == on_server(simulator.world, False)


def test_a_past_day_is_loaded_again_and_the_cursors_stay(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    day = (NOW - timedelta(days=3)).date()
    run(instance, dg.MultiPartitionKey({"day": str(day), "tenant": "contoso"}), BY_DAY)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    truth = on_server(simulator.world, False)
    that_day = {
        job.id: truth[job.id]
        for job in simulator.world.visible()
        if job.in_range("finish", midnight, midnight + timedelta(days=1), simulator.world.now)
    }
    assert that_day
    file = user.folder / "m365_warehouse.duckdb"
    assert in_warehouse(file, "contoso") == that_day
    run(instance, "contoso", JOBS, RECORDS)
    assert in_warehouse(file, "contoso") == truth
    # Rows of other days are not of the partition.
    again = metadata(run(instance, dg.MultiPartitionKey({"day": str(day), "tenant": "contoso"}), BY_DAY), BY_DAY)
    errors = sum(len(job[-1]) for job in that_day.values())
    assert again["dagster/partition_row_count"] == again["rows of jobs"] == len(that_day) < len(truth)
    assert (again["rows of jobs__backup_details"], again["rows of jobs__job_errors"]) == (len(that_day), errors)


def test_a_past_day_that_is_not_proved_complete_fails_and_is_tried_again(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    days = [(NOW - timedelta(days=number)).date() for number in (5, 4, 3)]
    keys = [dg.MultiPartitionKey({"day": str(day), "tenant": "contoso"}) for day in days]
    server_page = simulator.jobs.page
    refused = False

    def short(generation: int, path: str, params: dict[str, str]) -> Answer:
        answer = server_page(generation, path, params)
        if refused and path.endswith("jobs"):
            answer.body.update({key: 10_000 for key in answer.body if key.startswith("total")})
        return answer

    simulator.jobs.page = short  # type: ignore[method-assign]
    run(instance, keys[0], BY_DAY)
    refused = True
    done = run(instance, keys[1], BY_DAY, fine=False, retries=dg.RetryPolicy(max_retries=1))
    refused = False
    run(instance, keys[2], BY_DAY)
    assert len([event for event in done.all_node_events if event.is_step_up_for_retry]) == 1
    (failed,) = [event for event in done.all_node_events if event.is_step_failure]
    why = failed.step_failure_data.user_failure_data
    assert why.description.startswith("Not proved complete: ")
    assert "10000 reported" in why.description
    assert instance.get_materialized_partitions(BY_DAY) == {keys[0], keys[2]}
    # What was read is in the warehouse all the same. A day that is loaded again replaces its rows.
    assert user.query("SELECT status FROM load_runs ORDER BY started_at") == [
        ("complete",), ("incomplete",), ("incomplete",), ("complete",)
    ]  # fmt: skip
    run(instance, keys[1], BY_DAY)
    run(instance, keys[1], BY_DAY)
    truth = on_server(simulator.world, False)
    begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (days[0], days[2] + timedelta(days=1)))
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "contoso") == {
        job.id: truth[job.id]
        for job in simulator.world.visible()
        if job.in_range("finish", begin, end, simulator.world.now)
    }


def test_a_tenant_that_is_no_longer_configured_is_not_loaded_with_the_credentials_of_others(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    located = definitions()
    for variable in [item for item in user.environment if "__FABRIKAM__" in item]:
        monkeypatch.delenv(variable)
    for variable in [item for item in user.environment if "__CONTOSO__" in item]:
        monkeypatch.setenv(variable.replace("TENANTS__CONTOSO__", ""), user.environment[variable])
    done = located.resolve_implicit_global_asset_job_def().execute_in_process(
        partition_key="fabrikam", asset_selection=[JOBS, RECORDS], instance=instance, raise_on_error=False
    )
    (failed,) = [event for event in done.all_node_events if event.is_step_failure]
    why = failed.step_failure_data.user_failure_data
    assert "fabrikam" in why.description
    assert why.metadata["kind"].value == "config"
    assert simulator.asked == []
    assert not (user.folder / "m365_warehouse.duckdb").exists()


def test_dlt_logs_nothing_while_a_tenant_is_loaded(
    user: Cli, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run(instance, "contoso", JOBS, RECORDS)
    assert [record for record in caplog.records if record.name == "dlt"] == []
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "WARNING")
    run(instance, "fabrikam", JOBS, RECORDS)
    assert [record for record in caplog.records if record.name == "dlt"] != []


def test_a_failure_contains_no_traceback_and_no_password(
    user: Cli, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://loader:Pa55word-of-2026@127.0.0.1:x/w")
    done = run(instance, "contoso", JOBS, RECORDS, fine=False, destination="postgres", retries=None)
    (failed,) = [event for event in done.all_node_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert (error.cause, error.context) == (None, None)
    records = instance.all_logs(done.run_id)
    assert "Pa55word-of-2026" not in "".join(map(str, records))


def test_a_name_with_signs_that_partitions_may_not_have(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, key = "contoso, inc. [100% a|b]...", "contoso%2C inc. %5B100%25 a%7Cb%5D%2E%2E%2E"
    for variable in [item for item in user.environment if "__CONTOSO__" in item]:
        monkeypatch.delenv(variable)
        monkeypatch.setenv(variable.replace("CONTOSO", name.upper()), user.environment[variable])
    run(instance, key, JOBS, RECORDS)
    file = user.folder / "m365_warehouse.duckdb"
    assert in_warehouse(file, name) == on_server(simulator.world, False)
    day = (NOW - timedelta(days=3)).date()
    run(instance, dg.MultiPartitionKey({"day": str(day), "tenant": key}), BY_DAY)
    assert user.query("SELECT tenant, status FROM load_runs") == [(name, "complete")] * 2
    result = definitions()
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=NOW, repository_def=result.get_repository_def()
    )
    requests = result.resolve_schedule_def("load_schedule").evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests or ()] == [key, "fabrikam"]


def test_runs_in_processes_of_their_own_share_one_warehouse(
    user: Cli, simulator: Simulator, instance: dg.DagsterInstance
) -> None:
    runs = [start(user, tenant) for tenant in ("contoso", "fabrikam")]
    for item in runs:
        _, message = item.communicate(timeout=300)
        assert item.returncode == 0, message
        assert "Launching subprocess" in message
    file = user.folder / "m365_warehouse.duckdb"
    assert in_warehouse(file, "contoso") == on_server(simulator.world, False)
    assert in_warehouse(file, "fabrikam") == on_server(user.fabrikam.world, False)  # type: ignore[attr-defined]
    assert instance.get_materialized_partitions(JOBS) == {"contoso", "fabrikam"}


@pytest.mark.parametrize(
    "executor", [dg.in_process_executor, dg.multiprocess_executor.configured({"max_concurrent": 3})]
)
def test_the_executor_is_the_one_that_was_asked_for(user: Cli, executor: dg.ExecutorDefinition) -> None:
    result = definitions(executor=executor)
    for job in (result.resolve_job_def("load"), result.resolve_implicit_global_asset_job_def()):
        assert job.executor_def is executor


def test_freshness_goes_with_the_schedule(user: Cli) -> None:
    daily = dg.FreshnessPolicy.time_window(timedelta(hours=30))
    graph = definitions(cron="0 4 * * *", freshness=daily).get_repository_def().asset_graph
    assert [graph.get(key).freshness_policy for key in (JOBS, RECORDS, BY_DAY)] == [daily, daily, None]


def test_the_schedule_asks_for_a_run_of_each_tenant(user: Cli, instance: dg.DagsterInstance) -> None:
    result = definitions(cron="*/5 * * * *")
    schedule = result.resolve_schedule_def("load_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("*/5 * * * *", "UTC")
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=NOW, repository_def=result.get_repository_def()
    )
    requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests or ()] == ["contoso", "fabrikam"]


def test_assets_have_columns_freshness_and_lineage_and_can_be_named_by_a_translator(user: Cli) -> None:
    class Ours(DagsterDltTranslator):
        def get_asset_spec(self, data: Any) -> dg.AssetSpec:
            return super().get_asset_spec(data).replace_attributes(key=["lake", data.resource.name], deps=[])

    graph = definitions(translator=Ours()).get_repository_def().asset_graph
    jobs, view = (graph.get(dg.AssetKey(["lake", name])) for name in ("jobs", "job_facts"))
    columns = [column.name for column in jobs.metadata["dagster/column_schema"].columns]
    assert columns[:2] == ["tenant", "id"]
    assert jobs.freshness_policy == dg.FreshnessPolicy.time_window(timedelta(hours=6), timedelta(hours=2))
    assert view.parent_keys == {dg.AssetKey(["lake", "jobs"]), dg.AssetKey(["lake", "load_records"])}
    assert not view.is_materializable


def test_a_project_of_ones_own_is_written_as_the_documentation_says(user: Cli) -> None:
    page = (ROOT / "docs" / "orchestrators.md").read_text(encoding="utf-8")
    code = re.search(r"<!-- test: dagster project -->\n```python\n(.*?)```", page, re.S)
    assert code
    (user.folder / "project.py").write_text(code[1])
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-f", "project.py"]
    environment = user.environment | {"DESTINATION__POSTGRES__CREDENTIALS": "postgresql://a:b@127.0.0.1:1/c"}
    done = subprocess.run(command, cwd=user.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_retries_come_as_late_as_the_documentation_says() -> None:
    """Check for one and three minutes, with up to a minute of jitter, so that many tenants do not retry at once."""
    for attempt, minutes in ((1, 1), (2, 3)):
        for _ in range(20):
            assert abs(RETRIES.calculate_delay(attempt) - 60 * minutes) <= 60


def test_nothing_that_the_command_line_imports_imports_an_orchestrator() -> None:
    code = (
        "import sys, pkgutil, importlib, m365_jobs\n"
        "from dlt.common.exceptions import MissingDependencyException\n"
        "own = 'dagster', 'airflow', 'orchestrators.dagster', 'orchestrators.airflow', '__main__'\n"
        "for one in pkgutil.walk_packages(m365_jobs.__path__, 'm365_jobs.'):\n"
        "    if not one.name.startswith(tuple('m365_jobs.' + name for name in own)):\n"
        "        try:\n"
        "            importlib.import_module(one.name)\n"
        # Other modules need extras that are not installed here.
        "        except (ModuleNotFoundError, MissingDependencyException):\n"
        "            pass\n"
        "assert {'dagster', 'airflow'}.isdisjoint(sys.modules)\n"
        "import m365_jobs.orchestrators.dagster\n"
        "assert 'dagster' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
