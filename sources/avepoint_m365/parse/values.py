"""What comes back: the jobs of one page into columns of the warehouse.

This is the one place where API names become warehouse names. The reference contradicts itself on some
names and leaves the form of many values open, so each is read in every form seen; a value that cannot be read
is an error, never silently null.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.exceptions import BadResponseError, storable
from avepoint_m365.parse.times import in_utc

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
        return in_utc(parsed)
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
        hours = float(value.replace("_", "?")) if isinstance(value, str) else float(value)
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

    What no warehouse can hold becomes U+FFFD.

    Raises:
        ValueError: for lists, objects and booleans.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unreadable("not a text")
    return str(value)


TIME = pa.timestamp("us", tz="UTC")
TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

ERROR_FIELDS = {"is_error_code": FLAG, "value": TEXT, "url": TEXT, "number": COUNT}

FRAME = pa.schema(
    [
        pa.field("id", TEXT, nullable=False),
        ("state", TEXT),
        ("start_time", TIME),
        ("finish_time", TIME),
        ("duration_hours", REAL),
        *((name, COUNT) for name in DETAIL_SPELLINGS),
        ("errors", pa.list_(pa.struct(list(ERROR_FIELDS.items())))),
        ("unknown_fields", TEXT),
    ]
)
"""A row for each job, with its details and errors: what the API says of it. What only the request knows (tenant,
location, object_type, job_type) is added later. ``unknown_fields`` is JSON, null where there are none."""

_KNOWN_FIELDS = frozenset(("id", "state", "startTime", "finishTime", "duration", "backupDetails", "jobErrors"))

SEEN_AT = "seen_at"
"""Added to a frame by whoever fetched it: when, in monotonic nanoseconds, so that of two rows of a job the newer is
known."""

Parse = Callable[[object], Any]

Objects: TypeAlias = Sequence[Mapping[str, Any]] | pa.StructArray
"""Objects as Python's JSON reads them, or as Arrow does."""

Values: TypeAlias = list[object] | pa.Array
"""The values of one field of many objects."""


class _Column:
    """Turns the values of one field, one for each job, into an Arrow array.

    Documented forms are converted by Arrow as a whole; where it finds another form, each value is read by itself.
    That is what makes 100,000 jobs take 1 s instead of 4.
    """

    def __init__(self, type: pa.DataType, parse: Parse, whole: Callable[[Values], pa.Array]) -> None:
        self._type, self._parse, self._whole = type, parse, whole

    def read(self, values: Values, where: Callable[[int], tuple[object, str]]) -> pa.Array:
        """``where`` tells job and field of the value at an index, for the error that names it."""
        try:
            return self._whole(values)
        except (pa.ArrowException, ValueError, OverflowError):
            values = values.to_pylist() if isinstance(values, pa.Array) else values
            return pa.array((self._one(value, index, where) for index, value in enumerate(values)), self._type)

    def _one(self, value: object, index: int, where: Callable[[int], tuple[object, str]]) -> Any:
        try:
            return self._parse(value)
        except ValueError as error:
            raise _unreadable(*where(index), value, error) from error


def _array(values: Values, type: pa.DataType | None = None) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, type)


def _whole_times(values: Values) -> pa.Array:
    times = _array(values, TEXT).cast(TIME)
    years = pc.min_max(pc.year(times)).as_py()
    if years["min"] is not None and not 2 <= years["min"] <= years["max"] <= 9999:
        raise _Unreadable("year 1 stands for no time, and Python knows no years after 9999")
    return times


def _whole_counts(values: Values) -> pa.Array:
    # Given a type, Arrow would cut 1.5 to 1; left to find one, it tells that there are fractions.
    counts = _array(values)
    if counts.type not in (COUNT, pa.null()):
        raise _Unreadable("not whole numbers alone")
    return counts.cast(COUNT)


def _whole_hours(values: Values) -> pa.Array:
    hours = _array(values, TEXT).cast(REAL)
    if not pc.all(pc.is_finite(hours)).as_py():
        raise _Unreadable("not numbers alone")
    return hours


def _whole_texts(values: Values) -> pa.Array:
    texts = _array(values, TEXT)
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise _Unreadable("NUL")
    return texts


_TIMES = _Column(TIME, parse_time, _whole_times)
_COUNTS = _Column(COUNT, parse_count, _whole_counts)
_HOURS = _Column(REAL, parse_hours, _whole_hours)
_TEXTS = _Column(TEXT, parse_text, _whole_texts)
_FLAGS = _Column(FLAG, parse_flag, lambda values: _array(values, FLAG))


def _unreadable(job_id: object, field: str, value: object, why: object) -> BadResponseError:
    shown = repr(value)
    shown = shown if len(shown) <= 120 else shown[:117] + "..."
    return BadResponseError(
        f"Job {job_id}: field {field} has the value {shown}, which is {why}. Nothing that was read with it is loaded. "
        "Please report this with the value."
    )


