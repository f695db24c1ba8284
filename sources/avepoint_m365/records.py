"""What comes back: one job of the API into the rows of the warehouse.

This is the one place where API names become warehouse names. The reference contradicts itself on some
names and leaves the form of many values open, so each is read in every form seen; a value that cannot be read
is an error, never silently null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from avepoint_m365.errors import BadResponseError

_FRACTION = re.compile(r"\.(\d+)")
_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
_INT64 = 2**63

DETAIL_SPELLINGS = {
    "total_number": ("totalNumber", "totalCount"),
    "failed_number": ("failedNumber", "failedCount"),
    "successful_number": ("successfulNumber", "successfulCount"),
    "skipped_number": ("skippedNumber", "skippedCount"),
}
"""Warehouse column to both of the vendor's spellings: its table's, then its sample's."""


class _Unreadable(ValueError):
    """A value in no form that we know."""


def parse_time(value: object) -> datetime | None:
    """Reads a time of the API; the result is in UTC, or None where the API means "no time".

    The documented form is ``2024-12-02T07:52:25Z``. Also read: offsets, no zone at all (UTC, as the vendor
    documents its times), seven decimals (.NET's default, cut to microseconds), a date alone (midnight UTC).
    None, "", and dates in year 1 (.NET's ``DateTime.MinValue``) stand for no time.

    Raises:
        ValueError: for anything else.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _Unreadable("not a time")
    text = value.strip()
    if not text or text.startswith("0001-"):
        return None
    text = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text, count=1)
    try:
        if _DATE_ONLY.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _Unreadable("not a time") from error


def parse_count(value: object) -> int | None:
    """Reads a whole number that fits in 64 bits, also from a string or a float without a fraction.

    Raises:
        ValueError: for anything else; booleans are not numbers.
    """
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,20}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise _Unreadable("not a whole number")
    return value


def parse_hours(value: object) -> float | None:
    """Reads a duration in hours, documented as a string such as ``"0.011"``.

    Raises:
        ValueError: for anything but a finite number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Unreadable("not a number of hours")
    try:
        hours = float(value)
    except (ValueError, OverflowError) as error:
        raise _Unreadable("not a number of hours") from error
    if not math.isfinite(hours):
        raise _Unreadable("not a number of hours")
    return hours


def parse_flag(value: object) -> bool | None:
    """Reads a boolean, also from the words true and false in any case.

    Raises:
        ValueError: for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _Unreadable("not true or false")


def parse_text(value: object) -> str | None:
    """Reads a text; numbers become their digits, since some APIs of the vendor send ids as numbers.

    Raises:
        ValueError: for lists, objects and booleans.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unreadable("not a text")
    return str(value)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job in the warehouse's words: the row of ``jobs`` and those of its two child tables.

    Rows lack what only the request knows: tenant, location, object_type, job_type and fetched_at.
    """

    job: dict[str, Any]
    details: dict[str, Any]
    errors: list[dict[str, Any]]

    @property
    def id(self) -> str:
        """The job's id, the part of the merge key that the API gives."""
        return str(self.job["id"])


class _Reader:
    """Reads fields of one object and names job, field and value when one cannot be read."""

    def __init__(self, job_id: object, fields: Mapping[str, Any], prefix: str = "") -> None:
        self.job_id, self.fields, self.prefix = job_id, fields, prefix

    def read(self, parse: Any, *names: str) -> Any:
        for name in names:
            if name in self.fields and self.fields[name] is not None:
                try:
                    return parse(self.fields[name])
                except ValueError as error:
                    raise self.unreadable(name, error) from error
        return None

    def unreadable(self, name: str, why: object) -> BadResponseError:
        shown = repr(self.fields.get(name))
        shown = shown if len(shown) <= 120 else shown[:117] + "..."
        return BadResponseError(
            f"Job {self.job_id}: field {self.prefix}{name} has the value {shown}, which is {why}. "
            "Nothing of this partition was loaded. Please report this with the value."
        )


def as_job(raw: object) -> Mapping[str, Any]:
    """The fields of one job of the API.

    Raises:
        BadResponseError: where what should be a job is not an object.
    """
    if not isinstance(raw, Mapping):
        raise BadResponseError(f"The API lists {str(raw)[:120]!r} where a job should be.")
    return raw


def read_id(raw: Mapping[str, Any]) -> str:
    """The id of one job of the API.

    Raises:
        BadResponseError: where there is none.
    """
    job_id: str | None = _Reader(raw.get("id"), raw).read(parse_text, "id")
    if not job_id:
        raise BadResponseError(f"The API lists a job without an id; its fields are {sorted(raw)}.")
    return job_id


def read_job(raw: Mapping[str, Any]) -> JobRecord:
    """Turns one job of the API, of either generation, into warehouse rows; unknown fields are ignored.

    Raises:
        BadResponseError: naming job, field and value where one cannot be read.
    """
    job_id = read_id(raw)
    reader = _Reader(job_id, raw)
    job = {
        "id": job_id,
        "state": reader.read(parse_text, "state"),
        "start_time": reader.read(parse_time, "startTime"),
        "finish_time": reader.read(parse_time, "finishTime"),
        "duration_hours": reader.read(parse_hours, "duration"),
    }
    details = raw.get("backupDetails") or {}
    if not isinstance(details, Mapping):
        raise reader.unreadable("backupDetails", "not an object")
    counts = _Reader(job_id, details, "backupDetails.")
    return JobRecord(
        job,
        {name: counts.read(parse_count, *spellings) for name, spellings in DETAIL_SPELLINGS.items()},
        _read_errors(reader, job_id, raw.get("jobErrors") or []),
    )


def _read_errors(reader: _Reader, job_id: str, raw_errors: object) -> list[dict[str, Any]]:
    if not isinstance(raw_errors, list):
        raise reader.unreadable("jobErrors", "not a list")
    rows = []
    for index, raw in enumerate(raw_errors):
        if not isinstance(raw, Mapping):
            raise reader.unreadable("jobErrors", "not a list of objects")
        fields = _Reader(job_id, raw, f"jobErrors[{index}].")
        rows.append(
            {
                "error_index": index,
                "is_error_code": fields.read(parse_flag, "isErrorCode"),
                "value": fields.read(parse_text, "value"),
                "url": fields.read(parse_text, "url"),
                "number": fields.read(parse_count, "number"),
            }
        )
    return rows
