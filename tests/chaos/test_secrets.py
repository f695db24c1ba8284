"""Test that the program writes no secret, at any log level and with any failure."""

import sys
from pathlib import Path

import pytest
from avepoint_simulator import Answer, Asked, Simulator

from tests.support import in_process
from tests.support.cli import Cli, make_user
from tests.support.receivers import http_receiver
from tests.support.traces import files_under, leaks, spellings

SECRETS = {
    "client secret": "Cl1ent+s3cret/with=signs&more",
    "webhook secret": "Webh00k secret: %2B \\ 'quoted'",
    "chat address": "T0123/B4567/chatTokenOfSlack89",
    "mail password": "m4il-p@ssw0rd#long",
    "database password": "Datab4se?p:assword!",
    "proxy password": "Pr0xyPassw0rdInAnAddress",
}

CONFIGURATION = """
[sources.avepoint_m365.credentials]
client_id = "simulated-client"
client_secret = {client secret}
[destination.postgres.credentials]
host = "127.0.0.1"
port = 9
username = "loader"
database = "backups"
password = {database password}
[alerts.channels.hook]
type = "webhook"
url = "http://127.0.0.1:9/hook/T0123/B4567/chatTokenOfSlack89"
secret = {webhook secret}
[alerts.channels.slack]
url = "http://127.0.0.1:9/services/T0123/B4567/chatTokenOfSlack89"
[alerts.channels.mail]
type = "email"
host = "127.0.0.1"
port = 9
user = "robot"
password = {mail password}
sender = "robot@backup.example"
recipients = ["admin@backup.example"]
"""


@pytest.fixture
def user(tmp_path: Path, simulator: Simulator) -> Cli:
    """Return a user with all kinds of secrets, and with the most verbose settings."""
    first = make_user(tmp_path, simulator)
    for name in ("ID", "SECRET"):
        first.environment.pop(f"SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_{name}")
    simulator.client_secret = SECRETS["client secret"]
    text = CONFIGURATION
    for name, secret in SECRETS.items():
        text = text.replace(f"{{{name}}}", '"' + secret.replace("\\", "\\\\") + '"')
    (first.folder / ".dlt").mkdir()
    (first.folder / ".dlt" / "secrets.toml").write_text(text)
    first.environment["RUNTIME__LOG_LEVEL"] = "DEBUG"
    first.environment["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0.001"
    first.environment["HTTPS_PROXY"] = f"http://loader:{SECRETS['proxy password']}@127.0.0.1:9"
    return first


def test_nothing_that_is_written_while_everything_fails_holds_a_secret(user: Cli, simulator: Simulator) -> None:
    tokens: dict[str, str] = {}
    processes: list[bytes] = []
    grant = simulator.token

    def granted(form: dict[str, str]) -> Answer:
        answer = grant(form)
        tokens[f"token {len(tokens)}"] = answer.body["access_token"]
        return answer

    def echo(asked: Asked) -> Answer | None:
        processes.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        message = f"Bearer {tokens[max(tokens)]} of {SECRETS['client secret']} may not"
        return (Answer(403, {"message": message}), Answer(500, message))[asked.number % 2]

    simulator.token = granted  # type: ignore[method-assign]
    message = []

    def run(*arguments: str, code: int | None = None) -> None:
        # ``user.run`` cannot be used here: --verbose shows tracebacks.
        done = in_process.run(user.folder, user.environment, arguments)
        assert code in (None, done.returncode), done.stderr
        message.append((" ".join(arguments), (done.stdout + done.stderr).encode()))

    run("load", "--verbose", code=0)
    simulator.fault = echo
    run("load", "--verbose", code=1)
    run("check", "--all-tenants")
    simulator.fault = None
    run("load", "--verbose", "--destination", "postgres", code=1)
    run("check", "--destination", "postgres")
    run("health", "--verbose", "--notify")
    run("status", "--verbose", "--format", "json")
    run("schedule", "--verbose")
    run("query", "SELECT * FROM load_runs", "--format", "csv")
    run("report", "report.html")
    user.environment.pop("SOURCES__AVEPOINT_M365__BASE_URL")
    # The real host of AvePoint, through a proxy that does not exist.
    run("load", "--verbose", code=1)
    simulator.client_secret = "another"
    run("load", "--verbose", code=1)
    assert any("Traceback" in text.decode() for _, text in message), "the most verbose level shows tracebacks"
    secrets = SECRETS | tokens
    config = user.folder / ".dlt" / "secrets.toml"
    written = [*message, *files_under(user.folder.parent, [config])]
    if sys.platform == "linux":
        assert processes
        written += [("a process list", text) for text in processes]
    assert len(written) > 20
    assert leaks(secrets, written) == []


def test_the_search_finds_each_spelling_of_a_secret(tmp_path: Path) -> None:
    secret = SECRETS["client secret"]
    for number, form in enumerate(spellings(secret)):
        (tmp_path / str(number)).write_bytes(b"before " + form + b" after")
    result = leaks({"it": secret}, files_under(tmp_path))
    assert len(result) == len(list(spellings(secret)))


def test_a_receiver_sees_no_secret_in_the_body_of_a_message(user: Cli, simulator: Simulator) -> None:
    config = user.folder / ".dlt" / "secrets.toml"
    with http_receiver() as receiver:
        text = config.read_text()
        for path in ("hook", "services"):
            text = text.replace(f"http://127.0.0.1:9/{path}/T0123/B4567/chatTokenOfSlack89", receiver.url)
        config.write_text(text.partition("[alerts.channels.mail]")[0])
        user.run("load")
        user.run("health", "--notify", code=4)
        assert receiver.requests
        assert leaks(SECRETS, [("a message", request.body.encode()) for request in receiver.requests]) == []
