"""Every destination without a class of its own: rows go through dlt, and one machine loads at a time."""

from __future__ import annotations

from m365_jobs.warehouse.destinations.base import WarehouseDestination


class OtherDestination(WarehouseDestination):
    """Snowflake, BigQuery, SQL Server and whatever else dlt writes to."""
