"""Test start-up: read commands import no modules for loads, and a load imports only modules that it uses."""

import json
import subprocess
import sys

from avepoint_simulator import Simulator

from tests.support.cli import Cli, NewUser

UNUSED = (
    "pyarrow",
    "avepoint_m365.extract",
    "avepoint_m365.api",
    "filelock",
    "sqlglot.optimizer.pushdown_projections",
    "sqlglot.generators",
)

RUN = """
import json, sys
from m365_jobs.cli.app import main
commands, codes, names = json.loads(sys.argv[1])
for command in commands:
    sys.argv = ["m365-jobs", *command]
    try:
        main()
    except SystemExit as end:
        assert (end.code or 0) in codes, end.code
print(json.dumps([name for name in names if name in sys.modules]))
"""


def imported(cli: Cli, commands: list[list[str]], codes: tuple[int, ...], names: tuple[str, ...]) -> object:
    """Return which of the modules ``names`` the commands import; they must end with the exit codes ``codes``."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([commands, codes, names])],
        cwd=cli.folder,
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "UserWarning" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_status_health_and_query_import_only_what_they_need(new_user: NewUser, simulator: Simulator) -> None:
    cli = new_user(simulator)
    cli.run("load")
    commands = [["status", "--format", "json"], ["health", "--format", "json"], ["query", "SELECT 1"]]
    assert imported(cli, commands, (0, 4), UNUSED) == []


def test_a_scheduled_load_into_duckdb_imports_nothing_for_other_commands_and_terminals(
    new_user: NewUser, simulator: Simulator
) -> None:
    names = ["load.copy", "load.parallel", "warehouse.destinations.lake_merge", "warehouse.destinations.lake_tables"]
    unused = ("sqlalchemy", "rich", "sqlglot.generators", *(f"m365_jobs.{name}" for name in names))
    assert imported(new_user(simulator), [["load"]], (0,), unused) == []


def test_a_load_with_nothing_new_imports_nothing_for_sources_of_dlt(new_user: NewUser, simulator: Simulator) -> None:
    cli = new_user(simulator)
    cli.set(include="auto")
    cli.run("load")
    unused = ("avepoint_m365.companions.source", "avepoint_m365.resources", "m365_jobs.load.copy")
    assert imported(cli, [["load"]], (0,), unused) == []
