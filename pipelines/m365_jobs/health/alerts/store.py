"""Store alerts, announcements and the outbox in one SQLite database of the state folder. Times are UTC.

One transaction writes an alert's change together with its deliveries. A crash leaves both or neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.health.alerts.models import Alert, AlertFinding, Announcement, Delivery, DeliveryState, iso_time
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.target import Target, fingerprint

SCHEMA_VERSION = 2
"""Version of the tables below, as SQLite's ``user_version``; 0 is an empty file or one without a version."""

LOCK_TIMEOUT_SECONDS = 600.0
"""Seconds to wait for another process that writes alerts and sends messages."""

READ_TIMEOUT_SECONDS = 30
"""Seconds that a reader waits for a transaction of another process."""

TABLES = f"""
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS alerts (
    warehouse TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL, tenant TEXT, location TEXT,
    object_type TEXT, text TEXT NOT NULL, measure REAL NOT NULL, first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL, evaluations INTEGER NOT NULL, opened_at TEXT, closed_at TEXT, owner TEXT,
    acknowledged_until TEXT, note TEXT, PRIMARY KEY (warehouse, id)
);
CREATE TABLE IF NOT EXISTS announcements (
    warehouse TEXT NOT NULL, alert_id TEXT NOT NULL, channel TEXT NOT NULL, severity TEXT NOT NULL,
    measure REAL NOT NULL, announced_at TEXT NOT NULL, PRIMARY KEY (warehouse, alert_id, channel)
);
CREATE TABLE IF NOT EXISTS deliveries (
    warehouse TEXT NOT NULL, id TEXT PRIMARY KEY, channel TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, created_at TEXT NOT NULL, next_attempt_at TEXT NOT NULL, error TEXT
);
CREATE TABLE IF NOT EXISTS pauses (
    warehouse TEXT NOT NULL, channel TEXT NOT NULL, until TEXT NOT NULL, PRIMARY KEY (warehouse, channel)
);
"""

ALERT_COLUMNS = (
    "id, kind, severity, tenant, location, object_type, text, measure, first_seen_at, last_seen_at, evaluations, "
    "opened_at, closed_at, owner, acknowledged_until, note"
)

DELIVERY_COLUMNS = "id, channel, body, state, attempts, created_at, next_attempt_at, error"


class AlertStore:
    """Read and write the alerts of one warehouse."""

    def __init__(self, connection: sqlite3.Connection, warehouse_key: str) -> None:
        self._connection = connection
        self._warehouse = warehouse_key

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the block together, or none if it raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def alerts(self) -> list[Alert]:
        """Return all stored alerts, oldest first."""
        rows = self._connection.execute(
            f"SELECT {ALERT_COLUMNS} FROM alerts WHERE warehouse = ? ORDER BY first_seen_at, id", (self._warehouse,)
        )
        return [_alert(row) for row in rows]

    def save_alert(self, alert: Alert) -> None:
        """Insert or replace an alert."""
        finding = alert.finding
        values = (
            *(alert.id, finding.kind, finding.severity, finding.tenant, finding.location, finding.object_type),
            *(finding.text, finding.measure, iso_time(alert.first_seen_at), iso_time(alert.last_seen_at)),
            *(alert.evaluations, iso_time(alert.opened_at), iso_time(alert.closed_at)),
            *(alert.owner, iso_time(alert.acknowledged_until), alert.note),
        )
        placeholders = ", ".join("?" * (len(values) + 1))
        self._connection.execute(
            f"INSERT OR REPLACE INTO alerts (warehouse, {ALERT_COLUMNS}) VALUES ({placeholders})",
            (self._warehouse, *values),
        )

    def delete_alert(self, alert_id: str) -> None:
        """Remove an alert and its announcements."""
        key = (self._warehouse, alert_id)
        self._connection.execute("DELETE FROM announcements WHERE warehouse = ? AND alert_id = ?", key)
        self._connection.execute("DELETE FROM alerts WHERE warehouse = ? AND id = ?", key)

    def announcements(self, channel: str) -> dict[str, Announcement]:
        """Return the last announcements of a channel, by the alert's id."""
        rows = self._connection.execute(
            "SELECT alert_id, severity, measure, announced_at FROM announcements WHERE warehouse = ? AND channel = ?",
            (self._warehouse, channel),
        )
        return {row[0]: Announcement(row[1], row[2], datetime.fromisoformat(row[3])) for row in rows}

    def announced_alerts(self) -> frozenset[str]:
        """Return the ids of the alerts that a channel has announced as open."""
        rows = self._connection.execute("SELECT alert_id FROM announcements WHERE warehouse = ?", (self._warehouse,))
        return frozenset(row[0] for row in rows)

    def save_announcement(self, channel: str, alert_id: str, announcement: Announcement) -> None:
        """Insert or replace what a channel announced of an alert."""
        self._connection.execute(
            "INSERT OR REPLACE INTO announcements VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(self._warehouse, alert_id, channel, announcement.severity, announcement.measure),
                iso_time(announcement.announced_at),
            ),
        )

    def delete_announcement(self, channel: str, alert_id: str) -> None:
        """Remove what a channel announced of an alert."""
        self._connection.execute(
            "DELETE FROM announcements WHERE warehouse = ? AND channel = ? AND alert_id = ?",
            (self._warehouse, channel, alert_id),
        )

    def deliveries(self, *states: DeliveryState) -> list[Delivery]:
        """Return the deliveries in these states, the oldest first."""
        placeholders = ", ".join("?" * len(states))
        rows = self._connection.execute(
            f"SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE warehouse = ? AND state IN ({placeholders}) "
            "ORDER BY created_at, rowid",
            (self._warehouse, *states),
        )
        return [_delivery(row) for row in rows]

    def save_delivery(self, delivery: Delivery) -> None:
        """Insert a delivery into the outbox, or replace the one with its id."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO deliveries (warehouse, {DELIVERY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(self._warehouse, delivery.id, delivery.channel, delivery.body, delivery.state, delivery.attempts),
                *(iso_time(delivery.created_at), iso_time(delivery.next_attempt_at), delivery.error),
            ),
        )

    def save_pause(self, channel: str, until: datetime) -> None:
        """Store the time until which a receiver wants no message."""
        self._connection.execute(
            "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?)", (self._warehouse, channel, iso_time(until))
        )

    def is_paused(self, channel: str, now: datetime) -> bool:
        """Return whether the receiver of a channel wants no message yet."""
        rows = self._connection.execute(
            "SELECT until FROM pauses WHERE warehouse = ? AND channel = ?", (self._warehouse, channel)
        )
        return any(now < datetime.fromisoformat(until) for (until,) in rows)

    def delete_sent(self, before: datetime) -> None:
        """Remove sent deliveries that were created before a time."""
        self._connection.execute(
            "DELETE FROM deliveries WHERE warehouse = ? AND state = ? AND created_at < ?",
            (self._warehouse, DeliveryState.sent, iso_time(before)),
        )


@contextmanager
def open_store(pipeline: Target, wait_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[AlertStore]:
    """Yield the store of a warehouse's alerts, locked for other processes that write or send.

    Raises:
        filelock.Timeout: if another process has the lock for longer than ``wait_seconds``.
        WarehouseError: if a newer version of this program wrote the file.
    """
    from filelock import FileLock

    path = alert_file(pipeline)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(path.with_suffix(".lock"), timeout=wait_seconds),
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        _prepare(connection, path)
        yield AlertStore(connection, fingerprint(pipeline))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables if the file has none.

    Raises:
        WarehouseError: if a newer version of this program wrote the file.
    """
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version > SCHEMA_VERSION:
        raise WarehouseError(
            f"A newer version of m365-jobs wrote the alert file {path} (format {version}, known is {SCHEMA_VERSION}). "
            "Nothing was changed. Install that version, or put back the file's backup."
        )
    if version < SCHEMA_VERSION:
        connection.executescript(TABLES)


