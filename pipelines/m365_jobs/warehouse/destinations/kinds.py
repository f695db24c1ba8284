"""Register the kinds of destinations, and find the one of a warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.duckdb import DuckDBDestination
from m365_jobs.warehouse.destinations.lake import LakeDestination
from m365_jobs.warehouse.destinations.other import OtherDestination
from m365_jobs.warehouse.destinations.postgres import PostgresDestination

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target

KINDS: tuple[WarehouseDestination, ...] = (DuckDBDestination(), PostgresDestination(), LakeDestination())
"""A destination with its own capabilities is one class and one entry here."""

OTHER = OtherDestination()


def kind_of_type(destination_type: str) -> WarehouseDestination:
    """Return the kind of destination for dlt's type, such as dlt.destinations.postgres."""
    last = destination_type.rpartition(".")[2]
    return next((kind for kind in KINDS if last in kind.types), OTHER)


def kind_of(target: Target) -> WarehouseDestination:
    """Return the kind of destination of a warehouse."""
    return kind_of_type(target.destination.destination_type)
