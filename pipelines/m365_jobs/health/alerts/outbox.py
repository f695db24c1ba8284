"""Deliver the messages of the outbox, in order, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from m365_jobs.health.alerts.models import Delivery, DeliveryState
from m365_jobs.health.alerts.store import AlertStore
from m365_jobs.health.channels.base import Channel, DeliveryError

MAX_ATTEMPTS = 12
"""With the back-off below, the last attempt is about two days after the first."""

MAX_BACKOFF = timedelta(hours=6)

KEEP_SENT = timedelta(days=30)


def backoff(attempts: int) -> timedelta:
    """Return the wait after so many failed attempts. The second attempt is due at once: the next run makes it."""
    return timedelta(0) if attempts <= 1 else min(MAX_BACKOFF, timedelta(minutes=2 ** (attempts - 1)))


def recover(store: AlertStore, channels: Mapping[str, Channel]) -> None:
    """Decide about deliveries that were in flight when a process ended.

    The receiver may have them. A receiver that recognizes a repetition gets them again; for others they are
    ``uncertain``, since a message must not arrive twice.
    """
    for delivery in store.deliveries(DeliveryState.in_flight):
        channel = channels.get(delivery.channel)
        repeat = channel is not None and channel.repeats_safely
        state = DeliveryState.pending if repeat else DeliveryState.uncertain
        store.add(replace(delivery, state=state, error="the process ended while it sent the message"))


def deliver(store: AlertStore, channels: Sequence[Channel], clock: Callable[[], datetime]) -> list[str]:
    """Send what is due, and return one text for each message that was not accepted.

    A channel keeps its order: after a failure its later messages wait.
    """
    return [failure for channel in channels for failure in _deliver_to(channel, store, clock)]


def _deliver_to(channel: Channel, store: AlertStore, clock: Callable[[], datetime]) -> list[str]:
    waiting = [item for item in store.deliveries(DeliveryState.pending) if item.channel == channel.name]
    for delivery in waiting:
        if delivery.next_attempt_at > clock():
            break
        # Committed before the first byte leaves: after a crash the message counts as sent, or as uncertain.
        store.add(replace(delivery, state=DeliveryState.in_flight))
        try:
            channel.send(delivery.id, delivery.body)
        except DeliveryError as error:
            store.add(_failed(delivery, error, clock()))
            return [str(error)]
        store.add(replace(delivery, state=DeliveryState.sent, attempts=delivery.attempts + 1, error=None))
    return []


def _failed(delivery: Delivery, error: DeliveryError, now: datetime) -> Delivery:
    attempts = delivery.attempts + 1
    wait = max(backoff(attempts), timedelta(seconds=error.retry_after))
    state = DeliveryState.dead if attempts >= MAX_ATTEMPTS else DeliveryState.pending
    return replace(delivery, state=state, attempts=attempts, next_attempt_at=now + wait, error=str(error))


def requeue(store: AlertStore) -> int:
    """Make dead and uncertain deliveries due again, and return how many there are."""
    deliveries = store.deliveries(DeliveryState.dead, DeliveryState.uncertain)
    now = datetime.now(UTC)
    for delivery in deliveries:
        store.add(replace(delivery, state=DeliveryState.pending, attempts=0, next_attempt_at=now))
    return len(deliveries)
