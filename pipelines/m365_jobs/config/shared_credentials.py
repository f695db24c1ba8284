"""Find credentials that several tenants share, so that each job is loaded once for each of their labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from m365_jobs.config.tenants import TENANTS, configured, setting


def shared_credentials() -> Iterator[str]:
    """Yield a message for each client id of one host that several tenants use for overlapping locations.

    Sections without credentials inherit the same client id.
    """
    labels = defaultdict[object, list[str]](list)
    for name in configured():
        credentials = _value(name, "credentials", dict) or {}
        client_id = _value(name, "client_id", str, "credentials") or credentials.get("client_id")
        labels[client_id, _value(name, "base_url", str), _value(name, "data_center", str)].append(name)
    for names in labels.values():
        overlapping = [name for name in names if any(_overlap(name, other) for other in names if other != name)]
        if overlapping:
            yield (
                f"Shared credentials: the tenants {', '.join(overlapping)} use the same client ID, so each job is "
                f"loaded once for each of them. Give each section of {TENANTS} credentials or locations of its own."
            )


def _overlap(name: str, other: str) -> bool:
    """Return whether two tenants may load the same location; a tenant without locations loads all."""
    first, second = (set(_value(tenant, "locations", list) or ()) for tenant in (name, other))
    return not first or not second or bool(first & second)


def _value(tenant: str, key: str, kind: Any, *inner: str) -> Any:
    """Return a value of a tenant's section; None if it is missing, or invalid, which the tenant's load reports."""
    try:
        return setting(tenant, key, kind, *inner)
    except ConfigValueCannotBeCoercedException:
        return None
