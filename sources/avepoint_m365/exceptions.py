"""What can go wrong, by cause: each class tells the caller which cure applies."""


def storable(text: str) -> str:
    """``text`` with U+FFFD for what no warehouse can hold: NUL, and half of a surrogate pair, which is what is left
    where .NET cuts a text within an emoji."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class SourceError(Exception):
    """Anything this source raises on purpose; the text is one readable paragraph without secrets."""

    kind = "api"


class ConfigurationError(SourceError, ValueError):
    """A setting that cannot work; raised before any request is made."""

    kind = "config"


class AuthenticationError(SourceError):
    """The identity service or the API refused who we are."""

    kind = "auth"


class MissingPermissionError(SourceError):
    """The registration is known, but lacks a permission."""

    kind = "permission"


class ThrottledError(SourceError):
    """The API kept answering 429 or 503 for longer than we may wait."""

    kind = "throttled"


class ApiError(SourceError):
    """The API answered with an error that another try does not cure."""


class BadResponseError(SourceError):
    """The API answered with something that is not what it documents."""

    kind = "bad_response"


class InterruptedLoadError(SourceError):
    """Whoever runs the load wants it to end."""

    kind = "internal"

    def __init__(self) -> None:
        super().__init__("Interrupted.")


class EndpointMissingError(ApiError):
    """This host does not have this generation of the endpoint (404, 405 or 410)."""


class RefusedParametersError(ApiError):
    """The API answered 400: a parameter, perhaps the page size, is not to its liking."""
