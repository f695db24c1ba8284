"""Define the Arrow types and columns of parsed jobs."""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

DETAIL_NAMES = ("total_number", "failed_number", "successful_number", "skipped_number")
"""The counts of ``backupDetails`` in the warehouse."""

COLUMNS = {
    "state": "state",
    "startTime": "start_time",
    "finishTime": "finish_time",
    "duration": "duration_hours",
    "jobErrors": "errors",
}
"""Columns of ``FRAME`` by the names of the vendor's table."""

ERROR_FIELDS = {"is_error_code": FLAG, "value": TEXT, "url": TEXT, "number": COUNT}

FRAME = pa.schema(
    [
        pa.field("id", TEXT, nullable=False),
        ("state", TEXT),
        ("start_time", TIME),
        ("finish_time", TIME),
        ("duration_hours", REAL),
        *((name, COUNT) for name in DETAIL_NAMES),
        ("errors", pa.list_(pa.struct(list(ERROR_FIELDS.items())))),
        ("unknown_fields", TEXT),
    ]
)
"""One row for each job: its fields in the API's response, with the counts of its details and its list of errors.

Tenant, location, object type and job type are no fields of a job and are added later. ``unknown_fields`` is JSON, or
null without such fields."""

SEEN_AT = "seen_at"
"""A further column of parsed pages: when the page arrived, in monotonic nanoseconds. It orders the rows of a job."""
