"""Find where a destination is configured to be, without secrets and without a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target


@dataclass(frozen=True)
class Place:
    """Hold where a destination is: only what cannot contain a password."""

    host: str | None
    database: str | None


def configured_place(target: Target) -> Place:
    """Return what dlt resolved of a destination. It is kept, since dlt needs ten milliseconds for it.

    dlt's configuration itself is not kept. It holds an exception whose frames hold the target, so the dictionary would
    keep every load of a process, with its connections.
    """
    place = _places.get(target)
    if place is None:
        config = target.destination_client().config
        credentials = getattr(config, "credentials", None)
        host = getattr(config, "bucket_url", None) or getattr(credentials, "host", None)
        database = getattr(credentials, "database", None)
        place = _places[target] = Place(*(str(part) if part else None for part in (host, database)))
    return place


_places: WeakKeyDictionary[Target, Place] = WeakKeyDictionary()
