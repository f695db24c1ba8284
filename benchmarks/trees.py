"""Run the same processes in two trees: this one, and the baseline that the variable M365_BASELINE names.

The baseline is a checkout of this repository with its own environment in ``.venv``. Without the variable, only this
tree is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
BASELINE = "M365_BASELINE"
NO_VALGRIND = "Instruction counts are missing: valgrind is not installed. On Debian: apt-get install valgrind."


@dataclass(frozen=True)
class Tree:
    """Hold the name of a checkout, and the interpreter of its environment."""

    name: str
    python: str


def trees() -> list[Tree]:
    """Return this tree and, if M365_BASELINE names one, the baseline.

    Raises:
        SystemExit: if the baseline has no environment.
    """
    today = Tree("today", sys.executable)
    folder = os.environ.get(BASELINE)
    if not folder:
        return [today]
    python = Path(folder).absolute() / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        raise SystemExit(f"{BASELINE}: no environment found: {python}. Make it with `make setup` in that checkout.")
    return [today, Tree("baseline", str(python))]


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty directory."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def environment(here: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process that stores its state in ``here``.

    Python may write bytecode, as pip does for a wheel. Otherwise each process compiles the checkout again, which adds
    a tenth to its instructions.
    """
    quiet = {"DLT_DATA_DIR": str(here / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false", "PYTHONHASHSEED": "0"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **quiet, **variables}


def run(
    python: str,
    here: Path,
    *command: str,
    variables: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
    codes: tuple[int, ...] = (0,),
) -> float:
    """Return the seconds from start to exit of a Python process.

    Args:
        python: The interpreter.
        here: Working directory, and the home of its state.
        command: Arguments of the interpreter.
        variables: Variables of the environment, beside those of this process.
        before: A program that runs the interpreter, and the arguments of that program.
        codes: Exit codes of success.

    Raises:
        SystemExit: if the process fails.
    """
    began = time.monotonic()
    done = subprocess.run(
        [*before, python, *command],
        cwd=here,
        env=environment(here, variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in codes:
        raise SystemExit(f"{command} exited {done.returncode}\n{done.stderr[-3000:]}")
    return time.monotonic() - began


def instructions(python: str, here: Path, *command: str, variables: Mapping[str, str] | None = None) -> float | None:
    """Return the instructions of a Python process in billions, counted by callgrind; None without valgrind."""
    if shutil.which("valgrind") is None:
        return None
    out = here / "callgrind.out"
    valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}")
    # 4: health reports services without protection.
    run(python, here, *command, variables=variables, before=valgrind, codes=(0, 4))
    total = next(
        line for line in out.read_text(errors="replace").splitlines() if line.startswith(("summary:", "totals:"))
    )
    out.unlink()
    return int(total.split()[1]) / 1e9


def first_byte(python: str, here: Path, *command: str, variables: Mapping[str, str]) -> float:
    """Return the seconds from the start of a process to the first byte of its standard output."""
    began = time.monotonic()
    with subprocess.Popen(
        [python, *command],
        cwd=here,
        env=environment(here, variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        seconds = time.monotonic() - began
        process.stdout.read()
    return seconds


def in_turns(measures: dict[Tree, Callable[[], float]], turns: int) -> dict[Tree, float]:
    """Return the median of each measure. The measures run in turns, so other work of the machine slows all of them."""
    taken: dict[Tree, list[float]] = {tree: [] for tree in measures}
    for _ in range(turns):
        for tree, measure in measures.items():
            taken[tree].append(measure())
    return {tree: median(values) for tree, values in taken.items()}
