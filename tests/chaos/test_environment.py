"""Test configuration, output and signals in the forms that operating systems use."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import Cli, NewUser
from tests.support.signals import load_until_signal
from tests.support.truth import in_warehouse, on_server

PREFIX = "SOURCES__AVEPOINT_M365__"


def take_variables(user: Cli) -> dict[str, str]:
    """Return the settings of the source, and remove them from the environment."""
    names = [name for name in user.environment if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX).lower().replace("__", "."): user.environment.pop(name) for name in names}


def write(user: Cli, text: str, encoding: str = "utf-8", file: str = "secrets.toml") -> None:
    (user.folder / ".dlt").mkdir(exist_ok=True)
    (user.folder / ".dlt" / file).write_text(text, encoding=encoding)


def test_blanks_line_ends_and_quotes_around_variables_are_ignored_with_a_line(
    simulator: Simulator, new_user: NewUser
) -> None:
    """Test secrets of Kubernetes that end with a line end: the identity service would refuse them."""
    user = new_user(simulator)
    user.set(credentials__client_secret=f"{simulator.client_secret}\n", tenant=' "contoso" ')
    message = user.run("load").stderr
    for name in ("CREDENTIALS__CLIENT_SECRET", "TENANT"):
        assert f"Variable cleaned: {PREFIX}{name} has blanks, line ends or quotes around its value." in message
    assert user.query("SELECT DISTINCT tenant FROM jobs") == [("contoso",)]


@pytest.mark.usual(1)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_configuration_saved_by_windows_is_read(simulator: Simulator, new_user: NewUser, encoding: str) -> None:
    user = new_user(simulator)
    settings = "\n".join(f"{key} = '{value}'" for key, value in take_variables(user).items())
    write(user, f"[sources.avepoint_m365]\n{settings}\n[destination.duckdb]\ncredentials = 'Büro.duckdb'\n", encoding)
    assert "byte-order mark or is UTF-16" in user.run_process("load").stderr
    assert in_warehouse(user.folder / "Büro.duckdb") == on_server(simulator.world, False)


def test_unescaped_backslashes_of_a_windows_path_are_reported_with_the_cure(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    write(user, '[destination.duckdb]\ncredentials = "C:\\Users\\ada\\warehouse.duckdb"\n')
    message = user.run_process("load", code=2).stderr
    assert "secrets.toml" in message
    assert r"Write Windows paths in single quotes: 'C:\backup\warehouse.duckdb'." in message


@pytest.mark.parametrize("setting", ["RESTORE_FROM_DESTINATION=false", "DEV_MODE=true"])
def test_settings_that_keep_cursors_out_of_the_warehouse_are_refused(
    simulator: Simulator, new_user: NewUser, setting: str
) -> None:
    user = new_user(simulator)
    name, value = setting.split("=")
    user.environment[name] = value
    message = user.run("load", code=2).stderr
    assert f"{name.lower()} = {value} keeps cursors out of the warehouse" in message
    assert simulator.asked == []


def test_a_refresh_of_all_tenants_is_refused(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["REFRESH"] = "drop_data"
    message = user.run("load", code=2).stderr
    assert "refresh = drop_data drops the rows of all tenants in each load. Remove it." in message
    assert simulator.asked == []


def test_dates_numbers_and_booleans_of_a_tenants_section_are_texts(simulator: Simulator, new_user: NewUser) -> None:
    """Test that values of other types do not stop health and status of all tenants."""
    user = new_user(simulator)
    shared = take_variables(user)
    lines = [f"{key} = '{value}'" for key, value in shared.items() if not key.startswith("credentials")]
    good = [f"client_id = '{simulator.client_id}'", f"client_secret = '{simulator.client_secret}'"]
    section = "[sources.avepoint_m365.tenants.{}.credentials]"
    text = ["[sources.avepoint_m365]", *lines, section.format("contoso"), *good, "expires_at = 2020-06-30"]
    text += [section.format("fabrikam"), "client_id = 12345", "certificate_path = 5"]
    text += [section.format("'north  wind'"), *good]
    write(user, "\n".join(text))
    message = user.run("load", "--all-tenants", code=1).stderr
    assert "1 of 3 tenants loaded" in message
    assert "fabrikam: failed (config): credentials.certificate_path = 5: the file cannot be read" in message
    assert "Write 'north wind'." in message
    assert "ended on 2020-06-30" in user.run("status").stdout
    assert "ended on 2020-06-30" in user.run("health", code=4).stdout


def test_letters_that_the_terminal_lacks_are_replaced(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.set(tenant="Büro 東京")
    user.environment |= {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    for command, code in (("load", 0), ("status", 0), ("health", 4)):
        done = subprocess.run(
            [sys.executable, "-m", "m365_jobs", command],
            cwd=user.folder,
            env=user.environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert b"B\xfcro ??" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_sigterm_ends_a_load_with_a_message_and_a_record(simulator: Simulator, new_user: NewUser) -> None:
    """Test the signal that docker stop, Kubernetes and systemd send."""
    user = new_user(simulator)
    code, message = load_until_signal(simulator, user, signal.SIGTERM)
    assert (code, message.splitlines()[-1]) == (
        143,
        "Terminated (SIGTERM); the next load continues from there.",
    )
    user.run("load")
    assert user.query("SELECT status FROM load_runs ORDER BY started_at") == [("failed",), ("complete",)]


def test_metrics_are_written_before_a_terminal_whose_reader_has_gone(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    metrics = user.folder / "m365.prom"
    reader, out = os.pipe()
    os.close(reader)
    subprocess.run(
        [sys.executable, "-m", "m365_jobs", "health", "--prometheus", str(metrics)],
        cwd=user.folder,
        env=user.environment,
        stdout=out,
        timeout=120,
        check=False,
    )
    os.close(out)
    assert "m365_jobs" in Path(metrics).read_text(encoding="utf-8")
