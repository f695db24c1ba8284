"""Interpret a response: a page of jobs, or a failure that the status or the body reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import requests

from avepoint_m365.api.body import error_status, message, parse_body, response_status
from avepoint_m365.api.envelope import announces_more, looks_like_job, partial_result, unlisted_jobs, warnings_of
from avepoint_m365.api.failures import failure
from avepoint_m365.api.page import PageInfo
from avepoint_m365.constants import JOBS_SCOPE
from avepoint_m365.endpoints import EndpointVersion
from avepoint_m365.exceptions import ApiError, BadResponseError
from avepoint_m365.parse.fields import show
from avepoint_m365.parse.names import field_of, key_of
from avepoint_m365.parse.objects import read_ids
from avepoint_m365.parse.outline import outline
from avepoint_m365.parse.values import parse_count
from avepoint_m365.text import storable

JsonBody: TypeAlias = Mapping[str, object] | list[object] | None


class PageContent(NamedTuple):
    """Hold a page and its jobs before they are parsed."""

    info: PageInfo
    rows: Sequence[object] = ()
    content: bytes = b""
    """The list of jobs as JSON, without its brackets, in place of ``rows``; for bodies in the documented form."""


NO_CONTENT = PageContent(PageInfo((), 0, "", without_list=True))
"""The page of a 204."""


def read_page(version: EndpointVersion, request: str, response: requests.Response) -> PageContent:
    """Return a page, and its jobs before they are parsed; ``request`` is the request in words (``describe``).

    Raises:
        SourceError: by cause, for any response that is not a page.
    """
    if (
        response_status(response) == 200
        and (shape := outline(response.content))
        and key_of(shape.surroundings.around, *version.rows) == shape.surroundings.container
    ):
        body, content = shape.surroundings.around, shape.jobs
        rows, ids = list[object](), shape.ids
        _refuse_error_status(version, body, request, JOBS_SCOPE)
    else:
        parsed = _read_object(version, request, response)
        if parsed is None:
            return NO_CONTENT
        body, content = parsed, b""
        rows = _rows(version, body, request)
        ids = read_ids(rows)
    paging = _paging_fields(version, body)
    total, problem = _total(version, paging)
    unlisted = unlisted_jobs(body, version.rows)
    problems = filter(None, (*map(_reported_errors, paging), problem, partial_result(body, paging), unlisted))
    link, cursor = (_text(paging, names) for names in (version.links, version.cursors))
    info = PageInfo(
        ids,
        total,
        version.link(link, cursor),
        errors=" ".join(dict.fromkeys(problems)),
        without_list=not content and field_of(body, *version.rows) is None,
        announces_more=announces_more(paging, len(ids)),
        warnings=warnings_of(paging),
    )
    return PageContent(info, rows, content)


def read_body(version: EndpointVersion | None, request: str, response: requests.Response, scope: str) -> JsonBody:
    """Return the JSON of a response, None for 204.

    Raises:
        SourceError: by cause, for any other response.
    """
    status = response_status(response)
    if status == 204:
        return None
    if status != 200:
        raise failure(status, parse_body(response), request, scope, version)
    body = parse_body(response)
    if not isinstance(body, Mapping | list):
        raise _unreadable(request, response.content)
    _refuse_error_status(version, body, request, scope)
    return body


def _read_object(version: EndpointVersion, request: str, response: requests.Response) -> Mapping[str, object] | None:
    """Return the JSON object of a response about jobs, None for 204.

    Raises:
        SourceError: by cause, for any other response.
    """
    body = read_body(version, request, response, JOBS_SCOPE)
    if isinstance(body, list):
        raise _not_an_object(request)
    return body


def _refuse_error_status(version: EndpointVersion | None, body: object, request: str, scope: str) -> None:
    """Raise the error of a body that contains the status of an error, although that of HTTP is 200.

    Raises:
        SourceError: by the status in the body.
    """
    if status := error_status(body):
        raise failure(status, body, f"{request}, but says {status}", scope, version)


def refuse_reported_errors(body: JsonBody, request: str) -> None:
    """Raise an error if a body reports errors, although its status is 200.

    Raises:
        ApiError: if it has. Its data may be missing or cut, and settings that it lacks would count as switched off.
    """
    if isinstance(body, Mapping) and (errors := _reported_errors(body)):
        raise ApiError(f"{request}, but the response contains errors: {errors}")


def _unreadable(request: str, content: bytes) -> BadResponseError:
    """Return the error of a body that is no JSON, or that begins as JSON and cannot be read."""
    if content.lstrip()[:1] in (b"{", b"["):
        problem = (
            "the answer is JSON that is cut, damaged or nested too deep. Load again: a proxy may have shortened it."
        )
        return BadResponseError(f"{request}: {problem}")
    return _not_an_object(request)


def _not_an_object(request: str) -> BadResponseError:
    return BadResponseError(f"{request}: the answer is not a JSON object. Is base_url the API's host?")


def _rows(version: EndpointVersion, body: Mapping[str, object], request: str) -> list[object]:
    """Return the list of jobs; an empty one if it is null.

    The lists of both generations may be there, one of them null, empty or with other jobs.

    Raises:
        SourceError: if the body has no list, or errors in its place.
    """
    values = [body[key] for name in version.rows if (key := key_of(body, name))]
    lists = [value for value in values if isinstance(value, list) and value]
    if lists:
        return [*lists[0], *(row for value in lists[1:] for row in value if looks_like_job(row))]
    key = key_of(body, *version.rows)
    rows = body[key] if key else None
    if rows is None:
        _refuse_errors(version, body, request)
        rows = [] if key else None
    if not isinstance(rows, list):
        raise BadResponseError(
            f"{request}: the response contains no list of jobs; its fields are {sorted(body)}. Check base_url."
        )
    return rows


def read_job(version: EndpointVersion, request: str, response: requests.Response) -> list[object]:
    """Return the single job of a response in a list; an empty list without one.

    Raises:
        SourceError: by cause, for any other response.
    """
    body = _read_object(version, request, response)
    if body is None:
        return []
    key = key_of(body, *version.rows, "job")
    job = body[key] if key else body
    return [row for row in (job if isinstance(job, list) else [job]) if isinstance(row, Mapping)]


def _paging_fields(version: EndpointVersion, body: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the objects that may contain total and link, by precedence."""
    container = field_of(body, *version.paging)
    return [fields for fields in (container, body) if isinstance(fields, Mapping)]


