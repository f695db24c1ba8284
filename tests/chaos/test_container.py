"""Test the promises of the Dockerfile without a container runtime.

The test uses the same user, the same variables and a root file system that a mount namespace makes read-only.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import NewUser
from tests.support.project import ROOT
from tests.support.truth import in_warehouse, on_server

IN_A_CONTAINER = """
set -e
mount --make-rprivate /
mount --bind "$DATA" "$DATA"
mount --bind "$TMPDIR" "$TMPDIR"
findmnt --raw --noheadings --output TARGET | while read -r target; do
  case "$target" in "$DATA"|"$TMPDIR"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$target" ;; esac
done
cd "$DATA"
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs "$@"
"""


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the last stage of the Dockerfile, each with its text."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line[0] == "FROM")
    return [(word, rest) for word, rest in lines[last:]]


def test_the_image_runs_as_a_user_without_a_name_and_installs_by_hash_only() -> None:
    last = dict(instructions())
    user, group = last["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert (last["WORKDIR"], last["VOLUME"], last["HEALTHCHECK"]) == ("/data", "/data", "NONE")
    whole = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"pip (?:download|install) .*", whole):
        assert "--require-hashes" in line or "--no-index" in line, line


def test_the_image_has_what_each_command_of_the_schedule_needs() -> None:
    whole = (ROOT / "Dockerfile").read_text()
    (extras,) = re.findall(r"avepoint-m365-jobs\[(.*?)\]", whole)
    assert {*extras.split(",")} == {"certificate", "lake", "postgres", "reports"}
    # Each extra comes from the hashes of its lock file.
    for extra in ("core", *extras.split(",")):
        assert f"requirements-{extra}.lock" in re.findall(r"^COPY (?!--from)(.*) \S+$", whole, re.MULTILINE)[0].split()
        assert re.search(rf"for lock in [a-z ]*\b{extra}\b", whole)
    # PDF needs Pango and a font, as docs/how-to/dashboard-and-reports.md says.
    assert "libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core" in dict(instructions())["RUN"]


def test_only_the_files_of_the_image_are_sent_to_the_builder() -> None:
    remaining = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert remaining[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {line[1:] for line in remaining if line.startswith("!")} == {
        name for line in copied for name in line.split()
    }


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that all users may enter; only the owner may enter those of pytest."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(
    not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv")),
    reason="needs root on Linux, as CI has it",
)
def test_loads_run_with_a_read_only_root_and_write_to_the_volume_and_tmp_only(
    simulator: Simulator, new_user: NewUser, open_folder: Path
) -> None:
    user = new_user(simulator)
    places = {"/data": open_folder / "data", "/tmp": open_folder / "tmp"}
    for folder in places.values():
        folder.mkdir()
        os.chown(folder, 10001, 10001)
    variables = dict(part.split("=", 1) for part in dict(instructions())["ENV"].split())
    for name in ("HOME", "TMPDIR", "DLT_DATA_DIR"):
        variables[name] = re.sub("^/(data|tmp)", lambda item: str(places[item[0]]), variables[name])
    environment = user.environment | variables | {"DATA": str(places["/data"]), "PATH": os.environ["PATH"]}

    def container(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", IN_A_CONTAINER, "sh", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    for place in ("/", "/var/tmp", "/home", str(ROOT)):
        assert "Read-only file system" in container("touch", f"{place}/written").stderr
    for command in (["load"], ["load"], ["health"], ["status"], ["schedule"]):
        done = container(sys.executable, "-m", "m365_jobs", *command)
        assert done.returncode in ((0, 4) if command == ["health"] else (0,)), done.stderr
        assert "Traceback" not in done.stderr
    assert in_warehouse(places["/data"] / "m365_warehouse.duckdb") == on_server(simulator.world, False)
