"""Test that threads of a load share their memory, so that it goes back to the operating system once it is free."""

import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from m365_jobs.load.memory import return_freed_memory
if sys.argv[1] == "limited":
    return_freed_memory()
all_run = threading.Barrier(8)
def allocate():
    texts = [bytes(600 + number) for number in range(1000)]
    all_run.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(kind: str) -> int:
    """Return the number of arenas of a process whose eight threads allocate memory at once."""
    done = subprocess.run([sys.executable, "-c", THREADS, kind], capture_output=True, text=True, check=True)
    return done.stderr.count("Arena ")


@pytest.mark.skipif(sys.platform != "linux", reason="not run: only glibc has arenas")
def test_the_threads_of_a_load_share_two_arenas() -> None:
    assert arenas("limited") <= 2 < arenas("unlimited")
