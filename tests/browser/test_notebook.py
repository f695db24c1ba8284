"""Test the analyst's notebook."""

import subprocess
import sys

from avepoint_simulator import Simulator
from m365_jobs import notebook

from tests.support.cli import NewUser


def test_the_notebook_runs_over_a_warehouse(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
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
