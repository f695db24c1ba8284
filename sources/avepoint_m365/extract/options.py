"""Define the settings that all parts of one load share."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.window import Window

CLOCK_TOLERANCE = timedelta(days=1)
"""How far beyond now the query of a load reaches: clocks differ."""

BACKFILL_TTL = timedelta(days=7)
"""A backfill whose first chunk was read longer ago begins again: its rows would no longer be current."""


class ExtractOptions(NamedTuple):
    """Hold the settings of one load. Times are UTC.

    Attributes:
        tenant: Label of the rows.
        run_id: Id of the load.
        start_date: The start of the first load.
        until: The end of the window: now, or the earlier end that the user set.
        open_ended: Whether ``until`` is now.
        lag: How far behind the cursor each load begins.
        max_open: How long a job in progress is followed.
        since: The start of a backfill, which leaves the cursors alone; None for an incremental load.
        backfill_until: The end of a backfill as the user wrote it; tells backfills with the same start apart.
        object_types: The services to load.
        locations: The configured locations; empty if requests name no location.
        split_job_types: Whether jobs are classified by job type.
        page_size: Jobs that a request asks for on a page.
        chunk_jobs: The most jobs of one committed chunk of a long range; None for no bound.
        chunk_bytes: The most bytes of the responses of one chunk.
        expected_outside: Dimensions (location, object_type, job_type) whose jobs without a label are no finding.
        verify_since: The start (UTC) of the history that is compared with the API's totals; None for a load.
    """

    tenant: str
    run_id: str
    start_date: datetime
    until: datetime
    open_ended: bool
    lag: timedelta
    max_open: timedelta
    since: datetime | None = None
    backfill_until: str = "now"
    object_types: tuple[ObjectType, ...] = tuple(ObjectType)
    locations: tuple[str, ...] = ()
    split_job_types: bool = True
    page_size: int = 500
    chunk_jobs: int | None = None
    chunk_bytes: int = 256_000_000
    expected_outside: tuple[str, ...] = ()
    verify_since: datetime | None = None

    @property
    def loads_all_types(self) -> bool:
        """Return whether every object type is loaded, so that one listing without a type holds them all."""
        return len(self.object_types) == len(ObjectType)

    @property
    def listed_types(self) -> tuple[ObjectType, ...]:
        """Return the object types that requests must name; none if all are loaded."""
        return () if self.loads_all_types else self.object_types

    @property
    def scope(self) -> str:
        """Return the key of the state: the object types, locations and job types of the configuration.

        Another configuration has a state of its own, so that the history of a new location or type is read.
        """
        types = "all" if self.loads_all_types else [kind.name for kind in self.object_types]
        if types == "all" and not self.locations and self.split_job_types:
            return "all"
        return json.dumps([types, sorted(self.locations), self.split_job_types])

    def window(self, start: datetime, end: datetime | None = None) -> Window:
        """Return the window from ``start`` to ``end``, or to the end of the load if that is earlier.

        If the load ends now, its query ends later, since clocks differ. Any other query ends at the next midnight
        (UTC), since the API may compare days instead of times.
        """
        end = min(end or self.until, self.until)
        query_end = end + CLOCK_TOLERANCE if self.open_ended and end == self.until else next_midnight(end)
        return Window(start.replace(microsecond=0), end, query_end)


def next_midnight(moment: datetime) -> datetime:
    """Return the first midnight (UTC) that is not before ``moment``."""
    day = (moment + timedelta(days=1, microseconds=-1)).date()
    return datetime.combine(day, time(), tzinfo=UTC)
