"""Test maintenance windows, back-off and redaction of alerts."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from avepoint_m365.exceptions import ConfigurationError
from m365_jobs.health.alerts.maintenance import parse_maintenance_window
from m365_jobs.health.alerts.models import Alert, AlertFinding, Event, EventKind
from m365_jobs.health.alerts.outbox import MAX_ATTEMPTS, MAX_BACKOFF, backoff
from m365_jobs.health.channels.digest import event_line
from m365_jobs.health.channels.redact import redact


@pytest.mark.parametrize(
    ("window", "moment", "holds"),
    [
        ("2026-12-24T18:00/2026-12-26T06:00", "2026-12-25T00:00", True),
        ("2026-12-24T18:00/2026-12-26T06:00", "2026-12-26T06:00", False),
        # This date is a Saturday.
        ("sat 22:00-06:00", "2026-11-28T21:30", True),
        ("sat 22:00-06:00", "2026-11-29T04:30", True),
        ("sat 22:00-06:00", "2026-11-28T04:30", False),
        ("sat 22:00-06:00", "2026-11-29T05:30", False),
        ("daily 01:00-03:00", "2026-11-28T00:30", True),
        ("daily 01:00-03:00", "2026-11-28T02:30", False),
        ("daily 00:00-00:00", "2026-11-28T02:30", True),
    ],
)
def test_a_window_holds_in_the_time_zone_of_the_tenant(window: str, moment: str, holds: bool) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert parse_maintenance_window(window, "alerts.maintenance").contains(at, ZoneInfo("Europe/Berlin")) is holds


@pytest.mark.parametrize("text", ["sat", "sat 25:00-26:00", "2026-12-26/2026-12-24", "never/ever"])
def test_an_invalid_window_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"alerts\.maintenance"):
        parse_maintenance_window(text, "alerts.maintenance")


def test_attempts_grow_apart_and_span_a_weekend_day() -> None:
    waits = [backoff(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(0), MAX_BACKOFF)
    assert timedelta(days=1) > sum(waits, timedelta(0)) > timedelta(hours=12)


def test_mailboxes_and_urls_are_redacted_and_nothing_else() -> None:
    text = "O'Brien's mailbox (ada.l@sub.contoso.com) at https://x.test/a?b=1 or contoso-my.sharepoint.com/personal/ada"
    assert redact(text) == "O'Brien's mailbox ([mailbox]) at [url] or [url]"
    assert redact("2 backups in a row @ 14:00, 3.5 h") == "2 backups in a row @ 14:00, 3.5 h"


# A search from each character of such a text would need hours.
@pytest.mark.parametrize("text", ["a" * 1_000_000, "a-" * 500_000], ids=["letters", "dashes"])
def test_a_text_of_a_megabyte_without_a_blank_is_redacted(text: str) -> None:
    assert redact(f"{text} ada@contoso.com") == f"{text} [mailbox]"


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        (EventKind.opened, "the load failed.", "the load failed. Follow its message, then run m365-jobs check."),
        (EventKind.opened, "the load failed", "the load failed. Follow its message, then run m365-jobs check."),
        (EventKind.closed, "the load failed.", "the load failed."),
    ],
)
def test_a_new_alert_has_the_action_after_a_single_full_stop(kind: EventKind, text: str, line: str) -> None:
    finding, now = AlertFinding("failed_load", "warning", "contoso", None, None, text), datetime.now(UTC)
    alert = Alert("1a2b3c4d", finding, now, now, 1)
    assert event_line(Event(kind, alert)) == f"contoso: {line} [alert 1a2b3c4d]"
