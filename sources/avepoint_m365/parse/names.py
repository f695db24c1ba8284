"""Find the API's fields under every name that the vendor documents, in any case.

The vendor's table and samples differ, its OpenAPI differs from both, and its sibling products from all of them.
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
ERROR_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "isErrorCode": ("isErrorCode",),
    "value": ("value",),
    "url": ("url",),
    "number": ("number", "count"),
}


def field_of(fields: Mapping[str, object], *names: str) -> object:
    """Return the value of the first of the names that an object has, in any case; None where it has none."""
    for name in names:
        if (value := fields.get(name)) is not None:
            return value
    by_lower = {name.lower(): value for name, value in fields.items()}
    return next((value for name in names if (value := by_lower.get(name.lower())) is not None), None)


def key_of(fields: Iterable[str], *names: str) -> str | None:
    """Return the key under which an object has the first of the names, in any case; null values count."""
    by_lower = {name.lower(): name for name in reversed(list(fields))}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)
