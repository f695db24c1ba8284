"""List the tables of all companions, and define those that no single companion fills."""

from __future__ import annotations

from avepoint_m365.companions.columns import LOCATION, keeps_history
from avepoint_m365.companions.registry import COMPANIONS, NAMES
from avepoint_m365.schema import TENANT, Column, Table, required, text, time

SERVICE_TYPES = Table(
    "service_types",
    "The companions' serviceType beside the objectType of jobs: a row per service type. Public Folder Metadata, "
    "Private Channel and Shared Channel have no counterpart.",
    ("service_type",),
    (
        required(Column("service_type", "bigint", "Code of serviceType.")),
        text("service", "Its name in the vendor's words."),
        text("object_type", "The same service as jobs.object_type names it; null where it has no counterpart."),
    ),
)

COMPANION_LOADS = Table(
    "companion_loads",
    "When each companion was asked and with which outcome: a row per companion, location and UTC day. Settings changed "
    "between two of its rows with status loaded.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Companion, location and time.")),
        text("companion", f"{', '.join(NAMES[:-1])} or {NAMES[-1]}."),
        LOCATION,
        text("status", "loaded, permission_missing, not_available (the host lacks the endpoint) or failed."),
        text("permission", "Permission that the companion needs."),
        text("detail", "What went wrong; null where it was loaded."),
        time("asked_at", "When it was asked."),
    ),
    append=True,
)

TABLES = (*(table for companion in COMPANIONS for table in companion.tables), COMPANION_LOADS, SERVICE_TYPES)

HISTORY = tuple(table for table in TABLES if keeps_history(table))
"""Tables whose earlier versions dlt keeps (scd2)."""
