"""Test that `init` writes files that work and that only their owner can read."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import Cli, NewUser
from tests.support.terminal import PATIENCE, Terminal


@pytest.fixture
def user(simulator: Simulator, new_user: NewUser) -> Cli:
    """Return a user without any configuration."""
    user = new_user(simulator)
    for name in [name for name in user.environment if name.startswith("SOURCES__")]:
        del user.environment[name]
    user.environment["M365_JOBS_CLIENT_SECRET"] = simulator.client_secret
    return user


def options(simulator: Simulator) -> list[str]:
    values = {
        "--tenant": "contoso",
        "--client-id": simulator.client_id,
        "--base-url": simulator.base_url,
        "--token-url": simulator.token_url,
    }
    return [part for pair in values.items() for part in pair]


def test_init_writes_the_configuration_checks_it_and_a_load_uses_it(user: Cli, simulator: Simulator) -> None:
    message = user.run("init", *options(simulator)).stdout
    assert "ok    token: granted" in message
    assert simulator.client_secret not in message
    secrets = user.folder / ".dlt" / "secrets.toml"
    assert stat.S_IMODE(os.stat(secrets).st_mode) == 0o600
    user.run("load")
    assert user.query("SELECT DISTINCT tenant FROM jobs") == [("contoso",)]


@pytest.mark.parametrize("option", ["--client-secret", "--certificate-password", "--destination-credentials"])
def test_a_secret_on_the_command_line_is_refused_with_two_better_ways(
    user: Cli, simulator: Simulator, option: str
) -> None:
    """Test each option with a secret: other users of a machine can list the arguments of all processes."""
    message = user.run("init", *options(simulator), option, "top-secret", code=2).stderr
    assert f"{option} - reads a line of stdin" in message
    assert f"set M365_JOBS_{option[2:].replace('-', '_').upper()}" in message
    assert "top-secret" not in message
    assert not Path(user.folder, ".dlt").exists()


def test_secrets_may_be_piped_each_a_line(user: Cli, simulator: Simulator) -> None:
    del user.environment["M365_JOBS_CLIENT_SECRET"]
    dashes = ("--client-secret", "-", "--destination", "postgres", "--destination-credentials", "-")
    # PowerShell pipes text in this form.
    piped = f"\ufeff{simulator.client_secret}\r\npostgresql://127.0.0.1:9/none\r\n"
    assert (
        "ok    token: granted" in user.run_process("init", *options(simulator), *dashes, code=None, piped=piped).stdout
    )
    secrets = tomllib.loads((user.folder / ".dlt" / "secrets.toml").read_text())
    assert secrets["sources"]["avepoint_m365"]["credentials"]["client_secret"] == simulator.client_secret
    assert secrets["destination"] == {"postgres": {"credentials": "postgresql://127.0.0.1:9/none"}}


def test_a_secret_that_was_not_piped_is_named(user: Cli, simulator: Simulator) -> None:
    message = user.run("init", *options(simulator), "--client-secret", "-", code=2).stderr
    assert "--client-secret - reads a line of stdin, which is empty" in message


def test_init_prompts_for_missing_options_on_a_terminal(user: Cli, simulator: Simulator) -> None:
    del user.environment["M365_JOBS_CLIENT_SECRET"]
    terminal = Terminal(user, "init", "--base-url", simulator.base_url, "--token-url", simulator.token_url)
    try:
        for question, answer in (
            ("Label of the tenant [default]: ", "contoso"),
            ("Data centre (us, we, uk, ...) [us]: ", "we"),
            ("Client id: ", simulator.client_id),
            ("Certificate (.pfx or .pem; empty for a client secret): ", ""),
            ("Client secret: ", simulator.client_secret),
            ("Multi-Geo tenant? Ask the API which locations have jobs [y/N]: ", "y"),
            ("Destination [duckdb]: ", "postgres"),
            ("Connection string of postgres (empty to set its credentials later): ", "postgresql://127.0.0.1:9/none"),
        ):
            terminal.until(question)
            terminal.type(f"{answer}\r")
        terminal.until("ok    token: granted")
        assert terminal.process.wait(PATIENCE) != 0, "no server listens at that port"
    finally:
        terminal.close()
    config = tomllib.loads((user.folder / ".dlt" / "config.toml").read_text())
    assert config["sources"]["avepoint_m365"] == {
        "tenant": "contoso",
        "data_center": "we",
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
    }
    assert config["destination_type"] == "postgres"
    secrets = tomllib.loads((user.folder / ".dlt" / "secrets.toml").read_text())
    assert secrets == {
        "sources": {
            "avepoint_m365": {
                "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
            }
        },
        "destination": {"postgres": {"credentials": "postgresql://127.0.0.1:9/none"}},
    }


def test_init_replaces_credentials_only_on_request(user: Cli, simulator: Simulator) -> None:
    user.run("init", *options(simulator))
    secrets = user.folder / ".dlt" / "secrets.toml"
    before = secrets.read_text()
    assert "add --force" in user.run("init", *options(simulator), code=2).stderr
    assert secrets.read_text() == before
    user.run("init", *options(simulator), "--force")


def test_init_keeps_comments_and_other_keys_of_a_configuration(user: Cli, simulator: Simulator) -> None:
    config = user.folder / ".dlt" / "config.toml"
    config.parent.mkdir()
    config.write_text("# mine\n[sources.avepoint_m365]\nlag_hours = 48  # late jobs\n")
    user.run("init", *options(simulator))
    text = config.read_text()
    assert "# mine" in text
    assert "lag_hours = 48  # late jobs" in text
    assert 'tenant = "contoso"' in text


def test_init_writes_a_windows_path_in_single_quotes(user: Cli, simulator: Simulator) -> None:
    arguments = [*options(simulator), "--certificate", "C:\\keys\\new.pfx"]
    user.run("init", *arguments, code=2)
    text = (user.folder / ".dlt" / "secrets.toml").read_text()
    assert "certificate_path = 'C:\\keys\\new.pfx'" in text
    assert "client_secret" not in text


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (["--data-center", "mars"], "mars"),
        (["--location", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_written(
    user: Cli, simulator: Simulator, changed: list[str], problem: str
) -> None:
    given = options(simulator)[:6]
    assert problem in user.run("init", *given, *changed, code=2).stderr
    assert not Path(user.folder, ".dlt", "secrets.toml").exists()


def test_without_a_terminal_a_missing_option_is_named(user: Cli) -> None:
    assert "--client-id is missing" in user.run("init", "--tenant", "contoso", code=2).stderr
