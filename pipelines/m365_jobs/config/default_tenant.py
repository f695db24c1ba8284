"""Name the tenant of a configuration without sections for tenants."""

from __future__ import annotations

import dlt
from avepoint_m365.exceptions import ConfigurationError

DEFAULT_TENANT = "default"


def configured_tenant() -> str:
    """Return the label of the tenant in ``sources.avepoint_m365.tenant``, or ``DEFAULT_TENANT``.

    Raises:
        ConfigurationError: if it is empty.
    """
    label: object = dlt.config.get("sources.avepoint_m365.tenant")
    if label == "":
        raise ConfigurationError("Empty label: sources.avepoint_m365.tenant = ''. Set a name.")
    return DEFAULT_TENANT if label is None else str(label)