def _text(paging: Sequence[Mapping[str, object]], names: Sequence[str]) -> str | None:
    """Return the first text under one of the names, without characters that no request can contain."""
    values = (field_of(fields, *names) for fields in paging)
    return next((storable(value) for value in values if isinstance(value, str)), None)


def _total(version: EndpointVersion, paging: Sequence[Mapping[str, object]]) -> tuple[int | None, str]:
    """Return the total, and a problem in words if it is no number."""
    value = next((value for fields in paging if (value := field_of(fields, *version.totals)) is not None), None)
    try:
        return parse_count(value), ""
    except ValueError:
        return None, f"the total is {show(value)}, which is not a whole number."


def _refuse_errors(version: EndpointVersion, body: Mapping[str, object], request: str) -> None:
    """Raise an error if a body has errors in place of jobs.

    Raises:
        ApiError: if it has.
    """
    texts = {name: body[name] for name in ("message", "error") if body.get(name)}
    if texts and "statusCode" not in body and _total(version, _paging_fields(version, body))[0] is None:
        # The documented envelope always has a message beside its statusCode, and a total of 0 proves an empty list.
        raise ApiError(f"{request}, but holds no list of jobs and says: {message(texts)}. Try again later.")
    refuse_reported_errors(body, request)


def _reported_errors(body: Mapping[str, object]) -> str:
    """Return the errors that an envelope reports beside its data."""
    if not field_of(body, "errors"):
        return ""
    return message({name: field_of(body, name) for name in ("message", "errors")}) or "errors without a text"
