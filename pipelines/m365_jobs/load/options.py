"""Hold the options of a load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from m365_jobs.config.tenants import Tenant
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.errors.settings_messages import empty_range
from m365_jobs.load.unchanged import LogRowBuffer


@dataclass
class LoadOptions:
    """Hold the options of ``load``; times in UTC."""

    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    dataset: str | None = None
    file: Path | None = None
    """A DuckDB file in place of the destination; set by the demo."""
    tenant: Tenant | None = None
    """The tenant; its settings override those of the main section. The configured one if unset."""
    verify_since: datetime | None = None
    """Compare the history from this time on with the API, instead of loading new jobs."""
    source: dict[str, Any] = field(default_factory=dict)
    """Settings of the source that override all others."""
    min_age: timedelta | None = None
    """Raise ``TenantLockedError`` if another worker loads the tenant, or did so within this time; if unset, wait."""
    log_buffer: LogRowBuffer | None = None
    """Collects the log rows of tenants with nothing new; if unset, each load writes its own at once."""

    @property
    def tenant_settings(self) -> Mapping[str, Any]:
        """Return the settings of the tenant's own section."""
        return self.tenant.settings if self.tenant else {}

    def __post_init__(self) -> None:
        if self.until is not None and self.since is None:
            raise UsageError("--until goes with --since: together they are the range of a backfill.")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(empty_range(self.since, self.until))