def _field(objects: Objects, *spellings: str) -> Values:
    """One field of many objects; of several spellings the first that is there."""
    first, *others = spellings
    if isinstance(objects, pa.StructArray):
        found = pc.struct_field(objects, first)
        return pc.coalesce(found, *(pc.struct_field(objects, one) for one in others)) if others else found
    values: list[object] = [one.get(first) for one in objects]
    for spelling in others:
        if None in values or "" in values:
            values = [
                one.get(spelling) if value in (None, "") else value for one, value in zip(objects, values, strict=True)
            ]
    return values


def read_jobs(rows: Sequence[object] | pa.StructArray) -> pa.Table:
    """The jobs of one page, of either generation, as a table of ``FRAME``, in their order.

    ``rows`` are as Python's JSON reads them, or as ``documented`` does.

    Raises:
        BadResponseError: naming job, field and value where one cannot be read.
    """
    jobs = rows if isinstance(rows, pa.StructArray) else [_as_object(row) for row in rows]
    ids = _read_ids(jobs)
    names = ids.to_pylist()

    def column(kind: _Column, field: str) -> pa.Array:
        return kind.read(_field(jobs, field), lambda index: (names[index], field))

    columns = [
        ids,
        column(_TEXTS, "state"),
        column(_TIMES, "startTime"),
        column(_TIMES, "finishTime"),
        column(_HOURS, "duration"),
        *_read_details(jobs, names),
        _read_errors(jobs, names),
        _unknown_fields(jobs),
    ]
    return pa.Table.from_arrays(columns, schema=FRAME)


def _as_object(row: object) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise BadResponseError(f"The API lists {str(row)[:120]!r} where a job should be.")
    return row


def _read_ids(jobs: Objects) -> pa.Array:
    values = _field(jobs, "id")
    ids = _TEXTS.read(values, lambda index: (values[index], "id"))
    if ids.null_count or pc.any(pc.equal(ids, "")).as_py():
        job = next(job for job, job_id in zip(jobs, ids.to_pylist(), strict=True) if not job_id)
        raise BadResponseError(f"The API lists a job without an id; its fields are {sorted(job)}.")
    return ids


def _read_details(jobs: Objects, names: Sequence[str]) -> Iterable[pa.Array]:
    values = _field(jobs, "backupDetails")
    details = values if isinstance(values, pa.Array) else _objects(values, names)
    for spellings in DETAIL_SPELLINGS.values():

        def where(index: int, spellings: tuple[str, ...] = spellings) -> tuple[object, str]:
            spelling = next(one for one in spellings if details[index].get(one) not in (None, ""))
            return names[index], f"backupDetails.{spelling}"

        yield _COUNTS.read(_field(details, *spellings), where)


def _objects(values: list[object], names: Sequence[str]) -> Objects:
    objects: list[Mapping[str, Any]] = []
    for name, value in zip(names, values, strict=True):
        if not isinstance(value or {}, Mapping):
            raise _unreadable(name, "backupDetails", value, "not an object")
        objects.append(value or {})  # type: ignore[arg-type]
    return objects


def _read_errors(jobs: Objects, names: Sequence[str]) -> pa.Array:
    values = _field(jobs, "jobErrors")
    if isinstance(values, pa.Array):
        errors, lengths = values.flatten(), pc.fill_null(pc.list_value_length(values), 0).to_pylist()
    else:
        errors, lengths = _flat(values, names)
    offsets = [0, *accumulate(lengths)]

    def column(kind: _Column, field: str) -> pa.Array:
        def where(index: int) -> tuple[object, str]:
            job = bisect_right(offsets, index) - 1
            return names[job], f"jobErrors[{index - offsets[job]}].{field}"

        return kind.read(_field(errors, field), where)

    fields = [column(_FLAGS, "isErrorCode"), column(_TEXTS, "value"), column(_TEXTS, "url"), column(_COUNTS, "number")]
    structs = pa.StructArray.from_arrays(fields, names=list(ERROR_FIELDS))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)


def _flat(values: list[object], names: Sequence[str]) -> tuple[Objects, list[int]]:
    """All errors of all jobs, and how many each job has."""
    errors: list[Mapping[str, Any]] = []
    lengths: list[int] = []
    for name, value in zip(names, values, strict=True):
        if not isinstance(value or [], list):
            raise _unreadable(name, "jobErrors", value, "not a list")
        for index, error in enumerate(value or []):  # type: ignore[arg-type, var-annotated]
            if not isinstance(error, Mapping):
                raise _unreadable(name, f"jobErrors[{index}]", error, "not an object")
            errors.append(error)
        lengths.append(len(value or []))  # type: ignore[arg-type]
    return errors, lengths


def _unknown_fields(jobs: Objects) -> pa.Array:
    if isinstance(jobs, pa.StructArray):
        return pa.nulls(len(jobs), TEXT)
    return pa.array([_unknown_fields_of(job) for job in jobs], TEXT)


def _unknown_fields_of(job: Mapping[str, Any]) -> str | None:
    if job.keys() <= _KNOWN_FIELDS:
        return None
    return json.dumps(_portable({name: job[name] for name in sorted(job.keys() - _KNOWN_FIELDS)}))


def _portable(value: Any) -> Any:
    """A value of JSON as the JSON of every warehouse takes it, which knows no NaN and no text that is not storable."""
    if isinstance(value, dict):
        return {storable(name): _portable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_portable(one) for one in value]
    if isinstance(value, str):
        return storable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
