"""What Slack is told: what changed, once, and nothing that is secret."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from avepoint_simulator import Simulator
from avepoint_simulator.tenant import FAILED, FINISHED

from tests.support.backups import job, serving
from tests.support.cli import Desk

Sit = Callable[[Simulator], Desk]

SECRET = "T000-very-secret"


@dataclass
class Slack:
    """An incoming webhook on loopback that keeps what it is sent."""

    hook: str = ""
    status: int = 200
    """What it answers; 0 is nothing at all."""
    asked: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    messages: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The last message."""
        return self.messages[-1].splitlines()


@contextmanager
def listening() -> Iterator[Slack]:
    slack = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            slack.asked.set()
            if not slack.status:
                slack.gone.wait()
                return
            if slack.status == 200:
                slack.messages.append(body["text"])
            self.send_response(slack.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        slack.hook = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield slack
        finally:
            slack.gone.set()
            server.shutdown()
            thread.join()


def test_slack_is_told_what_changed_and_each_thing_once(desk: Sit) -> None:
    restore = job("onedrive", 5, FAILED, kind="restore")
    late = job("teams", 40)
    with serving(late, restore, job("onedrive", 3)) as simulator, listening() as slack:
        user = desk(simulator)
        user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.hook
        user.run("load")
        user.run("health", "--slack", code=4)
        first = slack.lines()
        assert first[:2] == ["*Microsoft 365 backups: UNHEALTHY*", "New:"]
        assert [line.split(":")[0] for line in first[2:]] == ["• *late* teams", "• *failed restores* onedrive"]
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 1
        simulator.world.change(late.id, finish=simulator.world.now)
        simulator.world.put(job("power_bi", 2, "Stuck <!channel>"))
        user.run("load")
        # Slack is down: what could not be told is told the next time, and the address is not shown.
        slack.status = 500
        said = user.run("health", "--slack", code=1)
        assert "Slack did not take the message (it answered 500)" in said.stderr
        assert SECRET not in said.stderr + said.stdout
        slack.status = 200
        user.run("health", "--slack", code=4)
        second = slack.lines()
        assert second[0] == "*Microsoft 365 backups: UNHEALTHY*"
        assert [line.split(" (")[0].split(":")[0] for line in second[1:]] == [
            *("New", "• *never* power_bi", "• *unknown state* state 'Stuck &lt;!channel&gt;'"),
            *("Over", "• *late* teams"),
        ]
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 2


def test_health_of_one_tenant_neither_tells_of_the_others_nor_forgets_them(desk: Sit) -> None:
    with serving(job("teams", 40)) as simulator, listening() as slack:
        user = desk(simulator)
        user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.hook
        for tenant in ("contoso", "fabrikam"):
            user.set(tenant=tenant)
            user.run("load")
        user.run("health", "--slack", "--tenant", "contoso", code=4)
        assert "contoso/teams" in slack.messages[-1]
        user.run("health", "--slack", code=4)
        assert "contoso" not in slack.messages[-1]
        assert "fabrikam/teams" in slack.messages[-1]
        user.run("health", "--slack", "--tenant", "contoso", code=4)
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 2


def test_slack_that_cannot_be_reached_or_is_not_configured_is_one_paragraph(desk: Sit) -> None:
    with serving(job("teams", 3, FINISHED)) as simulator:
        user = desk(simulator)
        assert "runtime.slack_incoming_hook" in user.run("health", "--slack", code=2).stderr
        with listening() as slack:
            user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.hook
        said = user.run("health", "--slack", code=1)
        assert "Slack did not take the message (ConnectionError)" in said.stderr
        assert SECRET not in said.stderr


def test_a_slack_that_never_answers_holds_nobody_up(desk: Sit) -> None:
    with serving(job("teams", 40)) as simulator, listening() as slack:
        user = desk(simulator)
        user.environment |= {"RUNTIME__SLACK_INCOMING_HOOK": slack.hook, "RUNTIME__REQUEST_TIMEOUT": "2"}
        user.run("load")
        slack.status = 0
        said = user.run("health", "--slack", code=1)
        assert slack.asked.is_set()
        assert "Slack did not take the message (no answer within 2 s)" in said.stderr
        assert SECRET not in said.stderr + said.stdout
        slack.status = 200
        user.run("health", "--slack", code=4)
        assert slack.lines()[0] == "*Microsoft 365 backups: UNHEALTHY*"
