"""Asks for one resource at a time with a token of its own scope, through the jobs client's connections and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from avepoint_m365.api.auth import Bearer, Tokens
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.connection import Connection
from avepoint_m365.exceptions import (
    ApiError,
    AuthenticationError,
    BadResponseError,
    EndpointMissingError,
    MissingPermissionError,
    SourceError,
    ThrottledError,
    storable,
)


class ScopedClient:
    """Reads JSON with one token per scope: a permission that is missing does not take the others with it."""

    def __init__(self, connection: Connection) -> None:
        self._client: JobsClient = connection.client
        self._base_url = connection.addresses.base_url
        self._token_url = connection.addresses.token_url
        self._identity = connection.credentials.identity()
        self._tokens: dict[str, Tokens] = {}

    def get(self, path: str, params: Mapping[str, str], scope: str) -> Any:
        """Return the body of the answer, None where there is no content.

        Raises:
            SourceError: by cause; see ``exceptions``.
        """
        tokens = self._tokens.get(scope)
        if tokens is None:
            tokens = self._tokens[scope] = Tokens(self._identity, self._token_url, scope, self._client._post_form)
        try:
            token = tokens.token()
            response = self._send(path, params, token)
            if response.status_code == 401:
                tokens.reject(token)
                response = self._send(path, params, tokens.token())
            return _read(response, path, scope)
        except SourceError as error:
            error.args = (tokens.redact(str(error)),)
            raise

    def _send(self, path: str, params: Mapping[str, str], token: str) -> requests.Response:
        url = self._base_url + path
        client = self._client
        return client._through_the_gate(url, lambda: client._request("GET", url, params=params, auth=Bearer(token)))


def _read(response: requests.Response, path: str, scope: str) -> Any:
    status = response.status_code
    if status == 204:
        return None
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, Mapping):
        text = str(body.get("statusCode", ""))[:9]
        status = int(text) if text.isdecimal() and int(text) >= 400 else status
    if status != 200:
        raise _failure(status, body, path, scope)
    if not isinstance(body, Mapping | list):
        raise BadResponseError(f"GET {path}: the answer is not JSON. Look at base_url.")
    return body


def _failure(status: int, body: object, path: str, scope: str) -> SourceError:
    message = storable(str(body.get("message") or ""))[:300] if isinstance(body, Mapping) else ""
    text = f"GET {path} answered {status}{': ' + message if message else ''}."
    if status == 401:
        return AuthenticationError(f"{text} A fresh token is refused as well: look at environment and data_center.")
    if status == 403:
        return MissingPermissionError(
            f"{text} Grant the permission {scope} to the app registration in AvePoint Online Services."
        )
    if status in (404, 405, 410):
        return EndpointMissingError(f"{text} This host does not have this endpoint.")
    if status == 429:
        return ThrottledError(f"{text} It still throttles after all retries: try later.")
    return ApiError(f"{text} Try again later; if it stays, give the vendor the request id.")
