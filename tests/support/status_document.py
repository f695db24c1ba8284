"""Define an empty document of ``status`` for tests of its tables."""

from m365_jobs.health.status import WarehouseStatus

EMPTY: WarehouseStatus = {
    "warehouse": "w",
    "credentials": None,
    "never_loaded": [],
    "clocks_ahead": [],
    "undelivered": [],
    "unknown_services": [],
    "findings": [],
    "companions": [],
    "partitions": [],
    "runs": [],
    "tables": {},
}
