"""The errors of this source: each class tells the caller which cure applies.

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
    ├── GatewayTimeoutError       504: the request takes too long; ask for less
    ├── PageTooLargeError         a response larger than allowed; ask for less
    └── UnreachableError          no response from the host
"""

from __future__ import annotations


def storable(text: str) -> str:
    """Return a text with U+FFFD for characters that no warehouse can store.

    These are NUL, and half of a surrogate pair, which .NET leaves when it cuts a text within an emoji.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class SourceError(Exception):
    """Anything this source raises on purpose; the text is one readable paragraph without secrets."""

    kind = "api"


class ConfigurationError(SourceError, ValueError):
    """A setting that cannot work; raised before any request is sent."""

    kind = "config"


class AuthenticationError(SourceError):
    """The identity service or the API refused the credentials."""

    kind = "auth"


class MissingPermissionError(SourceError):
    """The app registration lacks a permission."""

    kind = "permission"


class ThrottledError(SourceError):
    """The API answered 429 or 503 for longer than allowed."""

    kind = "throttled"


class BadResponseError(SourceError):
    """The API sent a response in an undocumented form."""

    kind = "bad_response"


class InterruptedLoadError(SourceError):
    """The user or the caller cancelled the load."""

    kind = "internal"

    def __init__(self) -> None:
        super().__init__("Interrupted.")


class ApiError(SourceError):
    """The API failed in a way that another try does not cure."""


class EndpointMissingError(ApiError):
    """This host lacks this path (404, 405 or 410)."""


class RefusedParametersError(ApiError):
    """The API refused a parameter, perhaps the page size (400)."""

    def __init__(self, text: str, parameter: str | None = None, message: str = "") -> None:
        """``parameter`` is the vendor's table name of the refused parameter, ``message`` the API's own words."""
        super().__init__(text)
        self.parameter, self.message = parameter, message


class GatewayTimeoutError(ApiError):
    """A gateway before the API gave up waiting (504): a smaller request may succeed."""


class PageTooLargeError(ApiError):
    """A response is larger than allowed: a smaller page may succeed."""


class UnreachableError(ApiError):
    """The host did not respond."""
