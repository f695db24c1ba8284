"""Request OAuth 2.0 access tokens with client credentials: a secret, or a certificate (module ``certificate``).

Each scope has a token of its own, requested with exactly that scope: a missing permission does not affect the
others. All threads share the tokens, which stay in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import requests
from requests.auth import AuthBase

from avepoint_m365.exceptions import ApiError, AuthenticationError, MissingPermissionError, SourceError

RENEW_AHEAD = 120
"""Seconds before its expiry at which a token is renewed, so that none expires during a request."""

OAUTH_ERRORS = (
    *("invalid_request", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "access_denied"),
    *("server_error", "temporarily_unavailable"),
)
"""Error codes of RFC 6749 that messages quote; any other text of a response might contain a secret."""


class ClientCredential(Protocol):
    """Describe a client credential: form fields for each token request."""

    @property
    def expires_at(self) -> datetime | None:
        """Return when the credential expires (UTC); None if it does not contain that."""

    def proof(self, token_url: str) -> dict[str, str]:
        """Return the form fields that authenticate a request to ``token_url``."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return texts that messages must not contain."""


@dataclass(frozen=True)
class Secret:
    """Hold a client id and its secret."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def expires_at(self) -> None:
        """Return None: a secret does not contain its expiry."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secret."""
        return (self.client_secret,)

    def proof(self, token_url: str) -> dict[str, str]:
        """Return client id and secret."""
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@dataclass(frozen=True)
class Bearer(AuthBase):
    """Add an access token to a request. As an ``AuthBase`` it precedes the machine's .netrc."""

    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


@dataclass
class _Token:
    """Hold the access token of one scope."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: str | None = field(default=None, repr=False)
    renew_at: float = 0.0


class TokenCache:
    """Keep an access token per scope for all threads, and request it when it is needed."""

    def __init__(
        self, credential: ClientCredential, token_url: str, post: Callable[[str, Mapping[str, str]], requests.Response]
    ) -> None:
        """Keep ``post(url, form)``, which sends the form and returns the response of any status."""
        self._credential, self._url, self._post = credential, token_url, post
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._secrets = set(credential.secrets)

    def redact(self, text: str) -> str:
        """Return a text with ``***`` for secrets and tokens, which a server might echo."""
        for secret in sorted(self._secrets.copy(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def token(self, scope: str) -> str:
        """Return a valid token of a scope; all threads that wait for it share one request.

        Raises:
            SourceError: if the identity service refuses; other scopes are not affected.
        """
        entry = self._entry(scope)
        with entry.lock:
            if entry.value is None or time.monotonic() >= entry.renew_at:
                entry.value, lifetime = self._request(scope)
                entry.renew_at = time.monotonic() + max(lifetime - RENEW_AHEAD, lifetime / 2)
            return entry.value

    def reject(self, scope: str, token: str) -> None:
        """Forget a token that the API refused, unless another thread already renewed it."""
        entry = self._entry(scope)
        with entry.lock:
            if entry.value == token:
                entry.value = None

    def _entry(self, scope: str) -> _Token:
        with self._lock:
            return self._tokens.setdefault(scope, _Token())

    def _request(self, scope: str) -> tuple[str, float]:
        """Return a new token and its lifetime in seconds."""
        form = {"grant_type": "client_credentials", "scope": scope, **self._credential.proof(self._url)}
        response = self._post(self._url, form)
        body = _json_object(response)
        if response.status_code != 200:
            raise self._refusal(scope, response.status_code, str(body.get("error", "")))
        token = body.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise AuthenticationError(
                f"No access token: the identity service at {self._url} answered without an access token. "
                "Correct token_url."
            )
        try:
            lifetime = float(body.get("expires_in", 3600))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            lifetime = 3600.0
        self._secrets.add(token)
        return token, lifetime

    def _refusal(self, scope: str, status: int, error: str) -> SourceError:
        """Return the error for a response of the identity service; ``error`` is its OAuth error code."""
        service = f"the identity service at {self._url}"
        if error == "invalid_client":
            return AuthenticationError(
                f"Credentials refused: {service} refused scope {scope} ({status}, invalid_client). The client id, "
                "secret or certificate is wrong or has expired: check the app registration in AvePoint Online "
                "Services. Set credentials.client_id with credentials.client_secret or credentials.certificate_path."
            )
        if error == "invalid_scope":
            return MissingPermissionError(
                f"Permission not granted: {service} refused scope {scope} ({status}, invalid_scope). Add {scope} to "
                "the app registration in AvePoint Online Services and wait a few minutes."
            )
        code = f"{status}, {error}" if error in OAUTH_ERRORS else str(status)
        if status >= 500 or status == 429:
            return ApiError(f"Token request failed: {service} is not available ({code}). Try again later.")
        return AuthenticationError(
            f"Token request refused: {service} refused scope {scope} ({code}). Check token_url, environment and the "
            "credentials."
        )


def _json_object(response: requests.Response) -> Mapping[str, object]:
    """Return the JSON object of a response; an empty one if its body is anything else."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, Mapping) else {}
