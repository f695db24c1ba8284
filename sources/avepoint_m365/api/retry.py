"""Define the retry policy: after which responses a request is sent again, how often, and after which wait.

dlt's client repeats by it what is lost and errors of the server. A 429 concerns all workers: see ``rate_limit``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import dlt
import requests
from dlt.common.configuration import with_config
from dlt.common.configuration.specs import RuntimeConfiguration

from avepoint_m365.api.body import is_cut, response_status
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.parse.times import in_utc

LOST = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""What requests raises if a response does not arrive whole."""

GATEWAY_TIMEOUT_ATTEMPTS = 2
"""A 504 comes after a minute or more, and again for the same page: more attempts would only delay a smaller page."""


@dataclass(frozen=True)
class RetryPolicy:
    """Hold how often a request is sent, and how long the waits between are, in seconds."""

    attempts: int
    backoff_factor: float
    longest_wait: float
    timeout: float
    """Seconds until a request counts as lost."""

    def attempts_for(self, status: int) -> int:
        """Return the attempts that a request gets whose response has a status; 0 stands for no response."""
        return GATEWAY_TIMEOUT_ATTEMPTS if status == 504 else self.attempts

    def wait_after(self, header: str | None, attempt: int) -> float:
        """Return the seconds to wait before attempt ``attempt`` + 1; ``header`` is Retry-After."""
        return retry_after(header, attempt, self.backoff_factor, self.longest_wait)


@with_config(spec=RuntimeConfiguration)
def configured_policy(config: RuntimeConfiguration = dlt.config.value) -> RetryPolicy:
    """Return the policy of dlt's settings of timeouts and retries.

    Raises:
        ConfigurationError: for values with which no request would be sent, or without end.
    """
    for key, least in {"request_max_attempts": 1, "request_backoff_factor": 0, "request_max_retry_delay": 0}.items():
        value = getattr(config, key)
        if isinstance(value, int | float) and value < least:
            raise ConfigurationError(f"runtime.{key} = {value} must be {least} or more.")
    return RetryPolicy(
        int(config.request_max_attempts),
        float(config.request_backoff_factor),
        float(config.request_max_retry_delay),
        float(config.request_timeout),
    )


def may_succeed_again(response: requests.Response | None, error: BaseException | None) -> bool:
    """Return whether another attempt may succeed.

    That holds if no response arrived, after an error of the server, and after a 200 whose body was cut.
    """
    if response is None:
        return isinstance(error, LOST)
    return 500 <= response_status(response) < 600 or (response.status_code == 200 and is_cut(response))


def retry_after(header: str | None, attempt: int, factor: float, longest: float) -> float:
    """Return the seconds to wait before attempt ``attempt`` + 1, at most ``longest``.

    ``header`` is Retry-After, in seconds or as a date (RFC 9110). The vendor documents neither limits nor the header.
    Without it, the wait doubles with each attempt, from ``factor`` seconds on. So it does if the header asks for no
    wait at all, as a date that was rounded does.
    """
    seconds = seconds_asked(header)
    return min(factor * 2 ** min(attempt - 1, 30) if seconds is None else seconds, longest)


def seconds_asked(header: str | None) -> float | None:
    """Return the seconds that a header Retry-After asks to wait for; None for none, or one that says nothing usable."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            seconds = (in_utc(parsedate_to_datetime(header or "")) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) or seconds <= 0 else seconds
