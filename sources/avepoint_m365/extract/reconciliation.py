"""Define the comparison of a period with the API's total."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Reconciliation(NamedTuple):
    """Describe one row of ``reconciliations``. Times are UTC.

    Attributes:
        kind: daily, first_load or verify.
        period: Start and end of the range that was compared.
        api_total: Jobs in the range by the API; None if it is unknown.
        warehouse_jobs: Jobs in the range in the warehouse before the comparison; None if it cannot count them.
        proof: Whether the warehouse holds all jobs afterwards; None if the counts cannot be compared.
        detail: The reason of the result in words; None if the counts agree.
        checked_at: The time of the comparison.
        location: The location that was compared; None for all.
    """

    kind: str
    period: tuple[datetime, datetime]
    api_total: int | None
    warehouse_jobs: int | None
    proof: bool | None
    detail: str | None
    checked_at: datetime
    location: str | None = None
