"""Read the body of a response: its JSON, the status that it contains, and its error message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial

import requests

from avepoint_m365.parse.depth import is_too_deep
from avepoint_m365.parse.names import field_of
from avepoint_m365.parse.outline import surroundings_of
from avepoint_m365.parse.times import in_utc
from avepoint_m365.text import storable

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-ms-request-id")

_ERROR_STATUS = re.compile(rb'"statusCode"\s*:\s*"?[4-9]\d\d', re.IGNORECASE)
"""The status of an error in a body. A body without it is no error, and is not decoded to find out."""

_SEARCHED_BYTES = 4096
"""Bytes at both ends of a body that are searched for an error; between them lie the jobs of a page."""


def response_status(response: requests.Response) -> int:
    """Return the status of a response: with HTTP status 200, that of an error in its body if it contains one."""
    content = response.content
    if response.status_code == 200 and any(
        map(_ERROR_STATUS.search, (content[:_SEARCHED_BYTES], content[-_SEARCHED_BYTES:]))
    ):
        return error_status(parse_body(response)) or 200
    return response.status_code


def error_status(body: object) -> int | None:
    """Return the status of an error in a body; None without one."""
    # Python refuses to parse numbers of thousands of digits.
    text = str(field_of(body, "statusCode") or "")[:9] if isinstance(body, Mapping) else ""
    return int(text) if text.isdecimal() and int(text) >= 400 else None


def is_truncated(response: requests.Response) -> bool:
    """Return whether a body is incomplete or no JSON, since a proxy shortened or replaced it.

    Its last character, what surrounds the jobs of a page, and matching braces tell whether the end has arrived. If they
    leave a doubt, the body is decoded.
    """
    content = response.content
    if content[-64:].rstrip()[-1:] not in (b"}", b"]"):
        return True
    # Counting braces needs 2 % of the instructions of a first load of 100,000 jobs.
    return (
        surroundings_of(content) is None and content.count(b"{") != content.count(b"}") and parse_body(response) is None
    )


def describe(path: str, params: Mapping[str, str], response: requests.Response) -> str:
    """Return a request and its response in words: path, parameters, status, and the request id for the vendor."""
    query = " ".join(f"{name}={value}" for name, value in params.items())
    ids = (response.headers.get(name) for name in REQUEST_ID_HEADERS)
    request_id = next((text for text in ids if text), None)
    status = response_status(response)
    return (
        f"GET {path} ({query}) answered {response.status_code}"
        + (f", but says {status}" if status != response.status_code else "")
        + (f", request id {request_id}" if request_id else "")
    )


def server_time(response: requests.Response) -> datetime | None:
    """Return the server's time in UTC, from the header ``Date``; None if that is missing or invalid."""
    try:
        moment = parsedate_to_datetime(response.headers.get("Date") or "")
        return in_utc(moment)
    except (TypeError, ValueError, OverflowError):
        return None


def announced_end(response: requests.Response) -> str:
    """Return the day on which the API ends the endpoint, or in words that it is deprecated; "" if it says neither.

    The header ``Sunset`` (RFC 8594) is a date. ``Deprecation`` is a time (RFC 9745), or ``true`` in its drafts.
    """
    headers = response.headers
    if sunset := headers.get("Sunset"):
        try:
            return f"{in_utc(parsedate_to_datetime(sunset)):%Y-%m-%d}"
        except (TypeError, ValueError, OverflowError):
            return storable(sunset[:100])
    return "a later day" if headers.get("Deprecation", "false").lower() != "false" else ""


def parse_body(response: requests.Response) -> object:
    """Return the JSON of a body; None if it is not JSON, or nested too deep.

    It is decoded as UTF-8, whatever the header says, and only then by the encoding of the header.
    """
    if is_too_deep(response.content):
        return None
    for parse in (partial(json.loads, response.content), response.json):
        try:
            # Not strict: a line break within a text, which JSON forbids, does no harm.
            return parse(strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def message(body: object) -> str:
    """Return the API's text about an error: the messages of its envelope, or all texts of another object.

    It is empty for HTML and an empty body.
    """
    if not isinstance(body, Mapping):
        return ""
    errors = body.get("errors")
    details = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    texts = [str(text) for text in (body.get("message"), *(detail.get("message") for detail in details)) if text]
    # The envelope often repeats a message.
    return storable(" ".join(dict.fromkeys(text[:200] for text in texts or _texts(body))))[:1000]


def _texts(value: object) -> Iterator[str]:
    """Yield all texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
