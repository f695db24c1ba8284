"""Interpret what stands around a list of jobs under names that the reference does not give.

The vendor may add a field or rename one. If it says that jobs are missing, the list must not count as complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from avepoint_m365.api.body import message
from avepoint_m365.parse.names import JOB_SPELLINGS, field_of, key_of
from avepoint_m365.parse.states import fold

Fields = Mapping[str, object]

_PARTIAL = frozenset(
    {"partial", "ispartial", "partialresult", "partialresults", "truncated", "istruncated", "incomplete"}
    | {"isincomplete", "timedout"}
)
_MORE = frozenset(
    {"more", "hasmore", "hasnext", "hasnextpage", "hasmorepages", "hasmoreresults", "morepages", "moreavailable"}
)
_TOTALS = frozenset({"total", "totalitems", "totalrecords", "totalresults", "totalelements"})
_PAGE_COUNTS = frozenset({"totalpages", "pagecount"})
_AROUND_LINKS = frozenset({"links", "paging", "pagination", "page", "meta", "metadata"})
"""Objects within an envelope that may contain links and totals, by their folded names."""

_PARTIAL_TEXT = re.compile(r"\b(partial(?!ly)|incomplete|truncated|timed out)", re.IGNORECASE)


def announces_more(paging: Sequence[Fields], jobs: int) -> bool:
    """Return whether a field of an unknown name announces a further page.

    Args:
        paging: The objects that may contain total and link.
        jobs: The number of jobs on the page. On an empty page only a flag counts: each page may have a link or a total.
    """
    return any(_announces(name, value, jobs) for name, value in _flattened(paging))


def _announces(name: str, value: object, jobs: int) -> bool:
    if name in _MORE:
        return _is_true(value)
    if name in _TOTALS | _PAGE_COUNTS:
        # A single page of jobs may be cut if there are more jobs, or further pages.
        return jobs > 0 and _is_above(value, jobs if name in _TOTALS else 1)
    # A text as nextLink is followed, or was found to be no link.
    is_known = name == "nextlink" and (value is None or isinstance(value, str))
    return jobs > 0 and "next" in name and not is_known and value not in (None, "", 0, {}, [])


def partial_result(body: Fields, paging: Sequence[Fields]) -> str:
    """Return in words that a response calls itself partial; "" if it does not."""
    flags = (name for name, value in _flattened(paging) if name in _PARTIAL and _is_true(value))
    if flag := next(flags, None):
        return f"the response says that it is partial ({flag})."
    status = str(field_of(body, "statusCode") or "")[:9]
    if status.isdecimal() and 200 < int(status) < 400:
        return f"the response says that its status is {status}."
    texts = (value for name in ("message", "status") if isinstance(value := field_of(body, name), str))
    text = next(filter(_PARTIAL_TEXT.search, texts), None)
    return f"the response says: {message({'message': text})}." if text else ""


def warnings_of(paging: Sequence[Fields]) -> str:
    """Return the warnings of a response, and what it calls an error of the whole; "" without any."""
    names = ("warning", "warnings", "error")
    values = {name: value for fields in paging for name in names if (value := field_of(fields, name))}
    return message(values)


def unlisted_jobs(body: Fields, rows: Sequence[str]) -> str:
    """Return in words that jobs are in a list of an unknown name; ``rows`` are the known names."""
    for name, value in body.items():
        if key_of([name], *rows) is None and isinstance(value, list) and value and looks_like_job(value[0]):
            return f"jobs are in a list of an unknown name ({name})."
    return ""


def looks_like_job(value: object) -> bool:
    """Return whether a JSON value has the id, the state and the start of a job."""
    if not isinstance(value, Mapping):
        return False
    return all(field_of(value, *JOB_SPELLINGS[name]) is not None for name in ("id", "state", "startTime"))


def _flattened(paging: Sequence[Fields]) -> Iterator[tuple[str, object]]:
    """Yield the folded names and the values of objects, and of the objects within them that may contain links."""
    for fields in paging:
        for name, value in fields.items():
            folded = fold(name)
            if isinstance(value, Mapping) and folded in _AROUND_LINKS:
                yield from ((fold(inner), part) for inner, part in value.items())
            else:
                yield folded, value


def _is_true(value: object) -> bool:
    return value is True or str(value).strip().lower() in ("true", "1", "yes")


def _is_above(value: object, number: int) -> bool:
    text = str(value)[:9]
    return text.isascii() and text.isdecimal() and int(text) > number
