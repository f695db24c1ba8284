"""Find credentials that several tenant labels share: each job would be loaded once for each label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from m365_jobs.config.tenants import TENANTS, configured, setting


def shared_credentials() -> Iterator[str]:
    """Yield a message for each client ID of one host that several tenants use for overlapping locations.

    Sections without credentials use those of the section above, which is one client ID as well.
    """
    labels = defaultdict[object, list[str]](list)
    for name in configured():
        credentials = _value(name, "credentials", dict) or {}
        client_id = _value(name, "client_id", str, "credentials") or credentials.get("client_id")
        labels[client_id, _value(name, "base_url", str), _value(name, "data_center", str)].append(name)
    for names in labels.values():
        together = [name for name in names if any(_overlap(name, other) for other in names if other != name)]
        if together:
            yield (
                f"Shared credentials: the tenants {', '.join(together)} use the same client ID, so each job is loaded "
                f"once for each of them. Give each section of {TENANTS} credentials or locations of its own."
            )


def _overlap(name: str, other: str) -> bool:
    """Return true if two tenants may load the same location; a tenant without locations loads all."""
    first, second = (set(_value(tenant, "locations", list) or ()) for tenant in (name, other))
    return not first or not second or bool(first & second)


def _value(tenant: str, key: str, kind: Any, *inner: str) -> Any:
    """Return a key of a tenant's section; None if it is missing or invalid, which the tenant's load reports."""
    try:
        return setting(tenant, key, kind, *inner)
    except ConfigValueCannotBeCoercedException:
        return None
