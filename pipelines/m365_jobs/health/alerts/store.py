"""Store alerts, announcements and the outbox in one SQLite database of the state folder.

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
from m365_jobs.health.alerts.models import Alert, AlertFinding, Announcement, Delivery, DeliveryState
from m365_jobs.warehouse import pipeline as warehouse

VERSION = 1
"""Version of the tables below, as SQLite's ``user_version``; 0 is a file of before versions were written."""

TABLES = f"""
PRAGMA user_version = {VERSION};
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
        """Commit everything within the block at once, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def alerts(self) -> list[Alert]:
        """Return all alerts that are not closed, and those closed that a channel still has to be told of."""
        rows = self._connection.execute(
            f"SELECT {ALERT_COLUMNS} FROM alerts WHERE warehouse = ? ORDER BY first_seen_at, id", (self._warehouse,)
        )
        return [_alert(row) for row in rows]

    def save(self, alert: Alert) -> None:
        """Insert or replace an alert."""
        finding = alert.finding
        values = (
            *(alert.id, finding.kind, finding.severity, finding.tenant, finding.location, finding.object_type),
            *(finding.text, finding.measure, _text(alert.first_seen_at), _text(alert.last_seen_at), alert.evaluations),
            *(_text(alert.opened_at), _text(alert.closed_at), alert.owner, _text(alert.acknowledged_until)),
            alert.note,
        )
        marks = ", ".join("?" * (len(values) + 1))
        self._connection.execute(
            f"INSERT OR REPLACE INTO alerts (warehouse, {ALERT_COLUMNS}) VALUES ({marks})", (self._warehouse, *values)
        )

    def delete(self, alert_id: str) -> None:
        """Remove an alert and its announcements."""
        key = (self._warehouse, alert_id)
        self._connection.execute("DELETE FROM announcements WHERE warehouse = ? AND alert_id = ?", key)
        self._connection.execute("DELETE FROM alerts WHERE warehouse = ? AND id = ?", key)

    def announcements(self, channel: str) -> dict[str, Announcement]:
        """Return what a channel was told last, by the alert's id."""
        rows = self._connection.execute(
            "SELECT alert_id, severity, measure, announced_at FROM announcements WHERE warehouse = ? AND channel = ?",
            (self._warehouse, channel),
        )
        return {row[0]: Announcement(row[1], row[2], datetime.fromisoformat(row[3])) for row in rows}

    def announce(self, channel: str, alert_id: str, announcement: Announcement) -> None:
        """Record what a channel is told of an alert."""
        self._connection.execute(
            "INSERT OR REPLACE INTO announcements VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(self._warehouse, alert_id, channel, announcement.severity, announcement.measure),
                _text(announcement.announced_at),
            ),
        )

    def retract(self, channel: str, alert_id: str) -> None:
        """Forget what a channel was told of an alert that is closed."""
        self._connection.execute(
            "DELETE FROM announcements WHERE warehouse = ? AND channel = ? AND alert_id = ?",
            (self._warehouse, channel, alert_id),
        )

    def deliveries(self, *states: DeliveryState) -> list[Delivery]:
        """Return the deliveries in these states, the oldest first."""
        marks = ", ".join("?" * len(states))
        rows = self._connection.execute(
            f"SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE warehouse = ? AND state IN ({marks}) "
            "ORDER BY created_at, rowid",
            (self._warehouse, *states),
        )
        return [_delivery(row) for row in rows]

    def add(self, delivery: Delivery) -> None:
        """Put a delivery into the outbox, or replace the one with its id."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO deliveries (warehouse, {DELIVERY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(self._warehouse, delivery.id, delivery.channel, delivery.body, delivery.state, delivery.attempts),
                *(_text(delivery.created_at), _text(delivery.next_attempt_at), delivery.error),
            ),
        )

    def delete_sent(self, before: datetime) -> None:
        """Remove deliveries that arrived before a time."""
        self._connection.execute(
            "DELETE FROM deliveries WHERE warehouse = ? AND state = ? AND created_at < ?",
            (self._warehouse, DeliveryState.sent, _text(before)),
        )


@contextmanager
def open_store(pipeline: warehouse.Target, wait_seconds: float = 600.0) -> Iterator[AlertStore]:
    """Open the alert file of a warehouse. One process at a time writes and sends; others wait.

    Raises:
        filelock.Timeout: if another process has the file for longer than ``wait_seconds``.
    """
    from filelock import FileLock

    path = alert_file(pipeline)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(path.with_suffix(".lock"), timeout=wait_seconds),
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        _prepare(connection, path)
        yield AlertStore(connection, warehouse.fingerprint(pipeline))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables.

    Raises:
        WarehouseError: if a newer version of this program made them.
    """
    ((stored,),) = connection.execute("PRAGMA user_version").fetchall()
    if stored > VERSION:
        raise WarehouseError(
            f"A newer version of m365-jobs wrote the alert file {path} (format {stored}, known is {VERSION}). Nothing "
            "was changed. Install that version, or put back the file's backup."
        )
    if stored < VERSION:
        connection.executescript(TABLES)


def alert_file(pipeline: warehouse.Target) -> Path:
    """Return the path of the alert file. It lies beside the pipelines' folders, which dlt may clear."""
    return Path(pipeline.pipelines_dir) / f"{warehouse.PIPELINE}.alerts.sqlite"


def read_open(pipeline: warehouse.Target, tenants: Sequence[str] = ()) -> tuple[list[Alert], list[Delivery]]:
    """Return the open alerts, and the deliveries that did not arrive, without waiting for a process that sends."""
    path = alert_file(pipeline)
    if not path.exists():
        return [], []
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        _prepare(connection, path)
        store = AlertStore(connection, warehouse.fingerprint(pipeline))
        alerts = [alert for alert in store.alerts() if alert.opened_at and not alert.closed_at]
        undelivered = store.deliveries(DeliveryState.pending, DeliveryState.uncertain, DeliveryState.dead)
    if tenants:
        # A delivery may name several tenants, so an answer about some of them holds none.
        return [alert for alert in alerts if alert.finding.tenant in tenants], []
    return alerts, undelivered


def _text(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _alert(row: Sequence[str]) -> Alert:
    id_, kind, severity, tenant, location, object_type, text, measure, first, last, evaluations, *rest = row
    opened, closed, owner, until, note = rest
    finding = AlertFinding(kind, severity, tenant, location, object_type, text, float(measure))
    return Alert(
        id=id_,
        finding=finding,
        first_seen_at=datetime.fromisoformat(first),
        last_seen_at=datetime.fromisoformat(last),
        evaluations=int(evaluations),
        opened_at=_time(opened),
        closed_at=_time(closed),
        owner=owner,
        acknowledged_until=_time(until),
        note=note,
    )


def _delivery(row: Sequence[str]) -> Delivery:
    id_, channel, body, state, attempts, created, next_attempt, error = row
    return Delivery(
        *(id_, channel, body, DeliveryState(state), int(attempts)),
        *(datetime.fromisoformat(created), datetime.fromisoformat(next_attempt), error),
    )


def change_tenant(pipeline: warehouse.Target, tenant: str, new: str | None) -> None:
    """Delete the alerts of a tenant, or give them its new name. Channels are told of them again under that name."""
    if not alert_file(pipeline).exists():
        return
    with open_store(pipeline) as store, store.transaction():
        for alert in store.alerts():
            if alert.finding.tenant != tenant:
                continue
            store.delete(alert.id)
            if new is not None:
                finding = replace(alert.finding, tenant=new)
                store.save(replace(alert, id=finding.alert_id, finding=finding))
