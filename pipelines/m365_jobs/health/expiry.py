"""Find credentials that have expired or expire within 30 days, without importing the API client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from avepoint_m365.credentials import AvePointCredentials

from m365_jobs.config import tenants
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.tenants import Tenant
from m365_jobs.text import format_count

SOON = timedelta(days=30)


class Expiry(NamedTuple):
    """Describe the expiry of credentials."""

    is_ahead: bool
    """Whether it is in the future, so that the credentials still work."""
    text: str
    """The predicate of a sentence about the credentials: ended on 2026-01-31 UTC; renew them."""


def expiry_of(credentials: AvePointCredentials) -> Expiry | None:
    """Return the expiry of credentials within 30 days or in the past; None for others."""
    ends = credentials.ends_at()
    left = ends - datetime.now(UTC) if ends else timedelta.max
    if left < timedelta(0):
        return Expiry(False, f"ended on {ends:%Y-%m-%d} UTC; renew them.")
    if left < SOON:
        return Expiry(True, f"end on {ends:%Y-%m-%d} UTC, in {format_count(left.days, 'day')}; renew them soon.")
    return None


def expiries(names: Iterable[str]) -> Iterator[tuple[str, Expiry]]:
    """Yield the named tenants whose credentials have expired or expire soon, each with the expiry."""
    sections, shared = tenants.configured(), configured_tenant()
    for name in names:
        if name not in sections and name != shared:
            continue
        try:
            own = Tenant(name, name in sections).settings.get("credentials")
            expiry = expiry_of(own or tenants.credentials_above())
        except Exception:
            # Readers need no API credentials, and one invalid section must not stop health or status of all tenants.
            continue
        if expiry:
            yield name, expiry
