"""Test that commands reach no host but those of the configuration."""

from pathlib import Path

from avepoint_simulator import Simulator

from tests.support.cli import Cli, NewUser

WATCH = """
import socket, pathlib
connect = socket.socket.connect
def watched(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        with open(r"{log}", "a") as log:
            log.write(str(address) + "\\n")
        raise OSError("closed")
    return connect(self, address)
socket.socket.connect = watched
def resolve(host, *more, found=socket.getaddrinfo):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        with open(r"{log}", "a") as log:
            log.write(str(host) + "\\n")
        raise socket.gaierror("closed")
    return found(host, *more)
socket.getaddrinfo = resolve
"""


def watch(user: Cli) -> Path:
    """Make the user's processes refuse each address beyond this machine, and record it in a file."""
    log, hook = user.folder / "reached.txt", user.folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH.replace("{log}", str(log)))
    user.environment["PYTHONPATH"] = str(hook)
    return log


def test_nothing_but_the_configured_hosts_is_reached_from_an_empty_directory(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    reached = watch(user)
    for command in ("load", "status", "check", "demo"):
        folder, user.folder = user.folder, user.folder / command
        user.folder.mkdir()
        user.run(command)
        user.folder = folder
    assert not reached.exists(), reached.read_text()


def test_telemetry_is_on_where_the_user_asks_for_it(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    reached = watch(user)
    user.environment["RUNTIME__DLTHUB_TELEMETRY"] = "true"
    user.run("load")
    assert "telemetry" in reached.read_text()
