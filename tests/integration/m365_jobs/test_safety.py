"""Test data that must not leave the machine, and texts that must not block later loads."""

import re
from pathlib import Path

import pytest
from avepoint_simulator import Answer, Asked, Simulator

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


@pytest.mark.variant
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


def test_a_secret_or_token_that_a_server_echoes_is_not_shown_or_stored(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    tokens: list[str] = []

    def echo(asked: Asked) -> Answer:
        return Answer(403, {"message": f"Bearer {tokens[-1]} and {simulator.client_secret} may not"})

    token = simulator.token

    def remember(form: dict[str, str]) -> Answer:
        answer = token(form)
        tokens.append(answer.body["access_token"])
        return answer

    simulator.token = remember  # type: ignore[method-assign]
    simulator.fault = echo
    message = user.run("load", code=1).stderr
    assert "Bearer *** and *** may not" in message
    checked = user.run("check", code=1)
    assert "Bearer *** and *** may not" in checked.stdout + checked.stderr
    secrets = [*tokens, simulator.client_secret]
    for file in [path for path in user.folder.parent.rglob("*") if path.is_file()]:
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), file
    assert not any(secret in message for secret in secrets)


def test_a_text_that_no_warehouse_can_hold_does_not_block_later_loads(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    simulator.fault = lambda asked: Answer(403, '{"message": "no \\ud800 right\\u0000"}')
    user.run("load", code=1)
    simulator.fault = None
    user.run("load")
    details = [row[0] for row in user.query("SELECT detail FROM load_runs WHERE status = 'failed'")]
    assert len(details) == 1
    assert re.search("no \ufffd right\ufffd", details[0])
