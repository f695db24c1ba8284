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

MAX_FAILURES = 3
"""Failed messages of a channel after which the others wait for the next run."""

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

    Messages about the same subject keep their order: after a failure the later ones wait. ``clock`` returns the time
    in UTC.
    """
    return [failure for channel in channels for failure in _deliver_to(channel, store, clock)]


def _deliver_to(channel: Channel, store: AlertStore, clock: Callable[[], datetime]) -> list[Delivery]:
    failures: list[Delivery] = []
    for messages in _by_subject(channel, store):
        # A receiver that is down would cost a timeout for each subject.
        if len(failures) == MAX_FAILURES or store.is_paused(channel.name, clock()):
            break
        for delivery in messages:
            if delivery.next_attempt_at > clock():
                break
            failed = _attempt(channel, store, delivery, clock)
            if failed:
                failures.append(failed)
                break
    return failures


def _by_subject(channel: Channel, store: AlertStore) -> list[list[Delivery]]:
    """Return the pending messages of a channel by subject, those with the fewest failed attempts first.

    So a message that the receiver never accepts does not hold up those of other tenants.
    """
    subjects: dict[str, list[Delivery]] = {}
    for delivery in store.deliveries(DeliveryState.pending):
        if delivery.channel == channel.name:
            subjects.setdefault(channel.subject(delivery.body), []).append(delivery)
    return sorted(subjects.values(), key=lambda messages: messages[0].attempts)


def _attempt(channel: Channel, store: AlertStore, delivery: Delivery, clock: Callable[[], datetime]) -> Delivery | None:
    """Send a message and store its state; return it with the error if it was not accepted."""
    # A crash while sending leaves it unknown whether the message arrived, so this state is committed before.
    store.save_delivery(replace(delivery, state=DeliveryState.in_flight))
    try:
        channel.send(delivery.id, delivery.body)
    except DeliveryError as error:
        failed = _after_failure(channel, delivery, error, clock())
        store.save_delivery(failed)
        if error.retry_after:
            store.save_pause(channel.name, clock() + timedelta(seconds=error.retry_after))
        return failed
    store.save_delivery(replace(delivery, state=DeliveryState.sent, attempts=delivery.attempts + 1, error=None))
    return None


def _after_failure(channel: Channel, delivery: Delivery, error: DeliveryError, now: datetime) -> Delivery:
    """Return a delivery with its next attempt, or as a dead letter.

    A refused message of all events would hold up all later ones. One about a single alert holds up its own only, and
    may be accepted later, once its tenant is known to the receiver.
    """
    attempts = delivery.attempts + 1
    wait = max(backoff(attempts), timedelta(seconds=error.retry_after))
    is_dead = attempts >= MAX_ATTEMPTS or (error.is_refused and not channel.one_event_per_message)
    state = DeliveryState.dead if is_dead else DeliveryState.pending
    return replace(delivery, state=state, attempts=attempts, next_attempt_at=now + wait, error=str(error))


def requeue(store: AlertStore) -> int:
    """Make dead and uncertain deliveries due again, and return their number."""
    deliveries = store.deliveries(DeliveryState.dead, DeliveryState.uncertain)
    now = datetime.now(UTC)
    for delivery in deliveries:
        store.save_delivery(replace(delivery, state=DeliveryState.pending, attempts=0, next_attempt_at=now))
    return len(deliveries)
