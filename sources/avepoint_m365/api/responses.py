"""What an answer of the jobs endpoint says: a page of jobs, or which failure, be it told by HTTP or by the body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import requests

from avepoint_m365.api.pagination import Page, Params
from avepoint_m365.exceptions import (
    ApiError,
    AuthenticationError,
    BadResponseError,
    EndpointMissingError,
    MissingPermissionError,
    RefusedParametersError,
    SourceError,
    ThrottledError,
    storable,
)
from avepoint_m365.parse.jobs import is_too_deep, read_documented
from avepoint_m365.parse.values import parse_count
from avepoint_m365.settings import JOBS_SCOPE, Endpoint

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-ms-request-id")


_TELLS_OF_AN_ERROR = re.compile(rb'"statusCode"\s*:\s*"?[4-9]\d\d')
"""Found in bodies that may tell of an error beside 200, so that the others need not be read to know."""

_EDGE = 4096
"""Bytes at both ends of a body that are searched for it. An error is short, and what lies between is jobs."""


def read_page(endpoint: Endpoint, params: Params, response: requests.Response) -> Page:
    """The page that an answer brings; its jobs are not read yet.

    Raises:
        SourceError: by cause, for any answer that is no page; see ``errors``.
    """
    answered, where = status(response), _describe(endpoint, params, response)
    if answered == 204:
        return Page([], 0, "")
    if answered != 200:
        raise _failure(answered, _json(response), where)
    body = read_documented(response.content) or _json(response)
    if not isinstance(body, Mapping):
        raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
    if told := _error_told(body):
        raise _failure(told, body, f"{where}, but says {told}")
    errors = _errors_beside(body, where)
    return replace(_READERS[endpoint](body, where), errors=errors)


def _errors_beside(body: Mapping[str, Any], where: str) -> str:
    """What is said of errors beside the jobs.

    Raises:
        ApiError: where it stands in the place of jobs.
    """
    no_jobs = body.get("data") is None and body.get("jobs") is None
    said = {name: body[name] for name in ("message", "error") if body.get(name)}
    if no_jobs and said and "statusCode" not in body and _total(body, where) is None:
        # In no envelope, which has a message at all times, and without a total, which would vouch for none.
        raise ApiError(f"{where}, but holds no list of jobs and says: {_message(said)}. Try again later.")
    if not body.get("errors"):
        return ""
    errors = _message({name: body.get(name) for name in ("message", "errors")}) or "errors without a text"
    if no_jobs:
        raise ApiError(f"{where}, but the answer holds errors: {errors}")
    return errors


def status(response: requests.Response) -> int:
    """The status of an answer: where HTTP says 200, that of an error which the body tells of."""
    content = response.content
    if response.status_code == 200 and any(map(_TELLS_OF_AN_ERROR.search, (content[:_EDGE], content[-_EDGE:]))):
        return _error_told(_json(response)) or 200
    return response.status_code


def _error_told(body: object) -> int | None:
    """The status of an error that a body tells of, if it does."""
    # Cut where Python would refuse to make a number of it.
    said = str(body.get("statusCode", ""))[:9] if isinstance(body, Mapping) else ""
    return int(said) if said.isdecimal() and int(said) >= 400 else None


def is_cut(response: requests.Response) -> bool:
    """Whether an answer's body is no whole object of JSON, since a proxy cut or replaced it; read only where it may be
    so."""
    content = response.content
    if content[-64:].rstrip()[-1:] != b"}":
        return True
    return content.count(b"{") != content.count(b"}") and _json(response) is None


def _describe(endpoint: Endpoint, params: Params, response: requests.Response) -> str:
    """Where something happened: path, parameters, status and the request id worth quoting to the vendor."""
    asked = " ".join(f"{name}={value}" for name, value in params.items())
    ids = (response.headers.get(name) for name in REQUEST_ID_HEADERS)
    request_id = next((one for one in ids if one), None)
    said = status(response)
    return (
        f"GET {endpoint.path} ({asked}) answered {response.status_code}"
        + (f", but says {said}" if said != response.status_code else "")
        + (f", request id {request_id}" if request_id else "")
    )


def _json(response: requests.Response) -> Any:
    """The body; None where it is not JSON, or nested deeper than anybody's. It is UTF-8, whatever the header says, or
    else what the header says."""
    if is_too_deep(response.content):
        return None
    for read in (partial(json.loads, response.content), response.json):
        try:
            # A line break in a text that is not escaped does no harm.
            return read(strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _message(body: object) -> str:
    """What the API says of an error: in its envelope, or all texts of another object; nothing where the body is HTML or
    empty."""
    if not isinstance(body, Mapping):
        return ""
    errors = body.get("errors")
    details = [one for one in errors if isinstance(one, Mapping)] if isinstance(errors, list) else []
    said = [str(text) for text in (body.get("message"), *(one.get("message") for one in details)) if text]
    # The envelope often says the same twice.
    return storable(" ".join(dict.fromkeys(text[:200] for text in said or _texts(body))))[:1000]


def _texts(value: object) -> Iterator[str]:
    """All texts within a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _failure(status: int, body: object, where: str) -> SourceError:
    said = _message(body)
    text = f"{where}{': ' + said if said else ''}".removesuffix(".") + "."
    if status == 401:
        return AuthenticationError(f"{text} A fresh token is refused as well: look at environment and data_center.")
    if status == 403:
        return MissingPermissionError(
            f"{text} Grant the permission {JOBS_SCOPE} to the app registration in AvePoint Online Services."
        )
    if status in (404, 405, 410):
        return EndpointMissingError(f"{text} This host does not have this endpoint: look at endpoint and base_url.")
    if status == 400:
        return RefusedParametersError(
            f"{text} The API refuses a parameter: look at start_date, page_size, and at locations, which are for "
            "Multi-Geo tenants only."
        )
    if status == 429:
        return ThrottledError(f"{text} It still throttles after all retries: lower concurrency or try later.")
    if 300 <= status < 400:
        return ApiError(f"{text} Redirects are not followed, to keep the token safe: look at base_url.")
    return ApiError(f"{text} Try again later; if it stays, give the vendor the request id.")


def _total(fields: Mapping[str, Any], where: str) -> int | None:
    # The vendor's table says totalNumber, its sample totalCount.
    values = [fields[name] for name in ("totalNumber", "totalCount") if fields.get(name) is not None]
    try:
        return parse_count(values[0]) if values else None
    except ValueError as error:
        raise BadResponseError(f"{where}: the total is {values[0]!r}, which is {error}.") from error


def _page(body: Mapping[str, Any], rows: object, paging: object, where: str) -> Page:
    if rows is None:
        rows = []
    if isinstance(rows, str) or not isinstance(rows, Sequence | pa.StructArray):
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    fields = paging if isinstance(paging, Mapping) else {}
    link = fields.get("nextLink")
    return Page(rows, _total(fields, where), link if isinstance(link, str) else None)


def _first_generation(body: Mapping[str, Any], where: str) -> Page:
    if "jobs" not in body:
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    return _page(body, body["jobs"], body, where)


def _second_generation(body: Mapping[str, Any], where: str) -> Page:
    if "data" not in body:
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    return _page(body, body["data"], body.get("metadata"), where)


_READERS: dict[Endpoint, Callable[[Mapping[str, Any], str], Page]] = {
    Endpoint.jobs: _first_generation,
    Endpoint.cloudbackupjobs: _second_generation,
}
