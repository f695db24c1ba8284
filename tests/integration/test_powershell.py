"""Test commands that users of PowerShell type: settings as variables, quotes around statements, and exit codes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

SCRIPT = """
$ErrorActionPreference = 'Stop'
function m365-jobs { & '%(python)s' -m m365_jobs @args }
$env:SOURCES__AVEPOINT_M365__BASE_URL = '%(base_url)s'
$env:SOURCES__AVEPOINT_M365__TOKEN_URL = '%(token_url)s'
$env:SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_ID = '%(client_id)s'
$env:SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_SECRET = '%(client_secret)s'
m365-jobs --version
m365-jobs load
"load ended with $LASTEXITCODE"
m365-jobs query "SELECT count(*) AS jobs FROM jobs WHERE state = 'Finished'" --format csv > jobs.csv
m365-jobs status
m365-jobs health
"health ended with $LASTEXITCODE"
m365-jobs query "SELECT"
"a wrong statement ended with $LASTEXITCODE"
exit 0
"""


@pytest.mark.skipif(
    shutil.which("pwsh") is None,
    reason="not run: PowerShell (pwsh) is not installed, and neither PyPI nor npm nor Debian has it",
)
def test_commands_work_as_typed_in_powershell(simulator: Simulator, tmp_path: Path) -> None:
    values = {name: getattr(simulator, name) for name in ("base_url", "token_url", "client_id", "client_secret")}
    script = tmp_path / "typed.ps1"
    script.write_text(SCRIPT % {"python": sys.executable, **values}, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DLT_DATA_DIR": str(tmp_path / "dlt")}
    command = ["pwsh", "-NoProfile", "-NonInteractive", "-File", str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    finished = sum(job.state(simulator.world.now) == "Finished" for job in simulator.world.visible())
    assert (tmp_path / "jobs.csv").read_text(encoding="utf-8-sig").split() == ["jobs", str(finished)]
    ends = [line for line in done.stdout.splitlines() if " ended with " in line]
    assert ends[0] == "load ended with 0"
    assert ends[1] in ("health ended with 0", "health ended with 4")
    assert ends[2] == "a wrong statement ended with 1"
