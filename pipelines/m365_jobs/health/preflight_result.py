"""Hold a line of ``check``, and sum up those of many tenants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from m365_jobs.text import format_count, sanitize

MAX_NAMES = 10
"""Tenants that a line names; of more it gives the number."""


class PreflightResult(NamedTuple):
    """Describe one line of ``check``."""

    what: str
    fine: bool
    text: str
    exit_code: int = 0
    warning: bool = False
    skipped: bool = False
    """Whether loads skip what is missing."""

    @property
    def mark(self) -> str:
        """Return ok, warn or FAIL."""
        return "FAIL" if not self.fine else "warn" if self.warning else "ok"

    @property
    def line(self) -> str:
        """Return the line for a terminal."""
        return f"{self.mark:4}  {self.what}: {sanitize(self.text)}"


def sum_up_tenants(results: Iterable[tuple[str, list[PreflightResult]]]) -> Iterator[PreflightResult]:
    """Yield the failures and warnings of many tenants at once, then the numbers of those that are fine."""
    passed = total = 0
    skipping: dict[str, list[str]] = {}
    for tenant, checks in results:
        total += 1
        passed += all(check.fine for check in checks)
        for check in checks:
            if check.mark != "ok":
                yield check._replace(what=f"{tenant}, {check.what}")
            elif check.skipped:
                skipping.setdefault(check.what, []).append(tenant)
    for what, tenants in skipping.items():
        names = ", ".join(sorted(tenants)) if len(tenants) <= MAX_NAMES else format_count(len(tenants), "tenant")
        yield PreflightResult(what, True, f"skipped by loads of {names}; check --tenant NAME gives the cause")
    yield PreflightResult("tenants", True, f"{passed:,} of {total:,} passed all checks")
