"""Send a message to an HTTP receiver with POST."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from avepoint_m365.config import is_loopback
from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.health.channels.base import DeliveryError


def check_url(url: str, key: str) -> str:
    """Return the URL if messages may be sent there.

    Raises:
        ConfigurationError: for a URL without TLS that is not on this machine. The text does not hold the URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return url
    raise ConfigurationError(f"{key} is not an https URL. Messages name tenants, so they are sent over TLS only.")


def post(receiver: str, url: str, body: str, headers: Mapping[str, str], timeout: float) -> None:
    """Send a JSON document with POST. A redirect is an error: it would hand the message to another host.

    Raises:
        DeliveryError: if the receiver is unreachable or answers with anything but 2xx.
    """
    session = requests.Session()
    # A proxy has a loopback of its own.
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
        raise _not_accepted(receiver, f"no answer within {timeout:g} s") from None
    except requests.RequestException as error:
        # The error's own text holds the URL, which is a secret of chat systems.
        raise _not_accepted(receiver, type(error).__name__) from None
    if not 200 <= response.status_code < 300:
        raise _not_accepted(receiver, f"it answered {response.status_code}", _retry_after(response))


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 86_400.0) if value.isdigit() else 0.0


def _not_accepted(receiver: str, reason: str, retry_after: float = 0.0) -> DeliveryError:
    text = f"{receiver} did not accept the message ({reason}). Check its URL and the network; a later run sends it."
    return DeliveryError(text, retry_after)
