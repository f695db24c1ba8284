"""Start-up of the commands that read: they import nothing that only loads need, and translate no query."""

import json
import subprocess
import sys
from collections.abc import Callable

from avepoint_simulator import Simulator

from tests.support.cli import Cli

UNUSED = (
    "pyarrow",
    "avepoint_m365.extract",
    "avepoint_m365.api",
    "filelock",
    "sqlglot.optimizer.pushdown_projections",
    "sqlglot.generators",
)

READ = f"""
import json, sys
from m365_jobs.cli.app import main
COMMANDS = (["status", "--format", "json"], ["health", "--format", "json"], ["query", "SELECT 1"])
for command in COMMANDS:
    sys.argv = ["m365-jobs", *command]
    try:
        main()
    except SystemExit as end:
        assert end.code in (0, None, 4), end.code
print(json.dumps([name for name in {UNUSED} if name in sys.modules]))
"""


def test_status_health_and_query_import_only_what_they_need(
    desk: Callable[[Simulator], Cli], simulator: Simulator
) -> None:
    cli = desk(simulator)
    cli.run("load")
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=cli.folder, env=cli.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


LOAD = """
import sys
from m365_jobs.cli.app import main
sys.argv = ["m365-jobs", "load"]
try:
    main()
except SystemExit as end:
    assert not end.code
print("sqlalchemy" in sys.modules)
"""


def test_a_load_into_duckdb_does_not_import_sqlalchemy_because_it_is_installed(
    desk: Callable[[Simulator], Cli], simulator: Simulator
) -> None:
    cli = desk(simulator)
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=cli.folder, env=cli.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
