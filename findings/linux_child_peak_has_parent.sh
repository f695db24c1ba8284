#!/usr/bin/env bash
# Show that Linux reports the memory of the parent as the peak memory of a child that Python starts.
#
# Versions: CPython 3.11, Linux 5 and 6, psutil 7.1.3 (which reads the parent's memory)
# Behaviour: A process with 400 MB starts /bin/true with subprocess and reads ru_maxrss from os.wait4. It is over 400 MB,
#   and so is RUSAGE_CHILDREN. Until exec, the child shares the memory of its parent, and Linux keeps the peak of that
#   memory across exec. The same child has 30 MB at most if a small process starts it.
# Expected: ru_maxrss is the peak of the program that runs. /bin/true needs 2 MB.
# Why it matters: Tests and benchmarks of memory start the measured program from a process that holds test data or a
#   simulated server. Each figure below the parent's size is the parent's. A limit is exceeded, or a saving invisible,
#   by a process that is not measured.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'psutil==7.1.3'
venv/bin/python - <<'PY'
import os
import subprocess
import sys

import psutil

CHILD = ["/bin/true"]
SMALL = (
    "import os, subprocess;"
    f"process = subprocess.Popen({CHILD});"
    "print(os.wait4(process.pid, 0)[2].ru_maxrss)"
)


def peak_of_child():
    process = subprocess.Popen(CHILD)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss // 1000


def peak_by_small_process():
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    return int(done.stdout) // 1000


before = peak_of_child()
ballast = b"x" * 400_000_000
parent = psutil.Process().memory_info().rss // 1_000_000
with_ballast, by_small = peak_of_child(), peak_by_small_process()
print(f"/bin/true, started by a small parent: {before} MB")
print(f"/bin/true, started by a parent of {parent} MB: {with_ballast} MB")
print(f"/bin/true, started by a small process of that parent: {by_small} MB")
holds = before < 60 and with_ballast > 380 and by_small < 30
raise SystemExit(0 if holds else "The behaviour differs from the description.")
PY
