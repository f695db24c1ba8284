"""Describe the keys of ``sources.avepoint_m365`` that only this program reads, not the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_DESTINATION = "duckdb"
"""The destination without a configured one: a DuckDB file in the working directory."""


class ProgramKey(NamedTuple):
    """Describe a key: its type, default and meaning, as the reference page prints them."""

    type: str
    default: str | float | None
    meaning: str


SECTIONS = frozenset({"protection", "tenants"})
"""Keys that are sections of their own."""

CALENDAR: Mapping[str, ProgramKey] = {
    "timezone": ProgramKey("str", "UTC", "Time zone of the tenant's days and nights, such as Europe/Berlin."),
    "backup_window": ProgramKey(
        "str", None, "Hours in which backups start, such as 20:00-06:00; last night is the last 24 hours if unset."
    ),
}
"""Keys that a tenant's section may set as well; ``m365_jobs.config.calendar`` reads them."""

WAREHOUSE: Mapping[str, ProgramKey] = {
    "duckdb_storage_version": ProgramKey(
        "str", "v1.4.0", "Format of a DuckDB file that a load creates; DuckDB of this version and newer reads it."
    ),
    "lake_retention_hours": ProgramKey(
        "int", 24, "Hours for which replaced files of a Delta lake stay, for programs that read an older version."
    ),
}
"""Keys of warehouses; their destinations read them."""

PROGRAM_KEYS: Mapping[str, ProgramKey] = {**CALENDAR, **WAREHOUSE}
