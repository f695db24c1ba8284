"""Define the retry policy: which responses are repeated, how often, and after which wait.

dlt's client repeats lost responses and 5xx by this policy. A 429 concerns all workers: see ``rate_limit``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import dlt
import requests
from dlt.common.configuration import with_config
from dlt.common.configuration.specs import RuntimeConfiguration

from avepoint_m365.api.body import is_truncated, response_status
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.parse.times import in_utc

LOST_RESPONSE_ERRORS = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""Errors of requests if a response does not arrive as a whole."""

GATEWAY_TIMEOUT_ATTEMPTS = 2
"""A 504 arrives after a minute or more, and mostly again. More attempts would only delay the smaller page."""


MAX_TIMEOUT = 86_400
"""The most seconds of a timeout: a day. The clocks of some systems cannot hold much longer ones."""


class RetryPolicy(NamedTuple):
    """Hold the number of attempts of a request, and the waits between them in seconds."""

    attempts: int
    backoff_factor: float
    longest_wait: float
    timeout: float
    """Seconds until a request counts as lost."""

    def attempts_for(self, status: int) -> int:
        """Return the most attempts of a request whose response has a status; 0 stands for no response."""
        return GATEWAY_TIMEOUT_ATTEMPTS if status == 504 else self.attempts

    def wait_after(self, header: str | None, attempt: int) -> float:
        """Return the seconds to wait before attempt ``attempt`` + 1; ``header`` is Retry-After."""
        return retry_after(header, attempt, self.backoff_factor, self.longest_wait)


@with_config(spec=RuntimeConfiguration)
def configured_policy(config: RuntimeConfiguration = dlt.config.value) -> RetryPolicy:
    """Return the policy by dlt's settings of timeouts and retries.

    Raises:
        ConfigurationError: for values out of range, with which no request would be sent.
    """
    timeout = float(config.request_timeout)
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ConfigurationError(
            f"Out of range: runtime.request_timeout = {timeout:g} must be above 0, and at most {MAX_TIMEOUT} seconds."
        )
    for key, least in {"request_max_attempts": 1, "request_backoff_factor": 0, "request_max_retry_delay": 0}.items():
        value = getattr(config, key)
        if isinstance(value, int | float) and not value >= least:
            raise ConfigurationError(f"Out of range: runtime.{key} = {value} must be {least} or more.")
    return RetryPolicy(
        int(config.request_max_attempts),
        float(config.request_backoff_factor),
        float(config.request_max_retry_delay),
        timeout,
    )


def may_succeed_again(response: requests.Response | None, error: BaseException | None) -> bool:
    """Return whether another attempt may succeed: no response arrived, a 408 or 5xx, or a 200 with a truncated body."""
    if response is None:
        return isinstance(error, LOST_RESPONSE_ERRORS)
    status = response_status(response)
    return status == 408 or 500 <= status < 600 or (response.status_code == 200 and is_truncated(response))


def retry_after(header: str | None, attempt: int, factor: float, longest: float) -> float:
    """Return the seconds to wait before attempt ``attempt`` + 1, at most ``longest``.

    ``header`` is Retry-After, in seconds or as a date (RFC 9110). The vendor documents neither limits nor the header.
    Without a usable header, the wait doubles with each attempt, beginning with ``factor`` seconds.
    """
    seconds = parse_retry_after(header)
    if seconds is None:
        seconds = factor * 2 ** min(attempt - 1, 30)
    return min(seconds, longest)


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds of a header Retry-After; None if it is missing, invalid, or not positive.

    A date that was rounded down may lie in the past.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            seconds = (in_utc(parsedate_to_datetime(header or "")) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) or seconds <= 0 else seconds
