"""Test a malicious or broken API: the client follows and executes nothing that it sends, and stops after a limit."""

import csv
import io
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_m365.text import storable
from avepoint_simulator import Answer, Asked, JobError, SimulatedJob, Simulator, World, bomb

from tests.support.cli import Cli, NewUser
from tests.support.memory import peak_megabytes
from tests.support.receivers import http_receiver, mail_server
from tests.support.tenant import START, Tenant
from tests.support.truth import in_warehouse, on_server
from tests.support.warehouse import Warehouse, database_for

ELSEWHERE = (
    "https://elsewhere.example/backup/m365/jobs?pageIndex=1",
    "http://127.0.0.1:1/backup/m365/jobs?pageIndex=1",
    "http://169.254.169.254/latest/meta-data/?pageIndex=1",
    "//elsewhere.example/?pageIndex=1",
    "file:///etc/passwd?pageIndex=1",
    "http://user:password@127.0.0.1:1/?pageIndex=1",
    "http://[::1?pageIndex=1",
    "gopher://elsewhere.example/?pageIndex=1",
)
"""Links to other hosts; the client uses only their query."""

SIGNS = ("'); DROP TABLE jobs; --", '"><script>alert(1)</script>', '=HYPERLINK("http://elsewhere.example")', "{{7*7}}")
TURNING = "".join(map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that change the direction of the text after them."""
CONTROLS = ("\x1b]0;owned\x07\x1b[31mred\x9b", TURNING + "gnp.exe", "NUL\0NUL", "half \ud83d of", "a\r\nNew:\n- fake")
LONG = "x" * 1_000_000
HOSTILE = (*SIGNS, *CONTROLS, LONG)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> set[tuple[Any, Any]]:
    """Return the set of hosts and ports that this process resolves."""
    result: set[tuple[Any, Any]] = set()
    resolve = socket.getaddrinfo

    def resolved(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        result.add((host, port))
        return resolve(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return result


@pytest.mark.usual(3)
@pytest.mark.parametrize("link", ELSEWHERE)
def test_a_link_to_elsewhere_is_not_followed(tenant: Tenant, reached: set[tuple[Any, Any]], link: str) -> None:
    for number in range(12):
        tenant.put(f"FB{number:02}", -number - 1, -number - 0.5)
    server = tenant.simulator

    def first_page_links_elsewhere(asked: Asked) -> Answer | None:
        if asked.path != "/backup/m365/jobs" or "pageindex" in asked.params:
            return None
        answer = server.jobs.answer_jobs(asked)
        return Answer(200, answer.body | {"nextLink": link})

    server.fault = first_page_links_elsewhere
    tenant.load(page_size=5)
    assert tenant.agrees()
    assert reached == {("127.0.0.1", int(server.base_url.rpartition(":")[2]))}


@pytest.mark.usual(2)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_forward_the_token(
    new_user: NewUser, simulator: Simulator, reached: set[tuple[Any, Any]], status: int
) -> None:
    with http_receiver() as receiver:
        simulator.gateway = lambda asked: Answer(status, headers={"Location": receiver.url})
        assert "Error (" in new_user(simulator).run("load", code=1).stderr
        simulator.gateway = None
        simulator.fault = lambda asked: Answer(status, headers={"Location": receiver.url})
        assert "Redirects are not followed" in new_user(simulator).run("load", code=1).stderr
        assert not receiver.asked.is_set()
    assert {port for _, port in reached} == {int(simulator.base_url.rpartition(":")[2])}


def test_an_endless_list_is_abandoned_and_reported(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avepoint_m365.api.pagination.MAX_JOBS", 300)
    tenant.put("FB1", -2, -1)
    numbers = iter(range(1_000_000))

    def endless(asked: Asked) -> Answer:
        time = "2026-02-27T00:00:00Z"
        jobs = [
            {"id": f"X{next(numbers)}", "state": "Finished", "startTime": time, "finishTime": time} for _ in range(50)
        ]
        return Answer(200, {"jobs": jobs, "nextLink": f"?pageIndex={next(numbers)}"})

    tenant.simulator.fault = endless
    tenant.load(exit_code=3, page_size=50, split_job_types=False)
    assert len(tenant.simulator.asked) < 100
    details = [row[0] for row in tenant.select("SELECT detail FROM load_audit WHERE detail IS NOT NULL")]
    assert any("more than 300 jobs in one list" in detail for detail in details)
    tenant.simulator.fault = None
    tenant.load()
    assert "FB1" in in_warehouse(tenant.file)


@pytest.mark.usual(3)
@pytest.mark.parametrize("total", [10**30, -1, 1, "1e309", "many", None, True, {}, 10**18])
def test_a_wrong_total_loses_no_job(tenant: Tenant, total: Any) -> None:
    for number in range(12):
        tenant.put(f"FB{number:02}", -number - 1, -number - 0.5)
    server = tenant.simulator
    server.fault = lambda asked: Answer(
        200, server.jobs.answer_jobs(asked).body | {"totalNumber": total, "totalCount": total}
    )
    tenant.load(page_size=5, exit_code=None)
    assert tenant.agrees()
    assert len(server.asked) < 250


def hostile_jobs(now: datetime) -> Iterator[SimulatedJob]:
    for number, text in enumerate(HOSTILE):
        start, finish = now - timedelta(hours=number + 2), now - timedelta(hours=number + 1)
        error = JobError(text, True, "javascript:alert(1)//" + text[:1000], 1)
        # The id is shorter: a text of a megabyte is not a valid id.
        yield SimulatedJob(f"FB{number}{text[:1000]}", 1, 1, None, start, finish, "Failed", 5, 5, 0, (error,))
        yield SimulatedJob(f"IB{number}", 7, 1, None, start, finish, text, 5, 0, 0, ())


def stored(truth: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a warehouse can hold: U+FFFD replaces characters that no warehouse stores."""

    def text(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(text(item) for item in value)
        return storable(value) if isinstance(value, str) else value

    return {storable(key): text(value) for key, value in truth.items()}


@pytest.mark.parametrize("destination", ["duckdb", "postgres", "filesystem"])
def test_hostile_texts_are_stored_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setattr("avepoint_m365._now", lambda: START)
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    with (
        Simulator(World(START)) as simulator,
        database_for(destination) as address,
    ):
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        simulator.world.put(*hostile_jobs(START))
        place = Warehouse(destination)
        assert place.load(simulator).exit_code == 0
        loaded = place.contents()
    expected = stored(on_server(simulator.world, False))
    assert loaded.keys() == expected.keys()
    assert {key: (row[:-1], [error[1:2] for error in row[-1]]) for key, row in loaded.items()} == {
        key: (row[:-1], [error[1:2] for error in row[-1]]) for key, row in expected.items()
    }


def commands(text: str) -> set[str]:
    """Return the characters of a text that control a terminal or change the direction of text."""
    return {item for item in text if not item.isprintable() and item != "\n"}


@pytest.fixture
def hostile_desk(simulator: Simulator, new_user: NewUser) -> Cli:
    simulator.world.put(*hostile_jobs(simulator.world.now))
    user = new_user(simulator)
    user.run("load")
    return user


def test_hostile_texts_command_no_terminal_and_no_spreadsheet(hostile_desk: Cli) -> None:
    user = hostile_desk
    for command in (
        ("status",),
        ("health",),
        ("check",),
        ("query", "SELECT left(value, 99) AS v FROM jobs__job_errors"),
    ):
        done = user.run(*command, code=None)
        assert commands(done.stdout) | commands(done.stderr) == set()
        assert len(done.stdout) + len(done.stderr) < 100_000
    rows = "SELECT id, state FROM jobs UNION ALL SELECT value, url FROM jobs__job_errors"
    csv.field_size_limit(2_000_000)
    result = list(csv.reader(io.StringIO(user.run("query", rows, "--format", "csv").stdout)))
    assert [cell for row in result for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")] == []
    assert "'" + SIGNS[2] in {row[0] for row in result}
    assert commands("".join(cell for row in result for cell in row)) <= {"\t", "\r"}
    assert any("[U+202E][U+2066]" in cell for row in result for cell in row)
    text = user.run("query", rows, "--format", "json").stdout
    assert commands(text) == set()
    assert {SIGNS[2], TURNING + "gnp.exe"} <= {row["id"] for row in json.loads(text)}


def test_hostile_texts_are_no_markup_and_no_lines_of_messages(hostile_desk: Cli, tmp_path: Path) -> None:
    user = hostile_desk
    with http_receiver() as receiver, mail_server(tmp_path, "pass") as server:
        channels: dict[str, dict[str, str | int | list[str]]] = {
            "chat": {"type": "slack", "url": receiver.url},
            "cards": {"type": "teams", "url": receiver.url},
            "hook": {"type": "webhook", "url": receiver.url, "secret": "any"},
            "desk": {"type": "ticket", "url": receiver.url, "secret": "any"},
            "post": {
                "type": "email", "host": "127.0.0.1", "port": server.port, "user": "robot", "password": "pass",
                "sender": "a@backup.example", "recipients": ["b@backup.example"], "ca_file": str(server.ca_file),
            },
        }  # fmt: skip
        for name, values in channels.items():
            for key, value in values.items():
                given = json.dumps(value) if isinstance(value, list) else str(value)
                user.environment[f"ALERTS__CHANNELS__{name}__{key}".upper()] = given
        user.run("health", "--notify", code=4)
        (mail,) = server.messages
    texts = [text for request in receiver.requests for text in texts_of(request.document)]
    texts += [str(mail["Subject"]), *mail.get_content().splitlines()]
    assert any("DROP TABLE" in text for text in texts)
    for text in texts:
        assert commands(text) == set()
        assert len(text) < 50_000
    chat = next(request.document["text"] for request in receiver.requests if "mrkdwn" in request.document)
    assert "<" not in chat
    assert not [line for line in chat.splitlines() if line.startswith("- fake")]


def texts_of(value: Any) -> Iterator[str]:
    """Yield all texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_of(part)


@pytest.mark.skipif(os.name == "nt", reason="Windows counts memory in another way")
def test_a_page_that_is_too_large_is_not_read_to_its_end(new_user: NewUser, simulator: Simulator) -> None:
    """Test the limit only; ``tests/chaos/test_large_page.py`` measures the memory for a page of a gigabyte."""
    user = new_user(simulator)
    user.set(max_page_mb="8")
    simulator.fault = lambda asked: bomb(400)
    code, message, _ = peak_megabytes(user, "load")
    assert (code, "sent a page of more than 8 MB" in message) == (1, True), message
