"""Settings in our section of the configuration that this program does not have: slips of the pen, most of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

import dlt
from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION

from m365_jobs import marts
from m365_jobs.config.tenants import CALENDAR_KEYS
from m365_jobs.health.evaluate import max_data_age

PROTECTION = frozenset(
    {*inspect.signature(marts.protection).parameters, *inspect.signature(max_data_age).parameters},
)
KNOWN = {
    SECTION: frozenset(
        {*inspect.signature(avepoint_m365).parameters, *PROTECTION, *CALENDAR_KEYS, "protection", "tenants"}
    ),
    f"{SECTION}.protection": PROTECTION,
}
"""Section to its keys. A tenant's section is looked at by whoever loads the tenant."""

OF_RESOURCES = "jobs_"
"""What the names of the source's resources begin with: dlt has settings for each."""


def unheeded() -> Iterator[str]:
    """A line for each, with the setting that may have been meant."""
    for section, known in KNOWN.items():
        for name in sorted(_set_in(section) - known):
            if not name.startswith(OF_RESOURCES):
                near = get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                yield f"{section}.{name} is no setting of this program.{hint}"


def _set_in(section: str) -> set[str]:
    """The keys that files, vaults and the environment have in a section."""
    names = set[str]()
    *above, last = section.split(".")
    for provider in dlt.config.config_providers:
        found, _ = provider.get_value(last, dict, "", *above)
        names.update(found if isinstance(found, Mapping) else ())
    prefix = section.replace(".", "__").upper() + "__"
    names.update(key.removeprefix(prefix).split("__")[0].lower() for key in os.environ if key.startswith(prefix))
    return names
