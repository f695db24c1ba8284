"""Test the messages of a run in which all of many tenants fail at once."""

import json
from datetime import UTC, datetime

import pytest
from m365_jobs.health.alerts.models import Alert, AlertFinding, Event, EventKind
from m365_jobs.health.channels.base import Channel, ChannelSettings
from m365_jobs.health.channels.email import Email
from m365_jobs.health.channels.slack import Slack
from m365_jobs.health.channels.teams import Teams

NOW = datetime(2026, 12, 1, tzinfo=UTC)
VALUES = {"url": "https://noc.contoso.com/hook", "security": "starttls", "redact": True}
LIMITS = {Slack: 40_000, Teams: 28_000}


def event(tenant: str, service: str, kind: EventKind, text: str) -> Event:
    finding = AlertFinding("failing", "problem", tenant, None, service, text, 1)
    return Event(kind, Alert(finding.alert_id, finding, NOW, NOW, 1, NOW))


def storm(names: list[str], text: str = "2 backups in a row did not succeed") -> list[Event]:
    services = ("exchange_online", "onedrive", "teams")
    return [event(name, service, kind, text) for kind in EventKind for name in names for service in services]


@pytest.mark.parametrize("kind", [Slack, Teams])
@pytest.mark.parametrize("name", ["cust{:03}", "日本支社の非常に長い名前の顧客{:03}", "a_long_[name]_*" * 8 + "{:03}"])
@pytest.mark.parametrize("text", ["2 backups in a row did not succeed", "日本語の_エラー*" * 120])
def test_a_message_about_all_tenants_is_one_that_the_receiver_accepts(
    kind: type[Channel], name: str, text: str
) -> None:
    channel = kind(ChannelSettings("noc", VALUES))
    events = channel.events(storm([name.format(number) for number in range(200)], text))
    body = channel.body("id", events, healthy=False)
    assert len(body.encode()) < LIMITS[kind]
    json.loads(body)


def test_the_tenants_of_events_without_a_line_are_named() -> None:
    channel = Email(ChannelSettings("mail", VALUES))
    names = [f"cust{number:03}" for number in range(50)]
    content = json.loads(channel.body("id", [item for item in storm(names) if item.kind is EventKind.opened], False))
    assert content["subject"] == "Microsoft 365 backups: UNHEALTHY (150 new)"
    # Ten tenants have lines; 30 of the other 40 are named.
    line = next(line for line in content["text"].splitlines() if line.startswith("... and "))
    assert line.startswith("... and 120 more of cust010 (3), cust011 (3),")
    assert line.endswith("cust039 (3), and 10 more tenants: run m365-jobs health")


def test_the_default_tenant_is_not_named() -> None:
    channel = Email(ChannelSettings("mail", VALUES))
    content = json.loads(channel.body("id", storm(["default"] * 20), healthy=False))
    assert "... and 30 more: run m365-jobs health" in content["text"]
