"""Make the error for a status: the API's text, and the cure for the user."""

from __future__ import annotations

import re
from collections.abc import Mapping

from avepoint_m365.api.body import message
from avepoint_m365.endpoints import CLOUD_BACKUP_JOBS, EndpointVersion, Params
from avepoint_m365.exceptions import (
    ApiError,
    EndpointMissingError,
    GatewayTimeoutError,
    MissingPermissionError,
    RedirectedError,
    RefusedParametersError,
    RefusedTokenError,
    SourceError,
    ThrottledError,
)

SETTINGS = {
    "startTime": "start_date",
    "finishTime": "start_date",
    "location": "locations, which are for Multi-Geo tenants only",
    "objectType": "object_types",
    "jobType": "split_job_types",
    "pageSize": "page_size",
    "pageIndex": "endpoint",
}
"""The setting behind a parameter, by the name of the parameter."""

FILTERS = ("location", "objectType", "jobType")
NO_ENDPOINT = "This host lacks the endpoint: check endpoint and base_url."


def failure(status: int, body: object, request: str, scope: str, version: EndpointVersion | None = None) -> SourceError:
    """Return the error for a status.

    Args:
        status: The status of HTTP, or that of an error in the body.
        body: The JSON of the response; None if it is not JSON.
        request: The request and its response in words (``describe``).
        scope: The permission that the request needs.
        version: The generation of the endpoint; None for other resources.
    """
    api_text = message(body)
    text = f"{request}{': ' + api_text if api_text else ''}".removesuffix(".") + "."
    if status == 400:
        return _refusal(text, api_text, body, version)
    if status == 401:
        return RefusedTokenError(f"{text} The API refuses a new token as well: check environment and data_center.")
    if status == 403:
        return MissingPermissionError(
            f"{text} Grant the permission {scope} to the app registration in AvePoint Online Services."
        )
    if status in (404, 405, 410):
        return EndpointMissingError(f"{text} {NO_ENDPOINT}")
    if status == 429:
        return ThrottledError(f"{text} The API still throttles after all retries: lower concurrency or try later.")
    if status == 504:
        return GatewayTimeoutError(f"{text} The request took too long: lower page_size or try again later.")
    if 300 <= status < 400:
        return RedirectedError(f"{text} Redirects are not followed, to keep the token safe: check base_url.")
    return ApiError(f"{text} Try again later; if it persists, send the request id to the vendor.")


def refused_filter(missing: EndpointMissingError, params: Params) -> EndpointMissingError:
    """Return the error of a request with filters that an endpoint refused which answered other requests."""
    names = [name for name in FILTERS if name in params]
    if not names:
        return missing
    settings = " and ".join(SETTINGS[name] for name in names)
    cure = f"Other requests succeed: the API refuses this {' or '.join(names)}. Check {settings}."
    return EndpointMissingError(f"{str(missing).removesuffix(NO_ENDPOINT)}{cure}")


def _refusal(text: str, api_text: str, body: object, version: EndpointVersion | None) -> RefusedParametersError:
    parameter = _refused_parameter(body, api_text, version)
    if parameter in SETTINGS:
        cure = f"The API refuses the parameter {parameter}: check {SETTINGS[parameter]}."
    else:
        cure = (
            "The API refuses a parameter: check start_date, page_size, and locations, which are for Multi-Geo "
            "tenants only."
        )
    return RefusedParametersError(f"{text} {cure}", parameter, api_text)


def _refused_parameter(body: object, api_text: str, version: EndpointVersion | None) -> str | None:
    """Return the one parameter that a body names, in its list of errors or else in its text; None for none or more."""
    names = version.parameter if version else CLOUD_BACKUP_JOBS.parameter
    errors = body.get("errors") if isinstance(body, Mapping) else None
    fields = [error.get("field") for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    if isinstance(errors, Mapping):
        fields = list(errors)  # ASP.NET's form: {"errors": {"startTime": ["..."]}}
    named = {names(field) for field in fields if isinstance(field, str)} - {None}
    named = named or {names(word) for word in re.findall(r"\w+", api_text)} - {None}
    return named.pop() if len(named) == 1 else None
