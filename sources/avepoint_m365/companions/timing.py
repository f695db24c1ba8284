"""Decide which companions a load requests: those that were not tried yet on the UTC day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from avepoint_m365.companions.base import STATE_KEY, Memory
from avepoint_m365.companions.registry import included


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def request_time() -> datetime:
    """Return the time of the requests of a load (UTC): now, in whole seconds."""
    return _now()


def is_companion_due(memory: Memory, now: datetime) -> bool:
    """Return whether a companion was not requested yet on the UTC day of ``now``."""
    tried_at = memory.get("tried_at")
    return not tried_at or datetime.fromisoformat(str(tried_at)).astimezone(UTC).date() != now.date()


def due(include: str | Sequence[str] | None, state: Mapping[str, object]) -> list[str]:
    """Return the names of the included companions that were not tried yet today; ``state`` is the source state."""
    stored, now = state.get(STATE_KEY), request_time()
    memory: dict[str, Memory] = stored if isinstance(stored, dict) else {}
    companions, _ = included(include)
    return [companion.name for companion in companions if is_companion_due(memory.get(companion.name, {}), now)]
