"""Test with atheris (fuzzing) how the source reads answers of a server; print executions and failures.

Run it with ``make fuzz SECONDS=600``. Each property of tests/support/fuzzing.py runs in its own process. Inputs that
fail are stored in ``.fuzz/failed``. Inputs that reach new code stay in ``.fuzz/corpus`` for later runs.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

NAMES = ("pages", "single_jobs", "links", "headers", "tokens", "companions", "values")
LONGEST_INPUT = 4096
LIMITS = (f"-max_len={LONGEST_INPUT}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=0", "-verbosity=0")
"""The run fails if an input needs more than ten seconds, or the process more than a gigabyte."""

EACH = 200
"""Number of executions after which the figures are written, as libFuzzer ends the process without calling Python."""


SEEDS = 300
"""Number of random inputs with which a first run begins."""


class Recorder:
    """Run a property on each input, and store the shortest input for each place of a failure."""

    def __init__(self, name: str, folder: Path) -> None:
        from tests.support.fuzzing import PROPERTIES

        self._property, self._name, self._folder = PROPERTIES[name], name, folder
        self._executions, self._failures = 0, dict[str, int]()
        self._shortest: dict[str, int] = {}
        self._started = time.monotonic()

    def __call__(self, data: bytes) -> None:
        """Run the property; a failure is recorded and the run continues."""
        self._executions += 1
        try:
            self._property(data)
        except Exception as error:
            self._record(data, error)
        if self._executions % EACH == 0:
            self._write()

    def _record(self, data: bytes, error: Exception) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if str(ROOT) in frame.filename]
        own = [frame for frame in frames if "site-packages" not in frame.filename]
        place = f"{type(error).__name__} in {Path(own[-1].filename).name}:{own[-1].name}"
        self._failures[place] = self._failures.get(place, 0) + 1
        if len(data) < self._shortest.get(place, LONGEST_INPUT + 1):
            self._shortest[place] = len(data)
            case = self._folder / "failed" / f"{self._name}-{sha256(place.encode()).hexdigest()[:12]}"
            case.write_bytes(data)
            case.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), "utf-8", "backslashreplace")
        self._write()

    def _write(self) -> None:
        seconds = time.monotonic() - self._started
        figures = {"executions": self._executions, "seconds": round(seconds), "failures": self._failures}
        (self._folder / f"{self._name}.json").write_text(json.dumps(figures))


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Run one property with random inputs in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["avepoint_m365", "tests.support.fuzzing"]):
        recorder = Recorder(name, folder)
    corpus = folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        # Properties derive answers from bytes. With an empty input, libFuzzer needs long to reach complete answers.
        randomness = random.Random(name)
        for number in range(SEEDS):
            (corpus / f"seed-{number}").write_bytes(randomness.randbytes(randomness.choice((20, 100, 400, 1000))))
    atheris.Setup(
        [sys.argv[0], *LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/failed/", str(corpus)],
        recorder,
    )
    atheris.Fuzz()


def run(names: list[str], seconds: int, folder: Path) -> int:
    """Run each property for an equal share of the time; return the number of failures."""
    failed = 0
    print("| property | seconds | executions | failures |\n|---|---:|---:|---:|")
    for name in names:
        command = [
            sys.executable,
            __file__,
            "--only",
            name,
            "--seconds",
            str(seconds // len(names)),
            "--folder",
            str(folder),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        figures: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        failures = sum(figures["failures"].values()) + (ended.returncode != 0)
        failed += failures
        print(f"| {name} | {figures['seconds']} | {figures['executions']:,} | {failures} |", flush=True)
        for place, count in figures["failures"].items():
            print(f"  {place}: {count} times", file=sys.stderr)
        if ended.returncode:
            print(ended.stderr[-4000:], file=sys.stderr)
    return failed


def main() -> None:
    """Run all properties, or those that the user names."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("properties", nargs="*", choices=[*NAMES, []], default=[])
    options.add_argument("--seconds", type=int, default=600, help="time for all properties together")
    options.add_argument("--folder", type=Path, default=ROOT / ".fuzz")
    options.add_argument("--only", choices=NAMES, help=argparse.SUPPRESS)
    given = options.parse_args()
    (given.folder / "failed").mkdir(parents=True, exist_ok=True)
    if given.only:
        fuzz(given.only, given.seconds, given.folder)
    sys.exit(run(given.properties or list(NAMES), given.seconds, given.folder) > 0)


if __name__ == "__main__":
    main()
