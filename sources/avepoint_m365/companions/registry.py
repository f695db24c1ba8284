"""List all companions, and select those that the key ``include`` names."""

from __future__ import annotations

from collections.abc import Sequence

from avepoint_m365.companions.base import Companion
from avepoint_m365.companions.licenses import Licenses
from avepoint_m365.companions.retention import Retention
from avepoint_m365.companions.schedule import Schedule
from avepoint_m365.companions.unusual_activity import UnusualActivity
from avepoint_m365.config import SECTION, unknown_value_error

COMPANIONS: tuple[Companion, ...] = (Licenses(), UnusualActivity(), Schedule(), Retention())
"""All companions, in the order of their requests."""

NAMES = tuple(companion.name for companion in COMPANIONS)

AUTO, NONE, CONTEXT = "auto", "none", "context"


def included(include: str | Sequence[str] | None) -> tuple[tuple[Companion, ...], bool]:
    """Return the companions that the key ``include`` names, and whether the user named them.

    ``auto``, the default, tries all of them, ``context`` names all of them, ``none`` is none of them.

    Raises:
        ConfigurationError: for a name that is unknown.
    """
    names = [include] if isinstance(include, str) else list(include or [AUTO])
    # dlt gives a list of the configuration or the environment as a text such as ["schedule"].
    names = [part.strip(" []\"'") for name in names for part in str(name).split(",") if part.strip(" []\"'")]
    known = (AUTO, NONE, CONTEXT, *NAMES)
    for name in names:
        if name not in known:
            raise unknown_value_error(f"{SECTION}.include", name, known)
    if NONE in names:
        return (), True
    if AUTO in names or not names:
        return COMPANIONS, False
    return tuple(companion for companion in COMPANIONS if CONTEXT in names or companion.name in names), True
