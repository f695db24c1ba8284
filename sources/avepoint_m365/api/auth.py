"""How one gets in: OAuth 2.0 client credentials, with a secret here or with a certificate (``certificate``).

One token per scope, each asked with exactly that scope, so that a permission which is missing does not take the
others with it. A token is shared by all threads and lives in memory only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import requests
from requests.auth import AuthBase

from avepoint_m365.exceptions import ApiError, AuthenticationError, MissingPermissionError

RENEW_AHEAD = 120
"""Seconds before its end at which a token is renewed, so that none ends while a request is under way."""

OAUTH_ERRORS = (
    *("invalid_request", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "access_denied"),
    *("server_error", "temporarily_unavailable"),
)
"""What an identity service may say of a refusal (RFC 6749); other words are not repeated, they might be a secret."""


class Identity(Protocol):
    """What proves who we are: turned into form fields for each token request."""

    @property
    def expires_at(self) -> datetime | None:
        """When it ends, in UTC, where it says so itself."""

    def proof(self, token_url: str) -> dict[str, str]:
        """Form fields that go beside ``grant_type`` and ``scope``."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""


@dataclass(frozen=True)
class Secret:
    """A client id and its secret."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def expires_at(self) -> None:
        """A secret does not say when it ends."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret alone."""
        return (self.client_secret,)

    def proof(self, token_url: str) -> dict[str, str]:
        """The secret itself."""
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@dataclass(frozen=True)
class Bearer(AuthBase):
    """Puts one access token on a request; being an ``AuthBase`` keeps a machine's .netrc from replacing it."""

    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Tokens:
    """The access token for one scope, shared by all threads and asked for when it is needed."""

    def __init__(
        self,
        identity: Identity,
        token_url: str,
        scope: str,
        post: Callable[[str, Mapping[str, str]], requests.Response],
    ) -> None:
        """``post(url, form)`` sends the form and gives the response, whatever its status."""
        self._identity, self._url, self._scope, self._post = identity, token_url, scope, post
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._secrets = set(identity.secrets)

    def redact(self, text: str) -> str:
        """``text`` without secrets and tokens, which a server might echo."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def token(self) -> str:
        """A token that lasts, asked for at most once however many threads wait."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._token = self._ask()
            return self._token

    def reject(self, token: str) -> None:
        """Forgets ``token`` after the API refused it, unless another thread already renewed it."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _ask(self) -> str:
        form = {"grant_type": "client_credentials", "scope": self._scope, **self._identity.proof(self._url)}
        response = self._post(self._url, form)
        answer = _json_object(response)
        if response.status_code != 200:
            raise self._refused(response.status_code, str(answer.get("error", "")))
        token = answer.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise AuthenticationError(
                f"The identity service at {self._url} answered without an access token. Is token_url right?"
            )
        try:
            lifetime = float(answer.get("expires_in", 3600))
        except (TypeError, ValueError, OverflowError):
            lifetime = 3600.0
        self._secrets.add(token)
        self._renew_at = time.monotonic() + max(lifetime - RENEW_AHEAD, lifetime / 2)
        return token

    def _refused(self, status: int, error: str) -> Exception:
        where = f"The identity service at {self._url} refused scope {self._scope} ({status}"
        if error == "invalid_client":
            return AuthenticationError(
                f"{where}, invalid_client): the client id, secret or certificate is wrong or has expired. Look at the "
                "app registration in AvePoint Online Services, and set credentials.client_id with "
                "credentials.client_secret or credentials.certificate_path."
            )
        if error == "invalid_scope":
            return MissingPermissionError(
                f"{where}, invalid_scope): the permission is not granted. Add {self._scope} to the app registration "
                "in AvePoint Online Services and wait a few minutes."
            )
        known = f", {error}" if error in OAUTH_ERRORS else ""
        if status >= 500 or status == 429:
            return ApiError(f"{where}{known}): it is not available at the moment. Try again later.")
        return AuthenticationError(f"{where}{known}): look at token_url, environment and the credentials.")


def _json_object(response: requests.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, Mapping) else {}
