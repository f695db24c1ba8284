"""Send a message to an HTTP receiver with POST."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from avepoint_m365.api.retry import parse_retry_after
from avepoint_m365.config import is_loopback
from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.health.channels.base import DeliveryError

REFUSALS = (400, 413, 422)
"""Statuses of a receiver that cannot process a message, now or later."""

MAX_RETRY_AFTER_SECONDS = 86_400.0
"""Longest wait in seconds that a receiver can request."""


def check_url(url: str, key: str) -> str:
    """Return ``url`` if it is https, or http on loopback. ``key`` is its setting, for the message.

    Raises:
        ConfigurationError: for any other URL. The text does not contain it, since it may be a secret.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return url
    raise ConfigurationError(f"{key} is not an https URL. Messages name tenants, so they are sent over TLS only.")


def post(receiver: str, url: str, body: str, headers: Mapping[str, str], timeout: float) -> None:
    """Send a JSON document with POST. ``receiver`` is a name for messages, ``timeout`` is in seconds.

    A redirect is an error, since it would send the message to another host.

    Raises:
        DeliveryError: if the receiver is unreachable or does not answer with 2xx.
    """
    session = requests.Session()
    # A proxy would resolve a loopback URL to itself, so proxy settings of the environment are ignored for it.
    session.trust_env = not is_loopback(urlsplit(url).hostname or "")
    try:
        with session:
            response = session.post(
                url,
                data=body.encode(),
                headers={"Content-Type": "application/json", "User-Agent": "m365-jobs", **headers},
                timeout=timeout,
                allow_redirects=False,
            )
    except requests.Timeout:
        raise _delivery_error(receiver, f"no answer within {timeout:g} s") from None
    except requests.RequestException as error:
        # The text of the error contains the URL, which is the credential of a chat webhook.
        raise _delivery_error(receiver, type(error).__name__) from None
    if not 200 <= response.status_code < 300:
        refused = response.status_code in REFUSALS
        raise _delivery_error(receiver, f"it answered {response.status_code}", _retry_after(response), refused)


def _retry_after(response: requests.Response) -> float:
    """Return the header ``Retry-After`` in seconds, from now for a date; 0 if it is missing or invalid."""
    return min(parse_retry_after(response.headers.get("Retry-After")) or 0.0, MAX_RETRY_AFTER_SECONDS)


def _delivery_error(receiver: str, reason: str, retry_after: float = 0.0, is_refused: bool = False) -> DeliveryError:
    text = f"{receiver} did not accept the message ({reason}). Check its URL and the network."
    return DeliveryError(text, retry_after, is_refused=is_refused)
