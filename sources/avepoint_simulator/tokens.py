"""Simulate the identity service: it issues tokens, each for one scope and a lifetime."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLAIMS = ["iss", "sub", "aud", "jti", "nbf", "exp"]
LONGEST_ASSERTION = 3600
"""The longest lifetime of a client assertion, in seconds."""


class Tokens:
    """Hold the issued tokens, each for one scope."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, float]] = {}

    def give(self, scope: str, lifetime: float) -> str:
        """Return a new token that is valid for ``lifetime`` seconds."""
        token = uuid.uuid4().hex
        with self._lock:
            self._given[token] = (scope, time.monotonic() + lifetime)
        return token

    def scope(self, authorization: str) -> str | None:
        """Return the scope of the token in an Authorization header; None if it is unknown or has expired."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            scope, ends = self._given.get(token, ("", 0.0))
        return scope if scheme.lower() == "bearer" and ends > time.monotonic() else None

    def expire(self) -> None:
        """End every token issued so far."""
        with self._lock:
            self._given.clear()


def assertion_holds(form: dict[str, str], key: Any, client_id: str, audience: str, used: set[str]) -> bool:
    """Return whether a client assertion is valid: signed, for this service, at most an hour, not used before."""
    if key is None or form.get("client_assertion_type") != JWT_BEARER:
        return False
    # PyJWT belongs to an extra, which only tests of certificates need.
    import jwt

    try:
        claims = jwt.decode(
            form["client_assertion"],
            key,
            algorithms=["RS256"],
            audience=audience,
            leeway=5,
            options={"require": CLAIMS},
        )
        header = jwt.get_unverified_header(form["client_assertion"])
    except jwt.InvalidTokenError:
        return False
    if claims["jti"] in used or claims["exp"] - claims["nbf"] > LONGEST_ASSERTION + 5:
        return False
    used.add(claims["jti"])
    return "x5t" in header and claims["iss"] == claims["sub"] == client_id
