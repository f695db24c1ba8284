"""Bodies in the documented form, from JSON straight into Arrow: the fast parser.

100,000 jobs take 0.3 s of a processor that way, beside other threads, where Python's JSON and its dictionaries take
0.9 s that no other thread can use. Any other form is left to the tolerant parser (``objects``).
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from avepoint_m365.parse.fields import JobFields
from avepoint_m365.parse.names import DETAIL_SPELLINGS, ERROR_SPELLINGS
from avepoint_m365.parse.values import COUNT, FLAG, TEXT

_DETAILS = {name: spellings[:2] for name, spellings in DETAIL_SPELLINGS.items()}
"""Column to the vendor's spellings of its count: the table's, then the sample's."""

_ERROR = pa.struct([("isErrorCode", FLAG), ("value", TEXT), ("url", TEXT), ("number", COUNT)])
_JOB = pa.struct(
    [
        *((name, TEXT) for name in ("id", "state", "startTime", "finishTime", "duration")),
        ("backupDetails", pa.struct([(name, COUNT) for names in _DETAILS.values() for name in names])),
        ("jobErrors", pa.list_(_ERROR)),
    ]
)
_LISTS = pa.schema([("jobs", pa.list_(_JOB)), ("data", pa.list_(_JOB))])
"""Where the two generations of the endpoint have their jobs."""
_EXPECTED = _LISTS.append(pa.field("timestamp", TEXT))
"""With the time that the second generation puts on its answers. Arrow would make a time of it, and Python has none for
every time of Arrow's."""

_FORM = pj.ParseOptions(explicit_schema=_EXPECTED, unexpected_field_behavior="infer")

DEEPEST = 100
"""Levels that JSON is read to. Documented are six."""

_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEPS = bytes(set(range(256)) - set(b"[{]}"))
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def is_too_deep(content: bytes) -> bool:
    """Whether JSON is nested deeper than ``DEEPEST``.

    Arrow goes down a level with each call, and some thousands of them end the process; Python gives up at a thousand.
    """
    # Brackets in texts are taken out only where they might be the reason: that takes ten times as long.
    return _depth(content) > DEEPEST and _depth(_TEXT.sub(b"", content)) > DEEPEST


def _depth(content: bytes) -> int:
    """The most brackets that are open at once."""
    steps = content.translate(_STEPS, _NO_STEPS)
    signs = pa.Array.from_buffers(pa.int8(), len(steps), [None, pa.py_buffer(steps)])
    return pc.max(pc.cumulative_sum(signs.cast(pa.int32()))).as_py() or 0


def read_documented(content: bytes) -> dict[str, object] | None:
    """The body of an answer, with its jobs as an array of structs under the name that they have in it.

    None where a value or a field of a job has a form that is not documented, or where there is no list of jobs.
    """
    if is_too_deep(content):
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(content),
            pj.ReadOptions(use_threads=False, block_size=len(content) + 1),
            _FORM,
        )
        # Arrow does not look whether texts are UTF-8.
        table.validate(full=True)
    except (pa.ArrowException, UnicodeError):
        return None
    found = [name for name in _LISTS.names if table.num_rows == 1 and table[name].null_count == 0]
    if len(found) != 1 or table.schema.field(found[0]).type != _LISTS.field(found[0]).type:
        return None
    jobs = table[found[0]].chunk(0).flatten()
    nameless = pc.any(pc.equal(pc.fill_null(jobs.field("id"), ""), "")).as_py()
    if nameless or jobs.null_count or jobs.field("jobErrors").flatten().null_count:
        return None
    around = table.drop_columns(_LISTS.names)
    if any(_holds_times(type) for type in around.schema.types):
        # Made of a text, perhaps of a link.
        return None
    rest: dict[str, object] = around.to_pylist()[0]
    if rest["timestamp"] is None:
        del rest["timestamp"]
    return {**rest, found[0]: jobs}


def _holds_times(type: pa.DataType) -> bool:
    """Whether a type is one of times, or has one within."""
    inner = (type.field(index).type for index in range(type.num_fields))
    return pa.types.is_timestamp(type) or any(map(_holds_times, inner))


def documented_fields(jobs: pa.StructArray) -> JobFields:
    """Return the fields of jobs that ``read_documented`` gave."""
    details, errors = pc.struct_field(jobs, "backupDetails"), pc.struct_field(jobs, "jobErrors")
    each = errors.flatten()
    return JobFields(
        pc.struct_field(jobs, "id"),
        {name: pc.struct_field(jobs, name) for name in ("state", "startTime", "finishTime", "duration")},
        {
            name: pc.coalesce(*(pc.struct_field(details, spelling) for spelling in spellings))
            for name, spellings in _DETAILS.items()
        },
        pc.fill_null(pc.list_value_length(errors), 0).to_pylist(),
        {name: pc.struct_field(each, name) for name in ERROR_SPELLINGS},
        pa.nulls(len(jobs), TEXT),
    )
