"""Support all other destinations of dlt: without locks, so only one machine may load at a time."""

from __future__ import annotations

from m365_jobs.warehouse.destinations.base import WarehouseDestination


class OtherDestination(WarehouseDestination):
    """Describe Snowflake, BigQuery, SQL Server and all other destinations of dlt."""
