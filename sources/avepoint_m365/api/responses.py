"""Interpret a response: a page of jobs, or a failure, which HTTP or the body reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import requests

from avepoint_m365.api.body import error_status, message, parse_body, response_status
from avepoint_m365.api.failures import failure
from avepoint_m365.api.page import PageInfo
from avepoint_m365.constants import JOBS_SCOPE
from avepoint_m365.endpoints import EndpointVersion
from avepoint_m365.exceptions import ApiError, BadResponseError, storable
from avepoint_m365.parse.fields import show
from avepoint_m365.parse.names import field_of, key_of
from avepoint_m365.parse.objects import read_ids
from avepoint_m365.parse.outline import outline
from avepoint_m365.parse.values import parse_count

JsonBody: TypeAlias = Mapping[str, object] | list[object] | None


class PageContent(NamedTuple):
    """Hold a page and its jobs, which are not parsed yet."""

    page: PageInfo
    rows: Sequence[object] = ()
    content: bytes = b""
    """The list of jobs as JSON, without brackets, instead of ``rows``; for bodies in the documented form."""


def read_page(version: EndpointVersion, where: str, response: requests.Response) -> PageContent:
    """Return a page, and its jobs as they arrived.

    Raises:
        SourceError: by cause, for any response that is not a page.
    """
    if (
        response_status(response) == 200
        and (shape := outline(response.content))
        and key_of(shape.around, *version.rows) == shape.container
    ):
        body, content = shape.around, response.content[shape.begin : shape.end]
        rows, ids = list[object](), shape.ids
    else:
        body, content = _object(read_body(version, where, response, JOBS_SCOPE), where), b""
        rows = _rows(version, body, where)
        ids = read_ids(rows)
    check_status(version, body, where, JOBS_SCOPE)
    container = field_of(body, *version.paging) if version.paging else body
    paging = [fields for fields in (container, body) if isinstance(fields, Mapping)]
    total, problem = _total(version, paging)
    problems = filter(None, (_reported_errors(body), problem))
    link, cursor = (_text(paging, names) for names in (version.links, version.cursors))
    if body is _NO_CONTENT:
        total, link = 0, ""
    absent = body is _NO_CONTENT or (not content and field_of(body, *version.rows) is None)
    return PageContent(PageInfo(ids, total, version.link(link, cursor), " ".join(problems), absent), rows, content)


def read_body(version: EndpointVersion | None, where: str, response: requests.Response, scope: str) -> JsonBody:
    """Return the JSON of a response, None for 204.

    Raises:
        SourceError: by cause, for any other response.
    """
    answered = response_status(response)
    if answered == 204:
        return None
    if answered != 200:
        raise failure(answered, parse_body(response), where, scope, version)
    body = parse_body(response)
    if not isinstance(body, Mapping | list):
        raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
    check_status(version, body, where, scope)
    return body


def check_status(version: EndpointVersion | None, body: object, where: str, scope: str) -> None:
    """Do nothing unless a body tells of an error beside a status of 200.

    Raises:
        SourceError: by the status that the body tells.
    """
    if answered := error_status(body):
        raise failure(answered, body, f"{where}, but says {answered}", scope, version)


_NO_CONTENT: Mapping[str, object] = {"jobs": [], "data": []}
"""The body that a 204 stands for."""


def _object(body: JsonBody, where: str) -> Mapping[str, object]:
    if body is None:
        return _NO_CONTENT
    if not isinstance(body, Mapping):
        raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
    return body


def _rows(version: EndpointVersion, body: Mapping[str, object], where: str) -> list[object]:
    """Return the list of jobs; an empty one if it is null.

    Raises:
        SourceError: if there is none, or errors stand in its place.
    """
    key = key_of(body, *version.rows)
    rows = body[key] if key else None
    if rows is None and body is not _NO_CONTENT:
        _refuse_errors(version, body, where)
        rows = [] if key else None
    if body is _NO_CONTENT:
        rows = []
    if not isinstance(rows, list):
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    return rows


def read_job(version: EndpointVersion, where: str, response: requests.Response) -> list[object]:
    """Return the single job of a response, in a list; an empty list if there is none.

    Raises:
        SourceError: by cause, for any other response.
    """
    body = read_body(version, where, response, JOBS_SCOPE)
    if body is None:
        return []
    body = _object(body, where)
    key = key_of(body, *version.rows, "job")
    job = body[key] if key else body
    return [row for row in (job if isinstance(job, list) else [job]) if isinstance(row, Mapping)]


def _text(paging: Sequence[Mapping[str, object]], names: Sequence[str]) -> str | None:
    """Return the first text under one of the names; half of a surrogate pair would fit into no request."""
    values = (field_of(fields, *names) for fields in paging)
    return next((storable(value) for value in values if isinstance(value, str)), None)


def _total(version: EndpointVersion, paging: Sequence[Mapping[str, object]]) -> tuple[int | None, str]:
    """Return the total, and what is wrong with it."""
    value = next((value for fields in paging if (value := field_of(fields, *version.totals)) is not None), None)
    try:
        return parse_count(value), ""
    except ValueError:
        return None, f"the total is {show(value)}, which is not a whole number."


def _refuse_errors(version: EndpointVersion, body: Mapping[str, object], where: str) -> None:
    """Do nothing unless errors stand in the place of jobs.

    Raises:
        ApiError: if they do.
    """
    container = field_of(body, *version.paging) if version.paging else body
    paging = [fields for fields in (container, body) if isinstance(fields, Mapping)]
    words = {name: body[name] for name in ("message", "error") if body.get(name)}
    if words and "statusCode" not in body and _total(version, paging)[0] is None:
        # In no envelope, which has a message at all times, and without a total, which would vouch for none.
        raise ApiError(f"{where}, but holds no list of jobs and says: {message(words)}. Try again later.")
    if errors := _reported_errors(body):
        raise ApiError(f"{where}, but the answer holds errors: {errors}")


def _reported_errors(body: Mapping[str, object]) -> str:
    """Return the errors that an envelope reports beside its data."""
    if not body.get("errors"):
        return ""
    return message({name: body.get(name) for name in ("message", "errors")}) or "errors without a text"
