"""Name the tenant of a configuration without sections for tenants."""

from __future__ import annotations

import dlt

DEFAULT_TENANT = "default"


def configured_tenant() -> str:
    """Return the label of the tenant in ``sources.avepoint_m365.tenant``, or ``DEFAULT_TENANT``."""
    return str(dlt.config.get("sources.avepoint_m365.tenant") or DEFAULT_TENANT)
