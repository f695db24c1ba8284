"""Read the query parameters of a request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
PARAMETERS = ("startTime", "finishTime", "jobType", "objectType", "jobState", "location", "pageIndex", "pageSize")
SPELLING = {name.lower(): name for name in PARAMETERS}


class RefusedParameterError(ValueError):
    """Report a parameter that the API refuses."""

    def __init__(self, name: str, text: str) -> None:
        """Keep the name of the parameter beside the text of the answer."""
        super().__init__(text)
        self.name = name

    @classmethod
    def of_value(cls, name: str, value: str | None, wanted: str) -> RefusedParameterError:
        """Return the refusal of one value; ``wanted`` describes the valid ones."""
        return cls(name, f"The value '{value or ''}' of {name} is invalid: {wanted}.")


def read_number(params: Mapping[str, str], name: str, default: int, most: int | None = None) -> int:
    """Return a whole number from 0 to ``most``.

    Raises:
        RefusedParameterError: for anything else.
    """
    text = params.get(name.lower(), str(default))
    if not (text.isascii() and text.isdigit()) or (most is not None and int(text) > most):
        wanted = "it must be a whole number" if most is None else f"it must be 0 to {most}"
        raise RefusedParameterError.of_value(name, text, wanted)
    return int(text)


def read_time(params: Mapping[str, str], name: str) -> datetime | None:
    """Return a time, UTC where it names no zone; None where it is missing or empty.

    Raises:
        RefusedParameterError: for anything that is not ISO 8601.
    """
    text = params.get(name.lower())
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedParameterError.of_value(name, text, "it must be a date or time in ISO 8601") from None
    return max(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment, EARLIEST)
