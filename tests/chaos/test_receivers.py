"""Test alerts whose receiver is down, never responds, or gets them from a process that is killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from avepoint_simulator.tenant import FINISHED

from tests.integration.m365_jobs.test_alerts import KEY, configure
from tests.support.backups import job, serving
from tests.support.cli import Cli, NewUser
from tests.support.receivers import SECRET, HttpReceiver, http_receiver


def test_an_unreachable_or_unconfigured_slack_is_reported_in_one_paragraph(new_user: NewUser) -> None:
    with serving(job("teams", 3, FINISHED)) as simulator:
        user = new_user(simulator)
        assert "runtime.slack_incoming_hook" in user.run("health", "--slack", code=2).stderr
        with http_receiver() as slack:
            user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.url
        message = user.run("health", "--slack", code=1)
        assert "Slack did not accept the message (ConnectionError)" in message.stderr
        assert SECRET not in message.stderr


def test_a_slack_that_never_responds_does_not_block(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as slack:
        user = new_user(simulator)
        user.environment |= {"RUNTIME__SLACK_INCOMING_HOOK": slack.url, "RUNTIME__REQUEST_TIMEOUT": "2"}
        user.run("load")
        slack.status = 0
        message = user.run("health", "--slack", code=1)
        assert slack.asked.is_set()
        assert "Slack did not accept the message (no answer within 2 s)" in message.stderr
        assert SECRET not in message.stderr + message.stdout
        slack.status = 200
        user.run("health", "--slack", code=4)
        assert slack.lines()[0] == "*Microsoft 365 backups: UNHEALTHY*"


def kill_while_sending(user: Cli, receiver: HttpReceiver) -> None:
    """End health by SIGKILL after the receiver has the message and before it answers."""
    receiver.status = 0
    receiver.asked.clear()
    command = [sys.executable, "-m", "m365_jobs", "health", "--notify"]
    process = subprocess.Popen(command, cwd=user.folder, env=user.environment, stdout=subprocess.DEVNULL)
    assert receiver.asked.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    receiver.status = 200


@pytest.mark.usual(1)
@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_after_a_crash_no_message_arrives_twice(new_user: NewUser, kind: str) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        settings = {"url": receiver.url} | ({"secret": KEY} if kind == "webhook" else {})
        configure(user, noc={"type": kind, **settings})
        user.run("load")
        kill_while_sending(user, receiver)
        user.run("health", "--notify", code=4)
        if kind == "webhook":
            # The id is the same, so the receiver can recognise the repeated message.
            assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
            assert len({request.body for request in receiver.requests}) == 1
        else:
            assert len(receiver.requests) == 1
            assert "1 alert message of noc: may not have arrived" in " ".join(user.run("status").stdout.split())
            user.run("alerts", "--resend")
            user.run("health", "--notify", code=4)
            assert len(receiver.requests) == 2


def test_messages_wait_while_a_receiver_is_down_and_end_as_dead_letters(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        receiver.status = 503
        for code in (1, 1, 4):
            # The third run comes before the next attempt is due.
            user.run("health", "--notify", code=code)
        (waiting,) = json.loads(user.run("status", "--format", "json").stdout)["undelivered"]
        assert (waiting["state"], waiting["attempts"]) == ("pending", 2)
        assert SECRET not in waiting["error"]
        # After the last attempt no run sends it by itself.
        (file,) = Path(user.environment["DLT_DATA_DIR"]).rglob("*.alerts.sqlite")
        with closing(sqlite3.connect(file)) as store, store:
            store.execute("UPDATE deliveries SET attempts = 11, next_attempt_at = created_at")
        result = user.run("health", "--notify", code=1)
        assert result.stderr.endswith("No later run sends the message of webhook. Run: m365-jobs alerts --resend.\n")
        assert "A later run" not in result.stderr
        assert json.loads(user.run("status", "--format", "json").stdout)["undelivered"][0]["state"] == "dead"
        user.run("health", "--notify", code=4)
        receiver.status = 200
        user.run("alerts", "--resend")
        user.run("health", "--notify", code=4)
        assert json.loads(user.run("status", "--format", "json").stdout)["undelivered"] == []
