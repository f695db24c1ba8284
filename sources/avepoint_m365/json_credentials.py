"""Read credentials that a vault or a variable gives as one text."""

from __future__ import annotations

import json
from collections.abc import Iterable

from avepoint_m365.exceptions import ConfigurationError


def read_credentials(text: object, section: str, known: Iterable[str]) -> dict[str, str]:
    """Return the keys and values of a JSON object.

    Raises:
        ConfigurationError: for any other text, and for a key that is not in ``known``; without the text, which may be a
            secret.
    """
    try:
        values = json.loads(str(text))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"Invalid value: {section} is not a JSON object. Set {section}.client_id and the keys beside it."
        )
    for key, value in values.items():
        if key not in known:
            raise ConfigurationError(f"Unknown key: {section}.{key}. Known are: {', '.join(known)}.")
        if not isinstance(value, str):
            raise ConfigurationError(f"Invalid value: {section}.{key} is not a text. Write it in quotes.")
    return values
