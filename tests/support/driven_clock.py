"""A clock of the product that a test drives: weeks of hourly loads in minutes."""

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType

import avepoint_m365
from avepoint_m365 import companions

PACKAGES = ("avepoint_m365", "m365_jobs")


class DrivenClock:
    """Replace ``datetime`` in the product's modules by one that says what was set, and how long ago that was."""

    def __init__(self) -> None:
        self._moment, self._set_at = datetime.now(UTC), time.monotonic()
        self._class = self._driven()

    def now(self) -> datetime:
        """The driven time."""
        return self._moment + timedelta(seconds=time.monotonic() - self._set_at)

    def set(self, moment: datetime) -> None:
        """Go on from a moment."""
        self._moment, self._set_at = moment, time.monotonic()
        for name, module in [*sys.modules.items()]:
            if name.partition(".")[0] in PACKAGES and getattr(module, "datetime", None) is datetime:
                module.datetime = self._class  # type: ignore[attr-defined]
        whole: list[ModuleType] = [avepoint_m365, companions]
        for module in whole:
            module._now = lambda: self.now().replace(microsecond=0)  # type: ignore[attr-defined]

    def _driven(self) -> type[datetime]:
        clock = self

        class _OfAny(type):
            def __instancecheck__(cls, instance: object) -> bool:
                return isinstance(instance, datetime)

        class Driven(datetime, metaclass=_OfAny):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return clock.now().astimezone(tz)

        return Driven
