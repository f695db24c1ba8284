"""Test failures of configuration, files, signals and pipes: each message is one paragraph with the cure."""

import os
import re
import signal
import subprocess
import sys

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import NewUser
from tests.support.signals import load_until_signal


def test_a_configuration_file_that_is_no_toml_is_named_with_the_line(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    (user.folder / ".dlt").mkdir()
    (user.folder / ".dlt" / "config.toml").write_text("# mine\n[sources.avepoint_m365\n")
    for command in ("load", "status", "check"):
        # dlt reads the file while it starts.
        message = user.run_process(command, code=2).stderr
        file = re.escape(str(user.folder / ".dlt" / "config.toml"))
        assert re.fullmatch(rf"Error \(config\): Invalid TOML: {file}: .* line 2 .*\. Correct that line\.\n", message)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RUNTIME__DLTHUB_TELEMETRY", "maybe", "dlthub_telemetry = 'maybe' is not true or false"),
        ("RUNTIME__REQUEST_TIMEOUT", "a minute", "request_timeout = 'a minute' is not a number"),
        ("RUNTIME__LOG_LEVEL", "loud", "runtime.log_level: Unknown level: 'loud'. Known are: CRITICAL, "),
        ("DESTINATION__POSTGRES__CREDENTIALS__PORT", "pg", "port = 'pg' is not a whole number"),
    ],
)
def test_a_wrong_setting_that_is_not_the_sources_is_not_called_so(
    simulator: Simulator, new_user: NewUser, variable: str, value: str, message: str
) -> None:
    user = new_user(simulator)
    user.environment[variable] = value
    # dlt reads some of them while it starts.
    result = user.run_process("load", "--destination", "postgres", code=2).stderr
    assert message in result
    assert "sources.avepoint_m365" not in result


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("request_timeout", "0", "above 0, and at most 86400 seconds"),
        ("request_timeout", "-1", "above 0, and at most 86400 seconds"),
        ("request_timeout", "nan", "above 0, and at most 86400 seconds"),
        ("request_timeout", "1e+30", "above 0, and at most 86400 seconds"),
        ("request_backoff_factor", "nan", "0 or more"),
        ("request_max_attempts", "0", "1 or more"),
    ],
)
def test_a_policy_of_requests_that_cannot_be_is_refused_before_any_request(
    simulator: Simulator, new_user: NewUser, key: str, value: str, allowed: str
) -> None:
    user = new_user(simulator)
    user.environment[f"RUNTIME__{key.upper()}"] = value
    for command in ("load", "check"):
        done = user.run(command, code=2)
        assert f"Out of range: runtime.{key} = {value} must be {allowed}." in done.stdout + done.stderr
    assert simulator.token_requests == 0


