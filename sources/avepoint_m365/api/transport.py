"""Send HTTP requests to one API host, with timeouts, proxies, the retry policy and the rate limit.

GET to the API and POST to the token URL are the only requests. No redirect is followed, so that a token never reaches
another host. TLS 1.2 or later with verification is the default of urllib3 2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers.requests import Client
from requests.auth import AuthBase

from avepoint_m365.api.body import response_status
from avepoint_m365.api.bounded import TIMEOUT_FACTOR, TimedAdapter, bound
from avepoint_m365.api.rate_limit import limiter_of
from avepoint_m365.api.retry import configured_policy, may_succeed_again, parse_retry_after
from avepoint_m365.api.stats import RequestStats, Wait
from avepoint_m365.config import is_loopback
from avepoint_m365.constants import MAX_PAGE_MB
from avepoint_m365.exceptions import UnreachableError


class Transport:
    """Send requests for all threads of a client."""

    def __init__(self, base_url: str, concurrency: int, stats: RequestStats, max_page_mb: int = MAX_PAGE_MB) -> None:
        self.stats, self._max_page_mb = stats, max_page_mb
        self._policy = policy = configured_policy()
        self._adapter = TimedAdapter(concurrency, TIMEOUT_FACTOR * policy.timeout, stats.interrupted)
        # dlt's client repeats lost responses and 5xx. A 429 concerns all workers, so the rate limiter handles it.
        self._http = Client(
            request_timeout=policy.timeout,
            request_max_attempts=policy.attempts,
            request_backoff_factor=policy.backoff_factor,
            request_max_retry_delay=policy.longest_wait,
            max_connections=concurrency,
            raise_for_status=False,
            # dlt's own conditions would come first and skip _observe, which counts attempts.
            status_codes=(),
            exceptions=(),
            retry_condition=[self._observe],
        )
        self._host_limiter = limiter_of(base_url, concurrency)
        # The jobs and the companions of a load share their statistics, and so their limiter.
        self._limiter = self._host_limiter.client_limiter(stats)
        self._environment_settings: dict[str, dict[str, Any]] = {}
        self._sending = threading.local()

    def get(self, url: str, params: Mapping[str, str], auth: AuthBase) -> requests.Response:
        """Return the response of any status to a GET.

        Raises:
            UnreachableError: if none arrives.
        """
        return self._send(url, lambda: self._request("GET", url, params=params, auth=auth))

    def post_form(self, url: str, data: Mapping[str, str]) -> requests.Response:
        """Return the response of any status to a POST of a form.

        Raises:
            UnreachableError: if none arrives.
        """
        return self._send(url, lambda: self._request("POST", url, data=data))

    def close(self) -> None:
        """Close the connections that no request uses; a later request opens one again."""
        self._adapter.close()

    def _request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Send a request with the proxies and certificates of the environment.

        requests searches the environment for each request, a tenth of the processor time of a page of 40 jobs. So the
        settings are kept for each host.
        """
        session, host = self._session(), urlsplit(url)
        if host.netloc not in self._environment_settings:
            session.trust_env = True
            settings = dict(session.merge_environment_settings(url, {}, None, None, None))
            if is_loopback(host.hostname or ""):
                # A proxy would reach its own loopback, and read the secret, since http on loopback is not encrypted.
                settings["proxies"] = {}
            self._environment_settings[host.netloc] = settings
        session.trust_env = False
        self._sending.attempt = 0
        return session.request(
            method,
            url,
            allow_redirects=False,
            hooks={"response": lambda response, **_: self._prepare(response)},
            **self._environment_settings[host.netloc],
            **arguments,
        )

    def _session(self) -> requests.Session:
        """Return dlt's session of this thread, with the adapter that bounds responses, and waits that can end early."""
        session = self._http.session
        if session.adapters["https://"] is not self._adapter:
            session.mount("https://", self._adapter)
            session.mount("http://", self._adapter)
            send: Any = session.send
            session.send = send.retry_with(sleep=self.stats.interrupted.pause)  # type: ignore[method-assign]
        return session

    def _prepare(self, response: requests.Response) -> None:
        """Bound a response before its body is read, and replace its Retry-After by one that dlt's client can parse.

        dlt's client fails on a year after 9999 and on thousands of digits, and would not repeat the request.
        """
        bound(response, self._max_page_mb)
        if response.status_code != 429 and (header := response.headers.pop("Retry-After", None)):
            seconds = parse_retry_after(header)
            if seconds is not None:
                response.headers["Retry-After"] = str(ceil(min(seconds, self._policy.longest_wait)))

    def _observe(self, response: requests.Response | None, error: BaseException | None) -> bool:
        """Count one attempt; return whether dlt's client is to send another.

        Raises:
            InterruptedLoadError: if the load was cancelled.
        """
        status = response_status(response) if response is not None else 0
        self.stats.count(status == 429)
        self._sending.attempt += 1
        self.stats.interrupted.raise_if_set()
        attempts = self._policy.attempts_for(status)
        again = may_succeed_again(response, error) and bool(self._sending.attempt < attempts)
        if again:
            reason = "host unreachable" if response is None else f"server error {status}"
            self.stats.record_wait(Wait(reason, self._sending.attempt + 1, attempts))
        return again

    def _send(self, url: str, send: Callable[[], requests.Response]) -> requests.Response:
        """Send once the rate limiter permits it, and again after a pause for each 429.

        Return the 429 after as many pauses as the policy allows attempts, without a success in between. The pauses and
        successes are those of the client, or of the host if it pauses.

        Raises:
            UnreachableError: if no response arrives.
        """
        check = self.stats.interrupted.raise_if_set
        while True:
            with self._limiter.acquire(check) as own_round, self._host_limiter.acquire(check) as host_round:
                try:
                    response = send()
                except requests.RequestException as error:
                    self.stats.record_wait(None)
                    raise _unreachable(url, error) from error
                if response_status(response) != 429:
                    self._limiter.succeeded()
                    self._host_limiter.succeeded()
                    self.stats.record_wait(None)
                    return response
                pauses = max(self._limiter.pauses, self._host_limiter.pauses)
                wait = self._policy.wait_after(response.headers.get("Retry-After"), pauses + 1)
                paused = self._host_limiter.throttle(self._limiter, wait, (own_round, host_round))
                self.stats.record_wait(Wait("throttled", until=paused.paused_until))
            if paused.pauses >= self._policy.attempts:
                return response


def _unreachable(url: str, error: requests.RequestException) -> UnreachableError:
    host = url.split("/")[2]
    if isinstance(error, requests.exceptions.SSLError):
        return UnreachableError(
            f"Host unreachable: {host} could not be reached (SSLError); its certificate is not trusted here, or it "
            "lacks TLS 1.2. If your network has its own authority, set REQUESTS_CA_BUNDLE to its file."
        )
    return UnreachableError(
        f"Host unreachable: {host} could not be reached ({type(error).__name__}). Check network, proxy and address."
    )
