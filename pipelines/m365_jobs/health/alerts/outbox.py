"""Deliver the messages of the outbox in order, each at most once unless the receiver detects repetitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from m365_jobs.health.alerts.models import Delivery, DeliveryState
from m365_jobs.health.alerts.store import AlertStore
from m365_jobs.health.channels.base import Channel, DeliveryError

MAX_ATTEMPTS = 12
"""Attempts until a message is a dead letter: about two days with the back-off below."""

MAX_BACKOFF = timedelta(hours=6)
"""Longest wait between two attempts, unless the receiver requests a longer one."""

SENT_RETENTION = timedelta(days=30)
"""Time after which a sent message is deleted."""


def backoff(attempts: int) -> timedelta:
    """Return the wait after a number of failed attempts: none after the first, so the next run sends again."""
    return timedelta(0) if attempts <= 1 else min(MAX_BACKOFF, timedelta(minutes=2 ** (attempts - 1)))


def recover(store: AlertStore, channels: Mapping[str, Channel]) -> None:
    """Set the state of deliveries that were in flight when a process ended.

    The receiver may have them. A receiver that detects repetitions gets them again; for others they are
    ``uncertain``, since a message must not arrive twice.
    """
    for delivery in store.deliveries(DeliveryState.in_flight):
        channel = channels.get(delivery.channel)
        is_repeatable = channel is not None and channel.repeats_safely
        state = DeliveryState.pending if is_repeatable else DeliveryState.uncertain
        store.save_delivery(replace(delivery, state=state, error="the process ended while it sent the message"))


def deliver(store: AlertStore, channels: Sequence[Channel], clock: Callable[[], datetime]) -> list[Delivery]:
    """Send the due messages of each channel, and return those that were not accepted, with the error.

    Each channel keeps its order: after a failure its later messages wait. ``clock`` returns the time in UTC.
    """
    return [failure for channel in channels for failure in _deliver_to(channel, store, clock)]


def _deliver_to(channel: Channel, store: AlertStore, clock: Callable[[], datetime]) -> list[Delivery]:
    pending = [delivery for delivery in store.deliveries(DeliveryState.pending) if delivery.channel == channel.name]
    for delivery in pending:
        if delivery.next_attempt_at > clock():
            break
        # A crash while sending leaves it unknown whether the message arrived, so this state is committed before.
        store.save_delivery(replace(delivery, state=DeliveryState.in_flight))
        try:
            channel.send(delivery.id, delivery.body)
        except DeliveryError as error:
            failed = _after_failure(delivery, error, clock())
            store.save_delivery(failed)
            return [failed]
        store.save_delivery(replace(delivery, state=DeliveryState.sent, attempts=delivery.attempts + 1, error=None))
    return []


def _after_failure(delivery: Delivery, error: DeliveryError, now: datetime) -> Delivery:
    """Return a delivery with its next attempt, or as a dead letter."""
    attempts = delivery.attempts + 1
    wait = max(backoff(attempts), timedelta(seconds=error.retry_after))
    state = DeliveryState.dead if attempts >= MAX_ATTEMPTS else DeliveryState.pending
    return replace(delivery, state=state, attempts=attempts, next_attempt_at=now + wait, error=str(error))


def requeue(store: AlertStore) -> int:
    """Make dead and uncertain deliveries due again, and return their number."""
    deliveries = store.deliveries(DeliveryState.dead, DeliveryState.uncertain)
    now = datetime.now(UTC)
    for delivery in deliveries:
        store.save_delivery(replace(delivery, state=DeliveryState.pending, attempts=0, next_attempt_at=now))
    return len(deliveries)
