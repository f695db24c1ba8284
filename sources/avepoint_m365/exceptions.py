"""Define the errors of this source: each class tells the caller which cure applies.

SourceError                       anything raised on purpose
├── ConfigurationError            a setting that cannot work (also a ValueError)
├── AuthenticationError           the credentials were refused
├── MissingPermissionError        a permission is not granted
├── ThrottledError                the API refuses more requests for longer than allowed
├── BadResponseError              a response in an undocumented form
├── InterruptedLoadError          the user or the caller cancelled the load
└── ApiError                      the API failed, and another try does not cure it
    ├── EndpointMissingError      404, 405, 410: this host has no such path
    ├── RefusedParametersError    400: a parameter is refused
    ├── GatewayTimeoutError       504: the request is too slow; ask for less
    ├── PageTooLargeError         a response larger than allowed; ask for less
    ├── EndlessListError          a list that does not end
    └── UnreachableError          no response from the host
"""

from __future__ import annotations

FATAL_KINDS = ("auth", "config", "internal")
"""Kinds of errors after which no further request can succeed: they end the load. Any other kind ends one listing."""


def storable(text: str) -> str:
    """Return a text with U+FFFD for characters that no warehouse can store.

    These are NUL, and half of a surrogate pair, which .NET leaves when it cuts a text within an emoji.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class SourceError(Exception):
    """Report a failure that this source raises on purpose, in one readable paragraph without secrets."""

    kind = "api"


class ConfigurationError(SourceError, ValueError):
    """Report a setting that cannot work, before any request is sent."""

    kind = "config"


class AuthenticationError(SourceError):
    """Report that the identity service or the API refused the credentials."""

    kind = "auth"


class MissingPermissionError(SourceError):
    """Report that the app registration lacks a permission."""

    kind = "permission"


class ThrottledError(SourceError):
    """Report that the API answered 429 or 503 for longer than allowed."""

    kind = "throttled"


class BadResponseError(SourceError):
    """Report a response in an undocumented form."""

    kind = "bad_response"


class InterruptedLoadError(SourceError):
    """Report that the user or the caller cancelled the load."""

    kind = "internal"

    def __init__(self) -> None:
        super().__init__("Interrupted.")


class ApiError(SourceError):
    """Report that the API failed in a way that another try does not cure."""


class EndpointMissingError(ApiError):
    """Report that this host lacks this path (404, 405 or 410)."""


class RefusedParametersError(ApiError):
    """Report that the API refused a parameter, perhaps the page size (400)."""

    def __init__(self, text: str, parameter: str | None = None, message: str = "") -> None:
        """Keep ``parameter``, its name in the vendor's table, and ``message``, the API's own words."""
        super().__init__(text)
        self.parameter, self.message = parameter, message


class GatewayTimeoutError(ApiError):
    """Report that a gateway before the API gave up waiting (504). A smaller request may succeed."""


class PageTooLargeError(ApiError):
    """Report that a response is larger than allowed. A smaller page may succeed."""


class EndlessListError(ApiError):
    """Report a list of more jobs than a tenant can have."""


class UnreachableError(ApiError):
    """Report that the host did not respond."""
