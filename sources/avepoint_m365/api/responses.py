"""What a response means: a page of jobs, or a failure, which HTTP or the body tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa
import requests

from avepoint_m365.api.body import decode, message, status, told_status
from avepoint_m365.api.failures import failure
from avepoint_m365.api.page import Page
from avepoint_m365.endpoints import EndpointVersion
from avepoint_m365.exceptions import ApiError, BadResponseError, storable
from avepoint_m365.parse.fields import show
from avepoint_m365.parse.jobs import read_documented
from avepoint_m365.parse.names import field_of, key_of
from avepoint_m365.parse.objects import read_ids
from avepoint_m365.parse.values import parse_count
from avepoint_m365.settings import JOBS_SCOPE

Rows: TypeAlias = Sequence[object] | pa.StructArray
"""Jobs as Python's JSON reads them, or as Arrow does."""

JsonBody: TypeAlias = Mapping[str, object] | list[object] | None


def read_page(version: EndpointVersion, where: str, response: requests.Response) -> tuple[Page, Rows]:
    """Return what a page says of itself, and its jobs, which are not parsed yet.

    Raises:
        SourceError: by cause, for any response that is not a page.
    """
    body = read_body(version, where, response, JOBS_SCOPE, documented=True)
    if body is None:
        return Page([], 0, ""), []
    body = _object(body, where)
    key = key_of(body, *version.rows)
    rows = body[key] if key else None
    errors = _errors_beside(version, body, rows, where)
    if key is None:
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    if rows is None:
        rows = []
    if isinstance(rows, str) or not isinstance(rows, Sequence | pa.StructArray):
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    container = field_of(body, *version.paging) if version.paging else body
    paging = [fields for fields in (container, body) if isinstance(fields, Mapping)]
    total, problem = _total(version, paging)
    link, cursor = (_text(paging, names) for names in (version.links, version.cursors))
    page = Page(ids_of(rows), total, version.link(link, cursor), " ".join(filter(None, (errors, problem))))
    return page, rows


def read_body(
    version: EndpointVersion | None, where: str, response: requests.Response, scope: str, documented: bool = False
) -> JsonBody:
    """Return the JSON of a response, None for 204; jobs in the documented form are Arrow, if asked for.

    Raises:
        SourceError: by cause, for any other response.
    """
    answered = status(response)
    if answered == 204:
        return None
    if answered != 200:
        raise failure(answered, decode(response), where, scope, version)
    body = (read_documented(response.content) if documented else None) or decode(response)
    if not isinstance(body, Mapping | list):
        raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
    if told := told_status(body):
        raise failure(told, body, f"{where}, but says {told}", scope, version)
    return body


def _object(body: JsonBody, where: str) -> Mapping[str, object]:
    if not isinstance(body, Mapping):
        raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
    return body


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


def ids_of(rows: Sequence[object] | pa.StructArray) -> list[str]:
    """Return the readable ids of a page, in order; a row without one is left out."""
    if isinstance(rows, pa.StructArray):
        ids: list[str] = rows.field("id").to_pylist()
        return [storable(job_id) for job_id in ids]
    return read_ids(rows)


def _text(paging: Sequence[Mapping[str, object]], names: Sequence[str]) -> str | None:
    """Return the first text under one of the names."""
    values = (field_of(fields, *names) for fields in paging)
    return next((value for value in values if isinstance(value, str)), None)


def _total(version: EndpointVersion, paging: Sequence[Mapping[str, object]]) -> tuple[int | None, str]:
    """Return the total, and what is wrong with it."""
    value = next((value for fields in paging if (value := field_of(fields, *version.totals)) is not None), None)
    try:
        return parse_count(value), ""
    except ValueError:
        return None, f"the total is {show(value)}, which is not a whole number."


def _errors_beside(version: EndpointVersion, body: Mapping[str, object], rows: object, where: str) -> str:
    """Return what the API says of errors beside the jobs.

    Raises:
        ApiError: if errors stand in the place of jobs.
    """
    container = field_of(body, *version.paging) if version.paging else body
    paging = [fields for fields in (container, body) if isinstance(fields, Mapping)]
    said = {name: body[name] for name in ("message", "error") if body.get(name)}
    if rows is None and said and "statusCode" not in body and _total(version, paging)[0] is None:
        # In no envelope, which has a message at all times, and without a total, which would vouch for none.
        raise ApiError(f"{where}, but holds no list of jobs and says: {message(said)}. Try again later.")
    if not body.get("errors"):
        return ""
    errors = message({name: body.get(name) for name in ("message", "errors")}) or "errors without a text"
    if rows is None:
        raise ApiError(f"{where}, but the answer holds errors: {errors}")
    return errors
