"""Test refusals of the operating system: each is real, and each message names the path and the cure."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import Cli, NewUser

NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Refuses locks on files whose path begins with NO_LOCKS_AT, as a network share without a lock daemon does. */
static int refused(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *place = getenv("NO_LOCKS_AT");
    if (length < 0 || !place) return 0;
    path[length] = 0;
    return strncmp(path, place, strlen(place)) == 0;
}

int flock(int file, int operation) {
    if (refused(file)) { errno = ENOLCK; return -1; }
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, operation);
}

#define FCNTL(name) \
    int name(int file, int command, ...) { \
        va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \
        int is_lock = command == F_SETLK || command == F_SETLKW || command == F_GETLK; \
        if (is_lock && refused(file)) { errno = ENOLCK; return -1; } \
        return ((int (*)(int, int, void *))dlsym(RTLD_NEXT, #name))(file, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
"""


def run(user: Cli, *arguments: str, before: str = "", code: int = 1, **environment: str) -> str:
    """Run a command in a shell after the lines of ``before``, and return its messages to the user."""
    command = f"{before}\nexec {sys.executable} -m m365_jobs {' '.join(arguments)}"
    launch = ["unshare", "--mount", "sh", "-ec", command] if "mount" in before else ["sh", "-ec", command]
    done = subprocess.run(
        launch,
        cwd=user.folder,
        env=user.environment | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a library that refuses locks in a folder; it is built from the text above."""
    assert shutil.which("cc"), "a C compiler is missing: apt-get install gcc libc6-dev"
    folder = tmp_path_factory.mktemp("no_locks")
    (folder / "no_locks.c").write_text(NO_LOCKS, encoding="utf-8")
    library = folder / "no_locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "no_locks.c", "-ldl"], check=True)
    return str(library)


ROOT_ONLY = pytest.mark.skipif(
    not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare")),
    reason="needs root on Linux, as CI has it",
)


def test_a_warehouse_on_a_share_without_locks_is_reported_with_path_and_cure(
    simulator: Simulator, new_user: NewUser, no_locks: str
) -> None:
    user = new_user(simulator)
    file = str(user.folder / "m365_warehouse.duckdb")
    message = run(user, "load", LD_PRELOAD=no_locks, NO_LOCKS_AT=file)
    assert re.search(r"Error \(destination\): The file system of the warehouse supports no locks", message), message
    assert file in message
    assert "Put the DuckDB file on a local disk" in message


def test_a_working_folder_on_a_share_without_locks_is_reported_with_path_and_cure(
    simulator: Simulator, new_user: NewUser, no_locks: str
) -> None:
    user = new_user(simulator)
    folder = user.environment["DLT_DATA_DIR"]
    message = run(user, "load", LD_PRELOAD=no_locks, NO_LOCKS_AT=folder)
    assert "No locks available" in message
    assert folder in message
    assert "Name a local folder in DLT_DATA_DIR" in message


@pytest.mark.usual(1)
@pytest.mark.parametrize("limit", [7, 8])
def test_too_few_open_files_are_reported_with_the_cure_and_the_next_load_succeeds(
    simulator: Simulator, new_user: NewUser, limit: int
) -> None:
    user = new_user(simulator)
    message = run(user, "load", before=f"ulimit -n {limit}")
    assert re.search(r"[Tt]oo many open files", message), message
    assert "ulimit -n" in message
    run(user, "load", code=0)


def folder_of(user: Cli, which: str) -> Path:
    """Return the folder that ``which`` names; create it if it does not exist."""
    folder = Path(user.environment["DLT_DATA_DIR"]) if which == "working folder of dlt" else user.folder
    folder.mkdir(exist_ok=True)
    return folder


@ROOT_ONLY
@pytest.mark.parametrize("which", ["project folder", "working folder of dlt"])
def test_a_read_only_folder_is_reported_with_path_and_cure(simulator: Simulator, new_user: NewUser, which: str) -> None:
    user = new_user(simulator)
    folder = folder_of(user, which)
    before = f"mount --bind '{folder}' '{folder}'; mount -o remount,ro,bind '{folder}'; cd '{user.folder}'"
    message = run(user, "load", before=before)
    assert "Read-only file system" in message
    assert str(folder) in message
    assert ("DLT_DATA_DIR" in message) == (which == "working folder of dlt")
    assert simulator.asked == []


@ROOT_ONLY
@pytest.mark.parametrize("which", ["project folder", "working folder of dlt"])
def test_a_full_disk_is_reported_with_its_folder(simulator: Simulator, new_user: NewUser, which: str) -> None:
    user = new_user(simulator)
    folder = folder_of(user, which)
    before = f"mount -t tmpfs -o size=64k tmpfs '{folder}'; cd '{user.folder}'"
    message = run(user, "load", before=before)
    assert "No space left on device" in message
    assert str(folder) in message
    assert re.search(r"(?:Free|free) space|no disk space left.*Free some", message), message
    if which == "working folder of dlt":
        # In the other case the warehouse was on the full disk, which no longer exists.
        run(user, "load", code=0)


@ROOT_ONLY
def test_a_disk_without_room_for_a_new_warehouse_is_reported_before_any_request(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    run(user, "load", before=f"mount -t tmpfs -o size=8k tmpfs '{user.folder}'; cd '{user.folder}'")
    assert simulator.asked == []
