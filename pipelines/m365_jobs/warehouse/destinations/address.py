"""Find the configured host and database of a destination, without secrets and without a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target


class DestinationAddress(NamedTuple):
    """Hold the host (or URL) and the database of a destination; neither contains a password."""

    host: str | None
    database: str | None


def configured_address(target: Target) -> DestinationAddress:
    """Return the address that dlt resolves. It is cached: dlt needs 10 ms for it.

    dlt's configuration itself is not cached. It refers to an exception whose frames refer to the target, so every load
    of a process would stay in memory, with its connections.
    """
    address = _addresses.get(target)
    if address is None:
        config = target.destination_client().config
        credentials = getattr(config, "credentials", None)
        host = getattr(config, "bucket_url", None) or getattr(credentials, "host", None)
        database = getattr(credentials, "database", None)
        address = _addresses[target] = DestinationAddress(*(str(part) if part else None for part in (host, database)))
    return address


_addresses: WeakKeyDictionary[Target, DestinationAddress] = WeakKeyDictionary()
