"""Support every destination without a class of its own: rows pass through dlt, and one machine loads at a time."""

from __future__ import annotations

from m365_jobs.warehouse.destinations.base import WarehouseDestination


class OtherDestination(WarehouseDestination):
    """Describe Snowflake, BigQuery, SQL Server and all other destinations of dlt."""