def alert_file(pipeline: Target) -> Path:
    """Return the path of the alert file. It lies beside the pipelines' folders, which dlt may clear."""
    return Path(pipeline.pipelines_dir) / f"{warehouse.PIPELINE}.alerts.sqlite"


def read_open_alerts(pipeline: Target, tenants: Sequence[str] = ()) -> tuple[list[Alert], list[Delivery]]:
    """Return the open alerts, and the undelivered messages, without waiting for a process that sends.

    For some ``tenants`` it returns no messages, because a message may name others as well.
    """
    path = alert_file(pipeline)
    if not path.exists():
        return [], []
    with closing(sqlite3.connect(path, isolation_level=None, timeout=READ_TIMEOUT_SECONDS)) as connection:
        _prepare(connection, path)
        store = AlertStore(connection, fingerprint(pipeline))
        alerts = [alert for alert in store.alerts() if alert.opened_at and not alert.closed_at]
        undelivered = store.deliveries(DeliveryState.pending, DeliveryState.uncertain, DeliveryState.dead)
    if tenants:
        return [alert for alert in alerts if alert.finding.tenant in tenants], []
    return alerts, undelivered


def _optional_time(value: str | None) -> datetime | None:
    """Return the time of an ISO 8601 text; None for None."""
    return datetime.fromisoformat(value) if value else None


def _alert(row: Sequence[str]) -> Alert:
    """Return the alert of a row with ``ALERT_COLUMNS``."""
    id_, kind, severity, tenant, location, object_type, text, measure, first, last, evaluations, *rest = row
    opened, closed, owner, until, note = rest
    finding = AlertFinding(kind, severity, tenant, location, object_type, text, float(measure))
    return Alert(
        id=id_,
        finding=finding,
        first_seen_at=datetime.fromisoformat(first),
        last_seen_at=datetime.fromisoformat(last),
        evaluations=int(evaluations),
        opened_at=_optional_time(opened),
        closed_at=_optional_time(closed),
        owner=owner,
        acknowledged_until=_optional_time(until),
        note=note,
    )


def _delivery(row: Sequence[str]) -> Delivery:
    """Return the delivery of a row with ``DELIVERY_COLUMNS``."""
    id_, channel, body, state, attempts, created, next_attempt, error = row
    return Delivery(
        *(id_, channel, body, DeliveryState(state), int(attempts)),
        *(datetime.fromisoformat(created), datetime.fromisoformat(next_attempt), error),
    )


def change_tenant(pipeline: Target, tenant: str, new_tenant: str | None) -> None:
    """Move the alerts of a tenant to its new label, or remove them if it is None.

    Those that a channel announced close, so that no ticket stays open. Channels get those of the new label again.
    """
    if not alert_file(pipeline).exists():
        return
    with open_store(pipeline) as store, store.transaction():
        announced = store.announced_alerts()
        for alert in store.alerts():
            if alert.finding.tenant != tenant:
                continue
            if alert.id in announced:
                store.save_alert(replace(alert, closed_at=alert.closed_at or datetime.now(UTC)))
            else:
                store.delete_alert(alert.id)
            if alert.closed_at:
                continue
            if new_tenant is not None:
                finding = replace(alert.finding, tenant=new_tenant)
                store.save_alert(replace(alert, id=finding.alert_id, finding=finding))
