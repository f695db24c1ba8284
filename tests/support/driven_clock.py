"""Set the clock of the product from a test, so that weeks of hourly loads run in minutes."""

import pkgutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import import_module
from typing import Any

import avepoint_m365
import m365_jobs
from avepoint_m365.companions import timing as companions

PACKAGES = ("avepoint_m365", "m365_jobs")
ELSEWHERE = ("orchestrators", "airflow", "dagster", "notebook", "__main__")
"""Modules that need other environments, and modules that run when Python imports them; the clock skips them."""


class DrivenClock:
    """Replace ``datetime`` in the product's modules by a class whose time starts at the moment that a test sets."""

    def __init__(self) -> None:
        self._moment, self._set_at = datetime.now(UTC), time.monotonic()
        self._class = self._driven()
        self._replaced: list[tuple[Any, str, Any]] = []
        for package in (avepoint_m365, m365_jobs):
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
                if not any(name in ELSEWHERE for name in module.name.split(".")):
                    import_module(module.name)

    def __enter__(self) -> "DrivenClock":
        return self

    def __exit__(self, *failure: object) -> None:
        for module, name, value in self._replaced:
            setattr(module, name, value)
        self._replaced.clear()

    def now(self) -> datetime:
        """Return the time that was set, plus the seconds since then."""
        return self._moment + timedelta(seconds=time.monotonic() - self._set_at)

    def set(self, moment: datetime) -> None:
        """Set the clock to a moment, from which it runs on."""
        self._moment, self._set_at = moment, time.monotonic()
        if self._replaced:
            return
        for name, module in [*sys.modules.items()]:
            if name.partition(".")[0] in PACKAGES and getattr(module, "datetime", None) is datetime:
                self._replace(module, "datetime", self._class)
        for whole in (avepoint_m365, companions):
            self._replace(whole, "_now", lambda: self.now().replace(microsecond=0))

    def _replace(self, module: Any, name: str, value: type | Callable[[], datetime]) -> None:
        self._replaced.append((module, name, getattr(module, name)))
        setattr(module, name, value)

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
