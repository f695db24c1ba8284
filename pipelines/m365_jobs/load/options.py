"""Hold the options of a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from m365_jobs.config.tenants import Tenant
from m365_jobs.errors.explain import UsageError
from m365_jobs.load.unchanged import LogRows


@dataclass
class LoadOptions:
    """Hold the options of ``load``; times in UTC."""

    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    dataset: str | None = None
    file: Path | None = None
    """A DuckDB file in place of any destination; the demo's."""
    tenant: Tenant | None = None
    """Whose settings override those of the main section; the configured tenant if unset."""
    verify_since: datetime | None = None
    """Compare the history from here on with the API instead of loading what is new."""
    source: dict[str, Any] = field(default_factory=dict)
    """Settings of the source that override all others; the demo's."""
    min_age: timedelta | None = None
    """Raise ``TenantLockedError`` if another worker loads the tenant, or did so within this time; without it, wait."""
    log: LogRows | None = None
    """Collects the log rows of tenants with nothing new, to be written together; each is written at once without it."""
    log_failed: Callable[[str, BaseException], None] = lambda _, __: None
    """Called with a tenant whose collected rows could not be written, and why."""

    def __post_init__(self) -> None:
        if self.until is not None and self.since is None:
            raise UsageError("--until goes with --since: together they are the range of a backfill.")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(f"--since {self.since.isoformat()} must lie before --until {self.until.isoformat()}.")
