"""Load companions with the jobs, in the same package: those that were not requested today."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.companions.base import STATE_KEY, Attempt
from avepoint_m365.companions.columns import VALID_FROM, VALID_TO, keeps_history, resource_hints
from avepoint_m365.companions.registry import COMPANIONS
from avepoint_m365.companions.resources import DENIED, LOADED, no_rows
from avepoint_m365.companions.schema import TABLES
from avepoint_m365.companions.timing import due
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.schema import DELETE_INSERT, Table
from dlt.extract import DltResource

from m365_jobs.schema import SCHEMA
from m365_jobs.warehouse.destinations.kinds import kind_of

ROW_HASH = "_dlt_id"
"""Column of dlt with the hash of a row's version."""

RANKS = {companion.name: rank for rank, companion in enumerate(COMPANIONS)}
"""Order of companions in messages; their requests end in any order."""


@dataclass
class CompanionLoad:
    """Hold the companions of one load. ``settings`` override those of the configuration."""

    pipeline: dlt.Pipeline
    tenant: str
    settings: Mapping[str, Any]
    stats: RequestStats
    attempts: list[Attempt] = field(default_factory=list)
    expected: int = 0
    """Number of companions that this load requests."""
    before: dict[str, str] = field(default_factory=dict)
    """Status of each companion after its last request before this load."""

    def resources(self) -> list[DltResource]:
        """Return the resources to load with the jobs; none if all were requested today and their tables exist.

        Raises:
            ConfigurationError: for an unknown name in ``include``.
        """
        # A load with nothing new needs no dlt source of companions.
        from avepoint_m365.companions.source import companions_source

        names = inspect.signature(companions_source).parameters
        source = companions_source(
            **{name: value for name, value in self.settings.items() if name in names},
            stats=self.stats,
            attempts=self.attempts,
            versions=self._versions if kind_of(self.pipeline).is_lake else None,
        )
        resources = list(source.resources.values())
        if kind_of(self.pipeline).is_lake:
            # A lake merges by key alone.
            for resource in resources:
                _merge_by_key(resource, next(table for table in TABLES if table.name == resource.name))
        self.before = self.statuses()
        self.expected = len(due(self._include(), self._state()))
        return resources if self.expected or self._tables_are_missing() else []

    def _versions(self, table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the new versions, and the current ones that ended because they are not among ``rows``."""
        from m365_jobs.warehouse.destinations import lake_tables

        now = datetime.now(UTC)
        scopes, ids = {row["setting_scope"] for row in rows}, {row["id"] for row in rows}
        stored = lake_tables.open_table(self.pipeline, table.name, self.tenant)
        tables = [] if stored is None else (stored if isinstance(stored, pa.Table) else stored.to_table()).to_pylist()
        current = [
            {name: row[name] for name in table.names}
            for row in tables
            if row["tenant"] == self.tenant and row["valid_to"] is None and row["setting_scope"] in scopes
        ]
        new = ids - {row["id"] for row in current}
        ended = [row | {"valid_to": now} for row in current if row["id"] not in ids]
        begun = [row | {"valid_from": now, "valid_to": None} for row in rows if row["id"] in new]
        return ended + begun

    def _include(self) -> Any:
        if "include" in self.settings:
            return self.settings["include"]
        return dlt.config.get(f"sources.{SCHEMA}.include")

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.pipeline.state.get("sources", {}).get(SCHEMA, {})
        return state

    def _tables_are_missing(self) -> bool:
        if SCHEMA not in self.pipeline.schema_names:
            return True
        known = self.pipeline.schemas[SCHEMA].tables
        return any(table.name not in known for table in TABLES)

    @property
    def finished(self) -> bool:
        """Return whether all companions of this load have been requested."""
        return len(self.attempts) >= self.expected

    def incomplete(self) -> list[str]:
        """Return a line for each failure that makes the load incomplete."""
        return _messages(attempt for attempt in self.attempts if attempt.status != LOADED and attempt.expected)

    def notes(self) -> list[str]:
        """Return a line for each optional companion that is missing for the first time."""
        return _messages(
            attempt
            for attempt in self.attempts
            if attempt.status != LOADED and not attempt.expected and self.before.get(attempt.name) != attempt.status
        )

    def statuses(self) -> dict[str, str]:
        """Return the status of each companion after its last request."""
        return {name: memory.get("status", "") for name, memory in self._state().get(STATE_KEY, {}).items()}

    def findings(self) -> list[SourceFinding]:
        """Return a finding for each unknown value in the companions' last responses."""
        return [
            SourceFinding(finding["rule"], f"{finding['problem']} (companion {name})", 1, finding["example"])
            for name, memory in self._state().get(STATE_KEY, {}).items()
            for finding in memory.get("findings", ())
        ]


def companion_rows(table: Table, rows: Sequence[Mapping[str, Any]], is_lake: bool) -> DltResource:
    """Return a resource of a companion's rows, which replace stored rows with the same key or scope."""

    def stored() -> Iterator[Any]:
        yield rows or no_rows(table, is_lake)

    hints = resource_hints(table)
    if keeps_history(table) and not is_lake:
        # Versions keep their hash, so that the next load finds the current ones unchanged.
        version: Any = {
            "data_type": "text",
            "nullable": False,
            "unique": False,
            "row_key": False,
            "x-row-version": True,
        }
        # These are dlt's marks for scd2, with the time zone that its own hints lack: a column cannot change its type.
        moments: dict[str, Any] = {
            name: {"data_type": "timestamp", "nullable": True, mark: True}
            for name, mark in ((VALID_FROM.name, "x-valid-from"), (VALID_TO.name, "x-valid-to"))
        }
        hints["columns"] = {**table.dlt_columns, **moments, ROW_HASH: version}
        hints["write_disposition"] = DELETE_INSERT
    resource = dlt.resource(stored, **hints)
    if is_lake:
        _merge_by_key(resource, table)
    return resource


def _merge_by_key(resource: DltResource, table: Table) -> None:
    from m365_jobs.warehouse.destinations import lake_merge

    resource.apply_hints(write_disposition=lake_merge.UPSERT, primary_key=list(table.key), columns=table.dlt_columns)


def _messages(attempts: Iterable[Attempt]) -> list[str]:
    """Return a line for each failure; companions that lack the same permission share one."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: RANKS[attempt.name]):
        groups.setdefault(attempt.scope if attempt.status == DENIED else attempt.name, []).append(attempt)
    return [
        group[0].message
        if len(group) == 1
        else f"companions {', '.join(attempt.name for attempt in group)} skipped: {group[0].detail}"
        for group in groups.values()
    ]
