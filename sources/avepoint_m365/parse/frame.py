"""Define the Arrow types and columns of parsed jobs."""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

DETAIL_NAMES = ("total_number", "failed_number", "successful_number", "skipped_number")
"""The counts of ``backupDetails`` in the warehouse."""

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
"""A row for each job, with its details and errors: what the API returns of it. What only the request knows (tenant,
location, object_type, job_type) is added later. ``unknown_fields`` is JSON, null where there are none."""

SEEN_AT = "seen_at"
"""Column beside those of ``FRAME``: when the page arrived, in monotonic nanoseconds. It orders two rows of a job."""
