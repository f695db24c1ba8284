"""Parse bodies in the documented form, from JSON straight into Arrow: the fast parser.

100,000 jobs need 0.3 s of a processor that way, and other threads run meanwhile. Python's JSON and its dictionaries
need 0.9 s that no other thread can use. Any other form is left to the tolerant parser (``objects``).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from avepoint_m365.parse.fields import JobFields
from avepoint_m365.parse.frame import COUNT, FLAG, TEXT
from avepoint_m365.parse.names import DETAIL_SPELLINGS, ERROR_SPELLINGS

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
_PAGE = pj.ParseOptions(explicit_schema=pa.schema([("jobs", pa.list_(_JOB))]), unexpected_field_behavior="error")


def read_documented(lists: Sequence[bytes]) -> pa.ListArray | None:
    """Return the jobs of pages, a list of structs for each; ``lists`` are their JSON without the brackets around it.

    None where a value or a field of a job has a form that is not documented. The JSON must not be too deep: Arrow
    descends a level with each call, and some thousands of them end the process.
    """
    content = b"".join(part for jobs in lists for part in (b'{"jobs":[', jobs, b"]}\n"))
    try:
        table = pj.read_json(
            pa.BufferReader(content), pj.ReadOptions(use_threads=False, block_size=len(content) + 1), _PAGE
        )
        # Arrow does not look whether texts are UTF-8.
        table.validate(full=True)
    except (pa.ArrowException, UnicodeError):
        return None
    pages = table["jobs"].combine_chunks()
    if len(pages) != len(lists) or pages.null_count:
        return None
    jobs = pages.values
    nameless = pc.any(pc.equal(pc.fill_null(jobs.field("id"), ""), "")).as_py()
    if nameless or jobs.null_count or jobs.field("jobErrors").flatten().null_count:
        return None
    return pages


def documented_fields(jobs: pa.StructArray) -> JobFields:
    """Return the fields of jobs that ``read_documented`` returned."""
    details, errors = pc.struct_field(jobs, "backupDetails"), pc.struct_field(jobs, "jobErrors")
    each = errors.flatten()
    return JobFields(
        pc.struct_field(jobs, "id"),
        {name: pc.struct_field(jobs, name) for name in ("state", "startTime", "finishTime", "duration")},
        {
            name: pc.coalesce(*(pc.struct_field(details, spelling) for spelling in spellings))
            for name, spellings in _DETAILS.items()
        },
        pc.fill_null(pc.list_value_length(errors), 0),
        {name: pc.struct_field(each, name) for name in ERROR_SPELLINGS},
        pa.nulls(len(jobs), TEXT),
    )
