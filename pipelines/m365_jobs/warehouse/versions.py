"""Refuse a warehouse that a newer version of this program has loaded into."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.errors.exceptions import WarehouseError

PRODUCT_VERSION = version("avepoint-m365-jobs")
"""The version of this program, such as 0.1.0; ``load_runs`` keeps it for each run."""


def series(product_version: str | None) -> tuple[int, int]:
    """Return major and minor version. Versions that share both write the same tables."""
    match = re.match(r"(\d+)\.(\d+)", product_version or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)


def refuse_newer(reader: Any) -> None:
    """Refuse a warehouse in which a newer version has recorded a load: rows and cursors may have another meaning there.

    Args:
        reader: An open ``Reader`` of the warehouse.

    Raises:
        WarehouseError: naming both versions.
    """
    try:
        rows = reader.rows(f"SELECT DISTINCT product_version AS version FROM {reader.table('load_runs')}")
    except DestinationUndefinedEntity:
        return
    newest = max((row["version"] for row in rows), key=series, default=None)
    if series(newest) > series(PRODUCT_VERSION):
        raise WarehouseError(
            f"The warehouse was loaded by m365-jobs {newest}, and this is {PRODUCT_VERSION}. Nothing was changed. "
            f"Install {newest} or newer, or put back the backup that was made before the upgrade."
        )
