"""Define the errors of this source; the class of an error determines its cure.

SourceError                       anything raised on purpose
├── ConfigurationError            a setting that cannot work (also a ValueError)
├── AuthenticationError           the credentials were refused
│   └── RefusedTokenError         401: the API refuses a new token as well
├── MissingPermissionError        a permission is not granted
├── ThrottledError                the API answered 429 until the last attempt
├── BadResponseError              a response in an undocumented form
├── InterruptedLoadError          the user or the caller cancelled the load
└── ApiError                      the API failed, and repeating the request did not help
    ├── EndpointMissingError      404, 405, 410: this host has no such path
    ├── RedirectedError           3xx: the path leads elsewhere
    ├── RefusedParametersError    400: a parameter is refused
    ├── GatewayTimeoutError       504: the request is too slow; ask for less
    ├── PageTooLargeError         a response larger than allowed; ask for less
    ├── EndlessListError          a list that does not end
    └── UnreachableError          no response from the host
"""

from __future__ import annotations

from datetime import datetime


class SourceError(Exception):
    """Report a failure that this source raises on purpose, in one readable paragraph without secrets."""

    kind = "api"
    ends_load = False
    """Whether no further request can succeed: the load ends. Any other error ends one listing."""


class ConfigurationError(SourceError, ValueError):
    """Report a setting that cannot work, before any request is sent."""

    kind = "config"
    ends_load = True


class AuthenticationError(SourceError):
    """Report that the identity service or the API refused the credentials."""

    kind = "auth"
    ends_load = True


class RefusedTokenError(AuthenticationError):
    """Report that the API refused a token that the identity service had just issued.

    It may do so for one service or location alone. Where it refuses every first page, the load ends all the same.
    """

    ends_load = False


class MissingPermissionError(SourceError):
    """Report that the app registration lacks a permission."""

    kind = "permission"


class ThrottledError(SourceError):
    """Report that the API answered 429 until the last attempt."""

    kind = "throttled"


class BadResponseError(SourceError):
    """Report a response in an undocumented form."""

    kind = "bad_response"


class InterruptedLoadError(SourceError):
    """Report that the user or the caller cancelled the load."""

    kind = "internal"
    ends_load = True

    def __init__(self) -> None:
        super().__init__("Interrupted.")


class ApiError(SourceError):
    """Report that the API failed, and that repeating the request did not help."""

    server_time: datetime | None = None
    """The server's time (UTC) of a refusal, if the response contains it."""


class EndpointMissingError(ApiError):
    """Report that this host lacks this path (404, 405 or 410)."""


class RedirectedError(ApiError):
    """Report a redirect, which is not followed: it could lead the token to another host."""


class RefusedParametersError(ApiError):
    """Report that the API refused a parameter, perhaps the page size (400)."""

    def __init__(self, text: str, parameter: str | None = None, message: str = "") -> None:
        """Keep ``parameter``, its name in the vendor's table, and ``message``, the API's text."""
        super().__init__(text)
        self.parameter, self.message = parameter, message


class GatewayTimeoutError(ApiError):
    """Report that a gateway in front of the API timed out (504). A smaller request may succeed."""


class PageTooLargeError(ApiError):
    """Report that a response is larger than allowed. A smaller page may succeed."""


class EndlessListError(ApiError):
    """Report a list with more jobs than any tenant has."""


class UnreachableError(ApiError):
    """Report that the host did not respond."""
