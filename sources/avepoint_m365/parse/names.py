"""Find the API's fields by every name that the vendor documents, in any case.

The names in the vendor's table, samples and OpenAPI differ, and so do those of its other products.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

JOB_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "jobId"),
    "state": ("state", "jobState", "status"),
    "startTime": ("startTime",),
    "finishTime": ("finishTime", "endTime"),
    "duration": ("duration",),
    "backupDetails": ("backupDetails",),
    "jobErrors": ("jobErrors", "errors", "topErrors"),
}
DETAIL_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "total_number": ("totalNumber", "totalCount", "total"),
    "failed_number": ("failedNumber", "failedCount", "failed"),
    "successful_number": ("successfulNumber", "successfulCount", "successful"),
    "skipped_number": ("skippedNumber", "skippedCount", "skipped"),
}
DOCUMENTED_DETAILS = {name: spellings[:2] for name, spellings in DETAIL_SPELLINGS.items()}
"""The vendor's spellings of each count by its column: that of the table, then that of the sample."""

ERROR_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "isErrorCode": ("isErrorCode",),
    "value": ("value",),
    "url": ("url",),
    "number": ("number", "count"),
}


def field_of(fields: Mapping[str, object], *names: str) -> object:
    """Return the first value that is not null among fields with these names, in any case; None without one."""
    for name in names:
        if (value := fields.get(name)) is not None:
            return value
    by_lower = {name.lower(): value for name, value in fields.items()}
    return next((value for name in names if (value := by_lower.get(name.lower())) is not None), None)


def key_of(fields: Iterable[str], *names: str) -> str | None:
    """Return the key of the first of these names among the keys of an object, in any case; None without one."""
    by_lower = {name.lower(): name for name in reversed(list(fields))}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)
