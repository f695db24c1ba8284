"""Test the analyst's notebook."""

import subprocess
import sys
from collections.abc import Callable

from avepoint_simulator import Simulator
from m365_jobs import notebook

from tests.support.cli import Cli


def test_the_notebook_runs_over_a_warehouse(simulator: Simulator, desk: Callable[[Simulator], Cli]) -> None:
    user = desk(simulator)
    user.run("load")

    done = subprocess.run(
        [sys.executable, str(notebook.__file__)],
        cwd=user.folder,
        env=user.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
