"""Test the built wheel in a clean environment, as after ``pipx install``."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]

MAX_PACKAGES, MAX_MEGABYTES = 45, 380
"""Limits for the core, including this project. dlt alone installs 37 packages."""


def main() -> None:
    """Check the core, then the core with the extra ``reports``."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    assert list((ROOT / "dist").glob("*.tar.gz")), "no sdist was built"
    with TemporaryDirectory() as place:
        environment, folder = Path(place) / "venv", Path(place) / "empty"
        folder.mkdir()
        venv.create(environment, with_pip=True)
        user = Environment(environment, folder)
        user.install("requirements-core.lock", wheel)
        _check_size(user)
        assert "duckdb" in user.run("m365-jobs", "--version")
        user.run("m365-jobs", "demo", "--jobs", "500")
        user.run("m365-jobs", "status")
        user.run("m365-jobs", "health", codes=(0, 4))
        user.run("m365-jobs", "query", "SELECT count(*) FROM jobs")
        message = user.run("m365-jobs", "report", "report.html", codes=(2,))
        assert "pip install 'avepoint-m365-jobs[reports]'" in message, message
        message = user.run("m365-jobs", "init", "--client-id", "a", "--certificate", "a.pfx", codes=(2,))
        assert "pip install 'avepoint-m365-jobs[certificate]'" in message, message
        shutil.rmtree(folder / ".dlt")
        _check_load(user)
        user.install("requirements-reports.lock", wheel)
        user.run("m365-jobs", "report", "report.html", codes=(0,))
        assert (folder / "report.html").stat().st_size > 1000
    print("The wheel works in a clean environment.")


class Environment:
    """Control a virtual environment; its commands run in an empty folder."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.binaries = environment / ("Scripts" if os.name == "nt" else "bin")
        self.variables: dict[str, str] = {}

    def install(self, lock: str, wheel: Path) -> None:
        """Add the packages of a lock file, and the wheel."""
        self.run("python", "-m", "pip", "install", "-q", "--require-hashes", "-r", str(ROOT / lock))
        self.run("python", "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", str(wheel))

    def run(self, program: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a program of the environment, check its exit code, and return its output."""
        home = str(self.folder.parent)
        outer = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "PATH", "SYSTEM"))
        }
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            cwd=self.folder,
            env=outer | {"HOME": home, "USERPROFILE": home, "DLT_DATA_DIR": f"{home}/dlt"} | self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode in codes, f"{program} {' '.join(arguments)}: exit {done.returncode}\n{output}"
        print(f"ok  {program} {' '.join(arguments[:4])}")
        return output


def _check_size(user: Environment) -> None:
    places = list(user.environment.glob("lib/python*/site-packages")) + list(user.environment.glob("Lib/site-packages"))
    packages = [info.name for info in places[0].glob("*.dist-info") if not info.name.startswith(("pip-", "hatch"))]
    build = ("editables", "pathspec", "trove_classifiers")
    packages = [name for name in packages if not name.startswith(build)]
    size = sum(file.stat().st_size for file in places[0].rglob("*") if file.is_file()) / 1e6
    print(f"The core has {len(packages)} packages and {size:.0f} MB.")
    assert len(packages) <= MAX_PACKAGES
    assert size <= MAX_MEGABYTES


def _check_load(user: Environment) -> None:
    """Load from a simulator in this process into another warehouse."""
    from avepoint_simulator import Simulator, make_world

    with Simulator(make_world(200, seed=7)) as simulator:
        section = "SOURCES__AVEPOINT_M365__"
        user.variables = {
            f"{section}BASE_URL": simulator.base_url,
            f"{section}TOKEN_URL": simulator.token_url,
            f"{section}CREDENTIALS__CLIENT_ID": simulator.client_id,
            f"{section}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
            "DESTINATION__DUCKDB__CREDENTIALS": "real.duckdb",
        }
        user.run("m365-jobs", "check")
        user.run("m365-jobs", "load", codes=(0, 3))
        user.run("m365-jobs", "health", codes=(0, 4))
        user.variables = {}


if __name__ == "__main__":
    main()
