"""Test the next run after a kill at any step of a load into PostgreSQL or a lake, a copy to them, or an alert."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Simulator, World
from m365_jobs.load.copy import copy_tenants

from tests.chaos.test_crashes import START, TWICE, changes, options, simulator, world
from tests.support.kill_at_step import Outcome, load_in_child, run_in_child
from tests.support.receivers import HttpReceiver, http_receiver
from tests.support.saved_destination import SavedDestination
from tests.support.truth import in_warehouse, on_server
from tests.support.warehouse import Warehouse

__all__ = ["simulator", "world"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")

EVERY = os.environ.get("M365_JOBS_KILL_EVERY")
STRIDE = int(EVERY or "997")
"""Distance between two steps at which a load or a copy is killed; ``OFFSET`` is the first step."""
OFFSET = 200 % STRIDE + 1
STRIDE_OF_ALERTS = int(EVERY or "37")
WHICH = ("first", "later", "backfill") if EVERY else ("later",)


def look(place: SavedDestination) -> Outcome:
    """Return the rows of the warehouse, read in a child process.

    deltalake does not work in a fork of a process that used it, so the test process itself must not use it.
    """

    def read(messages: list[str]) -> tuple[int, dict[str, Any]]:
        warehouse = Warehouse(place.kind)
        doubled = [repr(row) for query in TWICE for row in warehouse.rows(query)]
        return 0, {"held": repr(sorted(warehouse.contents().items())), "doubled": doubled}

    seen = run_in_child(place.now, read)
    assert seen.code == 0, seen.messages
    return seen


@pytest.fixture(params=["postgres", "filesystem"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SavedDestination]:
    with SavedDestination.of(request.param, tmp_path, monkeypatch) as place:
        yield place


def into(place: SavedDestination, simulator: Simulator, backfill: bool = False) -> Any:
    given = options(simulator, START - timedelta(days=2) if backfill else None)
    given.destination = place.kind
    return given


@pytest.mark.parametrize("which", WHICH)
def test_a_load_killed_at_any_step_is_made_good_by_the_next(
    place: SavedDestination, simulator: Simulator, world: World, which: str
) -> None:
    if which != "first":
        before = load_in_child(place.now, into(place, simulator))
        assert before.code == 0, before.messages
        changes(world)
    place.save()
    load = into(place, simulator, which == "backfill")
    expected = load_in_child(place.now, load)
    assert expected.code == 0, expected.messages
    truth = repr(sorted(on_server(world, False).items()))
    assert look(place).cursors == {"held": truth, "doubled": []}
    tried = 0
    for step in range(OFFSET, expected.steps + 1, STRIDE):
        place.restore()
        if load_in_child(place.now, load, step).code is not None:
            continue  # The load ended before this step: the number of steps differs slightly between runs.
        tried += 1
        after = load_in_child(place.now, load)
        assert (step, after.code) == (step, 0), after.messages
        assert (step, look(place).cursors) == (step, {"held": truth, "doubled": []})
        assert (step, after.cursors) == (step, expected.cursors)
    print(f"{place.kind}, {which}: {tried} of {expected.steps} steps")
    assert tried


def test_a_copy_killed_at_any_step_is_made_good_by_the_next(
    place: SavedDestination, simulator: Simulator, world: World
) -> None:
    assert load_in_child(place.now, options(simulator)).code == 0

    def copy(messages: list[str]) -> tuple[int, dict[str, Any]]:
        copy_tenants(place.kind, None, messages.append)
        return 0, {}

    place.save()
    expected = run_in_child(place.now, copy)
    assert expected.code == 0, expected.messages
    truth = repr(sorted(on_server(world, False).items()))
    assert look(place).cursors == {"held": truth, "doubled": []}
    tried = 0
    for step in range(OFFSET, expected.steps + 1, STRIDE):
        place.restore()
        if run_in_child(place.now, copy, step).code is not None:
            continue
        tried += 1
        origin = in_warehouse(place.now / "m365_warehouse.duckdb")
        assert repr(sorted(origin.items())) == repr(sorted(on_server(world, False).items())), step
        after = run_in_child(place.now, copy)
        assert (step, after.code) == (step, 0), after.messages
        assert (step, look(place).cursors) == (step, {"held": truth, "doubled": []})
    print(f"copy to {place.kind}: {tried} of {expected.steps} steps")
    assert tried
    # The next load uses the copy.
    changes(world)
    load = load_in_child(place.now, into(place, simulator))
    assert load.code == 0, load.messages
    assert look(place).cursors["held"] == repr(sorted(on_server(world, False).items()))


@contextmanager
def channels(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, HttpReceiver]]:
    """Start two receivers: a webhook, which detects repetitions by their id, and Slack, which does not."""
    with http_receiver() as webhook, http_receiver() as slack:
        monkeypatch.setenv("ALERTS__CHANNELS__HOOK__TYPE", "webhook")
        monkeypatch.setenv("ALERTS__CHANNELS__HOOK__URL", webhook.url)
        monkeypatch.setenv("ALERTS__CHANNELS__HOOK__SECRET", "any")
        monkeypatch.setenv("ALERTS__CHANNELS__CHAT__TYPE", "slack")
        monkeypatch.setenv("ALERTS__CHANNELS__CHAT__URL", slack.url)
        yield {"hook": webhook, "chat": slack}


def notify(messages: list[str]) -> tuple[int, dict[str, Any]]:
    """Do the same as ``health --notify``; return the open alerts and the undelivered messages."""
    from m365_jobs.health.alerts.notify import notify
    from m365_jobs.health.alerts.store import read_open_alerts
    from m365_jobs.health.channels.configured import configured_channels
    from m365_jobs.health.evaluate import evaluate
    from m365_jobs.warehouse.target import open_warehouse

    target = open_warehouse("duckdb")
    notify(evaluate(target), target, (), configured_channels())
    alerts, undelivered = read_open_alerts(target)
    return 0, {
        "alerts": sorted(alert.id for alert in alerts),
        "undelivered": [(message.channel, message.state, message.body) for message in undelivered],
    }


def test_alerts_killed_at_any_step_are_told_once_or_named_as_uncertain(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    assert load_in_child(before, options(simulator)).code == 0
    sure = uncertain = 0
    with channels(monkeypatch) as receivers:
        undisturbed = shutil.copytree(before, tmp_path / "undisturbed")
        expected = run_in_child(undisturbed, notify)
        assert expected.code == 0, expected.messages
        assert expected.cursors["undelivered"] == []
        messages = {name: told_by(receiver) for name, receiver in receivers.items()}
        assert all(messages.values())
        for step in range(1, expected.steps + 1, STRIDE_OF_ALERTS):
            folder = shutil.copytree(before, tmp_path / "killed")
            for receiver in receivers.values():
                receiver.requests.clear()
            if run_in_child(folder, notify, step).code is not None:
                shutil.rmtree(folder)
                continue
            after = run_in_child(folder, notify)
            assert (step, after.code) == (step, 0), after.messages
            assert (step, after.cursors["alerts"]) == (step, expected.cursors["alerts"])
            # The receiver that detects repetitions has each message exactly once, by its id.
            assert (step, told_by(receivers["hook"])) == (step, messages["hook"])
            # The other receiver has each message once, or health reports the message as uncertain.
            chat, unsure = told_by(receivers["chat"]), after.cursors["undelivered"]
            assert {(channel, state) for channel, state, _ in unsure} <= {("chat", "uncertain")}, step
            assert (step, len(receivers["chat"].requests)) == (step, len(chat))
            assert (step, chat <= messages["chat"] and len(chat) + len(unsure) >= len(messages["chat"])) == (step, True)
            sure, uncertain = sure + (not unsure), uncertain + bool(unsure)
            again = run_in_child(folder, notify)
            assert (step, len(receivers["chat"].requests), again.code) == (step, len(chat), 0)
            shutil.rmtree(folder)
    print(f"alerts: {sure} of {expected.steps} steps sure, {uncertain} named as uncertain")
    assert sure


def told_by(receiver: HttpReceiver) -> set[str]:
    """Return the alerts in the messages of a receiver; messages with the same id count once."""
    results: dict[str, str] = {}
    for number, request in enumerate(receiver.requests):
        names = {name.lower(): value for name, value in request.headers.items()}
        document = request.document
        alerts = [document["alert"]["id"]] if "alert" in document else lines_of(document["text"])
        results[names.get("webhook-id", str(number))] = f"{document.get('event')} {alerts}"
    return set(results.values())


def lines_of(text: str) -> list[str]:
    """Return kind and partition of each line of a text message, without the rest, which contains ages that change."""
    return [line.split(":")[0] for line in text.splitlines() if line.startswith("•")]
