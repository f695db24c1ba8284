"""Define the columns that tables of companions share, and dlt's hints for these tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from avepoint_m365.schema import DELETE_INSERT, Table, count, required, text, time

if TYPE_CHECKING:
    from dlt.common.schema.typing import (
        TScd2StrategyDict,
        TTableSchemaColumns,
        TWriteDispositionConfig,
    )

LOCATION = text("location", "Location that was asked for; null where none was: see the table.")
SERVICE_TYPE = count("service_type", "Code of the companions' serviceType; null for a word that is unknown.", "")
SERVICE = text("service", "Its name in the vendor's words; the API's own value where it is unknown.")
OBJECT_TYPE = text("object_type", "The same service as jobs.object_type names it; null where it has no counterpart.")
SETTING_SCOPE = required(text("setting_scope", "Tenant and location as one text, for merging; never null."))
VALID_FROM = time("valid_from", "The load that read this version first; it may have been in force before.")
VALID_TO = time("valid_to", "The load that no longer read it; null for the version in force.")

HISTORY: TScd2StrategyDict = {
    "disposition": "merge",
    "strategy": "scd2",
    "validity_column_names": [VALID_FROM.name, VALID_TO.name],
}
"""How dlt writes a table whose earlier versions are kept."""


class ResourceArguments(TypedDict):
    """Define the arguments of ``dlt.resource`` that depend on the table."""

    name: str
    columns: TTableSchemaColumns
    write_disposition: TWriteDispositionConfig
    primary_key: list[str]
    merge_key: list[str]


def keeps_history(table: Table) -> bool:
    """Return whether dlt keeps the earlier versions of a table's rows (scd2)."""
    return VALID_FROM in table.columns


def resource_hints(table: Table) -> ResourceArguments:
    """Return the arguments of ``dlt.resource`` for rows of a table."""
    return {
        "name": table.name,
        "columns": table.dlt_columns,
        "write_disposition": HISTORY if keeps_history(table) else DELETE_INSERT,
        # dlt tells versions by the content of the row, not by a key.
        "primary_key": [] if keeps_history(table) else list(table.key),
        "merge_key": list(table.merge_key),
    }
