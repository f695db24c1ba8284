"""Find unknown keys in the section of this program; most of them are misspelt."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping

import dlt
from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION, suggestion

from m365_jobs.config.program_keys import PROGRAM_KEYS, SECTIONS
from m365_jobs.config.protection import max_data_age, protection, restore_test_days

PROTECTION = frozenset(
    {name for read in (protection, max_data_age, restore_test_days) for name in inspect.signature(read).parameters},
)
KNOWN = {
    SECTION: frozenset({*inspect.signature(avepoint_m365).parameters, *PROTECTION, *PROGRAM_KEYS, *SECTIONS}),
    f"{SECTION}.protection": PROTECTION,
}
"""Known keys by their section. A load of a tenant checks the section of that tenant."""

OF_RESOURCES = "jobs_"
"""Prefix of the source's resources; dlt has a section for each of them."""


def unknown_settings() -> Iterator[str]:
    """Yield a message for each unknown key, with the most similar known one."""
    for section, known in KNOWN.items():
        for name in sorted(_set_in(section) - known):
            if not name.startswith(OF_RESOURCES):
                yield f"Unknown setting: {section}.{name} is ignored.{suggestion(name, known)}"


def _set_in(section: str) -> set[str]:
    """Return the keys of a section in files, vaults and the environment."""
    names = set[str]()
    *above, last = section.split(".")
    for provider in dlt.config.config_providers:
        sections, _ = provider.get_value(last, dict, "", *above)
        names.update(sections if isinstance(sections, Mapping) else ())
    prefix = section.replace(".", "__").upper() + "__"
    names.update(key.removeprefix(prefix).split("__")[0].lower() for key in os.environ if key.startswith(prefix))
    return names