def test_missing_parts_of_a_connection_string_are_named(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = "postgresql://loader@127.0.0.1:5432/backup"
    missing = "Missing settings: destination.postgres.credentials.password. Set them in .dlt/secrets.toml"
    assert missing in user.run("load", "--destination", "postgres", code=2).stderr
    del user.environment["DESTINATION__POSTGRES__CREDENTIALS"]
    message = user.run("load", "--destination", "postgres", code=2).stderr
    assert "destination.postgres.credentials.database, destination.postgres.credentials.password, " in message
    # A destination under a name of its own has its own section.
    user.environment["DESTINATION__ARCHIVE__DESTINATION_TYPE"] = "postgres"
    assert "destination.archive.credentials.host. Set" in user.run("load", "--destination", "archive", code=2).stderr


def test_a_range_that_is_empty_or_lies_ahead_is_refused(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    turned = ("--since", "2026-02-01", "--until", "2026-01-01")
    for command in (("load",), ("report", "audit.csv", "--audit")):
        assert re.fullmatch(
            r"Error \(config\): Empty range: --since 2026-02-01 00:00 UTC must lie before its end, "
            r"2026-01-01 00:00 UTC\. Set an earlier start\.\n",
            user.run(*command, *turned, code=2).stderr,
        )
    for name in ("load", "verify"):
        message = user.run(name, "--since", "2999-01-01", code=2).stderr
        assert "Empty range: since = 2999-01-01 00:00 UTC leaves nothing to load" in message
    assert user.query("SELECT count(*) FROM reconciliations WHERE period_start > period_end") == [(0,)]


@pytest.mark.parametrize(("typed", "meant"), [("verif", "verify"), ("tenants", "tenant")])
def test_a_misspelt_command_gets_one_suggestion(
    simulator: Simulator, new_user: NewUser, typed: str, meant: str
) -> None:
    message = new_user(simulator).run_process(typed, code=2).stderr
    assert (message.count("Did you mean"), message.count(f"'{meant}'")) == (1, 1)


def test_an_interval_without_an_end_is_refused(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment |= {"DLT_ALLOW_EXTERNAL_SCHEDULERS": "true", "DLT_INTERVAL_START": "2026-11-01T00:00:00Z"}
    message = user.run("load", code=2).stderr
    assert re.search(r"Error \(config\): .* Set both DLT_INTERVAL_START and DLT_INTERVAL_END, or unset", message)


def test_a_secret_in_the_wrong_file_is_reported_with_the_right_file(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    (user.folder / ".dlt").mkdir()
    (user.folder / ".dlt" / "config.toml").write_text('[sources.avepoint_m365]\ntrusted_hosts = ["one.example"]\n')
    message = user.run("load", code=2).stderr
    assert "sources.avepoint_m365.trusted_hosts must not be in config.toml" in message
    assert ".dlt/secrets.toml" in message


@pytest.mark.parametrize("command", ["check", "load", "status"])
def test_a_file_with_the_name_of_the_dataset_is_refused(simulator: Simulator, new_user: NewUser, command: str) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__DUCKDB__CREDENTIALS"] = "m365_jobs.duckdb"
    done = user.run(command, code=2)
    assert "has the name of the dataset m365_jobs" in done.stdout + done.stderr
    assert not (user.folder / "m365_jobs.duckdb").exists()


def test_a_tenant_that_is_named_where_none_is_configured(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    assert "No tenants are configured." in user.run("load", "--tenant", "contoso", code=2).stderr
    user.set(tenant="contoso")
    message = user.run("load", "--tenant", "contsoo", code=2).stderr
    assert (
        "Unknown value: sources.avepoint_m365.tenants = 'contsoo'. Did you mean 'contoso'? Known are: contoso."
        in message
    )
    message = " ".join(user.run("health", "--tenant", "contsoo", code=2).stderr.split())
    assert "neither in the configuration nor in the warehouse. m365-jobs status lists all tenants." in message


def test_unknown_settings_are_warned_of_by_load_health_and_check_and_refused_with_strict(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    (user.folder / ".dlt").mkdir()
    mine = "[sources.avepoint_m365]\ntenant = 'contoso'\nexpected_object_type = ['teams']\nmax_data_age_hours = 9\n"
    mine += "[sources.avepoint_m365.protection]\nallowed_age = 8\nallowed_age_hours_of = {teams = 8}\n"
    mine += "[sources.avepoint_m365.tenants.contoso]\ndata_center = 'we'\n"
    (user.folder / ".dlt" / "config.toml").write_text(mine)
    user.set(datacenter="we", object_types='["teams"]')
    section = "Unknown setting: sources.avepoint_m365"
    unknown = [
        f"{section}.datacenter is ignored. Did you mean 'data_center'?",
        f"{section}.expected_object_type is ignored. Did you mean 'expected_object_types'?",
        f"{section}.protection.allowed_age is ignored. Did you mean 'allowed_age_hours'?",
    ]
    for command in ("load", "health"):
        assert user.run(command, "--strict", code=2).stderr == f"Error (config): {' '.join(unknown)}\n"
    assert not (user.folder / "m365_warehouse.duckdb").exists()
    settings = [line for line in user.run("check", "--strict", code=2).stdout.splitlines() if " settings: " in line]
    assert settings == [f"FAIL  settings: {text}" for text in unknown]
    settings = [line for line in user.run("check").stdout.splitlines() if " settings: " in line]
    assert settings == [f"warn  settings: {text}" for text in unknown]
    for command in ("load", "health"):
        code = 0 if command == "load" else 4
        message = user.run(command, code=code).stderr
        assert message.splitlines()[: len(unknown)] == [f"Warning: {text}" for text in unknown]


@pytest.mark.parametrize("ending", ["html", "png", "pdf"])
def test_an_unwritable_report_is_reported_with_its_path(simulator: Simulator, new_user: NewUser, ending: str) -> None:
    message = new_user(simulator).run("report", f"no-folder/backup.{ending}", code=2).stderr
    assert re.fullmatch(
        rf"Error \(config\): \S*backup\.{ending} cannot be written: No such file or directory\.\n", message
    )


@pytest.mark.usual(1)
@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("health",),
        ("check",),
        ("query", "SELECT 1"),
        ("query", "SELECT * FROM range(99999)", "--format", "csv"),
    ],
)
def test_a_closed_output_pipe_is_no_failure(simulator: Simulator, new_user: NewUser, command: tuple[str, ...]) -> None:
    user = new_user(simulator)
    user.run("load")
    nobody, out = os.pipe()
    os.close(nobody)
    done = subprocess.run(
        [sys.executable, "-m", "m365_jobs", *command],
        cwd=user.folder,
        env=user.environment,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(out)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has another way to interrupt")
def test_an_interrupted_load_reports_that_no_job_is_lost(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    code, message = load_until_signal(simulator, user, signal.SIGINT)
    assert (code, message.splitlines()[-1]) == (130, "Interrupted; the next load continues from there.")
    assert "Error" not in message
    user.run("load")
    assert {row[0] for row in user.query("SELECT id FROM jobs")} == {job.id for job in simulator.world.visible()}
    assert user.query("SELECT status, detail FROM load_runs ORDER BY started_at") == [
        ("failed", "Interrupted."),
        ("complete", None),
    ]
