"""Read the body of a response: its JSON, the status that it contains, and its error message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial

import requests

from avepoint_m365.exceptions import storable
from avepoint_m365.parse.depth import is_too_deep
from avepoint_m365.parse.times import in_utc

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-ms-request-id")

_TELLS_OF_AN_ERROR = re.compile(rb'"statusCode"\s*:\s*"?[4-9]\d\d')
"""In bodies that may tell of an error beside 200; the others need not be decoded to know."""

_EDGE = 4096
"""Bytes at both ends of a body that are searched for it. An error is short, and jobs fill what lies between."""


def response_status(response: requests.Response) -> int:
    """Return the status of a response: beside HTTP's 200, that of an error which the body tells."""
    content = response.content
    if response.status_code == 200 and any(map(_TELLS_OF_AN_ERROR.search, (content[:_EDGE], content[-_EDGE:]))):
        return error_status(parse_body(response)) or 200
    return response.status_code


def error_status(body: object) -> int | None:
    """Return the status of an error that a body tells; None without one."""
    # Cut where Python would refuse to make a number of it.
    text = str(body.get("statusCode", ""))[:9] if isinstance(body, Mapping) else ""
    return int(text) if text.isdecimal() and int(text) >= 400 else None


def is_cut(response: requests.Response) -> bool:
    """Return true if a body is no whole JSON, because a proxy cut or replaced it; it is decoded only in doubt."""
    content = response.content
    if content[-64:].rstrip()[-1:] not in (b"}", b"]"):
        return True
    return content.count(b"{") != content.count(b"}") and parse_body(response) is None


def describe(path: str, params: Mapping[str, str], response: requests.Response) -> str:
    """Return where something happened: path, parameters, status and the request id worth quoting to the vendor."""
    asked = " ".join(f"{name}={value}" for name, value in params.items())
    ids = (response.headers.get(name) for name in REQUEST_ID_HEADERS)
    request_id = next((text for text in ids if text), None)
    answered = response_status(response)
    return (
        f"GET {path} ({asked}) answered {response.status_code}"
        + (f", but says {answered}" if answered != response.status_code else "")
        + (f", request id {request_id}" if request_id else "")
    )


def server_time(response: requests.Response) -> datetime | None:
    """Return the server's clock in UTC, from the header ``Date``."""
    try:
        moment = parsedate_to_datetime(response.headers.get("Date") or "")
        return in_utc(moment)
    except (TypeError, ValueError, OverflowError):
        return None


def parse_body(response: requests.Response) -> object:
    """Return the body; None if it is not JSON, or nested too deep.

    It is UTF-8 even if the header names another encoding; if it is not UTF-8, the header counts.
    """
    if is_too_deep(response.content):
        return None
    for read in (partial(json.loads, response.content), response.json):
        try:
            # A line break in a text that is not escaped does no harm.
            return read(strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def message(body: object) -> str:
    """Return the API's words for an error: those of its envelope, or all texts of another object.

    HTML and an empty body have none.
    """
    if not isinstance(body, Mapping):
        return ""
    errors = body.get("errors")
    details = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    texts = [str(text) for text in (body.get("message"), *(detail.get("message") for detail in details)) if text]
    # The envelope often says the same twice.
    return storable(" ".join(dict.fromkeys(text[:200] for text in texts or _texts(body))))[:1000]


def _texts(value: object) -> Iterator[str]:
    """Yield all texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
