"""Return the error for a status: the API's words, and the cure that a user needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from avepoint_m365.api.body import message
from avepoint_m365.endpoints import CLOUD_BACKUP_JOBS, EndpointVersion
from avepoint_m365.exceptions import (
    ApiError,
    AuthenticationError,
    EndpointMissingError,
    GatewayTimeoutError,
    MissingPermissionError,
    RefusedParametersError,
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
"""The setting that a parameter comes from."""


def failure(status: int, body: object, where: str, scope: str, version: EndpointVersion | None = None) -> SourceError:
    """Return the error for a status, with the API's words and the cure."""
    words = message(body)
    text = f"{where}{': ' + words if words else ''}".removesuffix(".") + "."
    if status == 400:
        return _refused(text, words, body, version)
    if status == 401:
        return AuthenticationError(f"{text} A fresh token is refused as well: look at environment and data_center.")
    if status == 403:
        return MissingPermissionError(
            f"{text} Grant the permission {scope} to the app registration in AvePoint Online Services."
        )
    if status in (404, 405, 410):
        return EndpointMissingError(f"{text} This host does not have this endpoint: look at endpoint and base_url.")
    if status == 429:
        return ThrottledError(f"{text} It still throttles after all retries: lower concurrency or try later.")
    if status == 504:
        return GatewayTimeoutError(f"{text} The request took too long: lower page_size or try again later.")
    if 300 <= status < 400:
        return ApiError(f"{text} Redirects are not followed, to keep the token safe: look at base_url.")
    return ApiError(f"{text} Try again later; if it stays, give the vendor the request id.")


def _refused(text: str, words: str, body: object, version: EndpointVersion | None) -> RefusedParametersError:
    parameter = _refused_parameter(body, words, version)
    if parameter in SETTINGS:
        cure = f"The API refuses the parameter {parameter}: look at {SETTINGS[parameter]}."
    else:
        cure = (
            "The API refuses a parameter: look at start_date, page_size, and at locations, which are for Multi-Geo "
            "tenants only."
        )
    return RefusedParametersError(f"{text} {cure}", parameter, words)


def _refused_parameter(body: object, words: str, version: EndpointVersion | None) -> str | None:
    """Return the parameter that a body names, in its list of errors or else in a text; None if it is not one alone."""
    names = version.parameter if version else CLOUD_BACKUP_JOBS.parameter
    errors = body.get("errors") if isinstance(body, Mapping) else None
    fields = [error.get("field") for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    if isinstance(errors, Mapping):
        fields = list(errors)  # ASP.NET's form: {"errors": {"startTime": ["..."]}}
    named = {names(field) for field in fields if isinstance(field, str)} - {None}
    named = named or {names(word) for word in re.findall(r"\w+", words)} - {None}
    return named.pop() if len(named) == 1 else None
