"""How one asks: the two generations of the jobs endpoint behind one call, a page of jobs for a set of parameters. What
the answers say is read in ``answers``.

The client can send GET to the API and POST to the token URL and nothing else; it follows no redirect, so that a
token never reaches another host. TLS 1.2 with verification is what urllib3 2 insists on by default.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import dlt
import pyarrow as pa
import requests
from dlt.common.configuration import with_config
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests import Client

from avepoint_m365.api.auth import Bearer, Identity, Tokens
from avepoint_m365.api.pagination import Page, Params
from avepoint_m365.api.rate_limit import gate_of, retry_after
from avepoint_m365.api.responses import is_cut, read_page, status
from avepoint_m365.config import Addresses, is_loopback
from avepoint_m365.exceptions import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    EndpointMissingError,
    InterruptedLoadError,
    MissingPermissionError,
    SourceError,
)
from avepoint_m365.extract.pool import Answer
from avepoint_m365.parse.values import SEEN_AT, read_jobs
from avepoint_m365.settings import JOBS_SCOPE, Endpoint

_reading_jobs = threading.Lock()
"""Threads that turn jobs into columns side by side fight for Python's one interpreter, which made reading 100,000 jobs
take 3.0 s of a processor instead of 1.9."""


class Traffic:
    """Counts attempts of requests, in all and of each thread; the retrying client reports each of them."""

    def __init__(self) -> None:
        self._lock, self._local = threading.Lock(), threading.local()
        self.attempts = 0
        self.throttled = 0
        """Answers with 429."""
        self.interrupted = threading.Event()
        """Set from any thread: no other request is sent, and those who ask get an error."""

    @property
    def attempts_of_thread(self) -> int:
        """Attempts of the calling thread so far."""
        return getattr(self._local, "attempts", 0)

    def go_on(self) -> None:
        """Does nothing, unless no other request is to be sent.

        Raises:
            InterruptedLoadError: where that is so.
        """
        if self.interrupted.is_set():
            raise InterruptedLoadError

    def observe(self, response: requests.Response | None, error: BaseException | None) -> bool:
        """Counts one attempt; never asks for another, which the client decides by itself."""
        self._local.attempts = self.attempts_of_thread + 1
        with self._lock:
            self.attempts += 1
            self.throttled += response is not None and status(response) == 429
        self.go_on()
        return False


_LOST = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""What is raised where an answer does not arrive whole."""


def _may_pass(response: requests.Response | None, error: BaseException | None) -> bool:
    """Whether another try may bring more: where no answer arrived, after an error of the server, and after a 200 that
    was cut."""
    if response is None:
        return isinstance(error, _LOST)
    return (response.status_code == 200 and is_cut(response)) or 500 <= status(response) < 600


@with_config(spec=RuntimeConfiguration)
def _runtime(config: RuntimeConfiguration = dlt.config.value) -> RuntimeConfiguration:
    """dlt's settings of timeouts and retries.

    Raises:
        ConfigurationError: for values with which nothing could be asked, or without end.
    """
    for key, least in {"request_max_attempts": 1, "request_backoff_factor": 0, "request_max_retry_delay": 0}.items():
        value = getattr(config, key)
        if isinstance(value, int | float) and value < least:
            raise ConfigurationError(f"runtime.{key} = {value} must be {least} or more.")
    return config


class JobsClient:
    """Asks one API host for jobs; safe to share between threads."""

    def __init__(
        self,
        addresses: Addresses,
        identity: Identity,
        endpoint: str,
        concurrency: int,
        traffic: Traffic | None = None,
    ) -> None:
        self.traffic, self.concurrency = traffic or Traffic(), concurrency
        self._patience = _runtime()
        # dlt's client repeats what fails on the way or with 5xx; a 429 concerns all workers, so the gate has it.
        self._http = Client(
            request_timeout=self._patience.request_timeout,
            request_max_attempts=self._patience.request_max_attempts,
            request_backoff_factor=self._patience.request_backoff_factor,
            request_max_retry_delay=self._patience.request_max_retry_delay,
            max_connections=concurrency,
            raise_for_status=False,
            # Asked of the conditions alone, of which dlt's own would go first and leave out the one that counts.
            status_codes=(),
            exceptions=(),
            retry_condition=[self.traffic.observe, _may_pass],
        )
        self._base_url = addresses.base_url
        self._tokens = Tokens(identity, addresses.token_url, JOBS_SCOPE, self._post_form)
        self._gate = gate_of(addresses.base_url, concurrency)
        self._surroundings: dict[str, Any] = {}
        self._endpoint = None if endpoint == "auto" else Endpoint(endpoint)

    def _post_form(self, url: str, data: Mapping[str, str]) -> requests.Response:
        return self._through_the_gate(url, lambda: self._request("POST", url, data=data))

    def _request(self, method: str, url: str, **more: Any) -> requests.Response:
        """Sends once, by the proxies and certificates that the environment names. requests looks through the
        environment for each request, which takes a tenth of the processor time that a page of 40 jobs does."""
        session = self._http.session
        if url not in self._surroundings:
            session.trust_env = True
            surroundings = session.merge_environment_settings(url, {}, None, None, None)
            if is_loopback(urlsplit(url).hostname or ""):
                # A proxy has a loopback of its own, and would see the secret, which plain http does not hide.
                surroundings["proxies"] = {}
            self._surroundings[url] = surroundings
        session.trust_env = False
        return session.request(method, url, allow_redirects=False, **self._surroundings[url], **more)

    def _through_the_gate(self, url: str, send: Callable[[], requests.Response]) -> requests.Response:
        """Sends when the gate lets it, and again after a pause for each 429, until as many pauses as there may be
        attempts have passed in which the API served nobody."""
        while True:
            with self._gate.passage(self.traffic.go_on) as number:
                try:
                    response = send()
                except requests.RequestException as error:
                    raise _unreachable(url, error) from error
                if status(response) != 429:
                    self._gate.went_well()
                    return response
                pauses = self._gate.pauses + 1
                wait = retry_after(
                    response.headers.get("Retry-After"),
                    pauses,
                    float(self._patience.request_backoff_factor),
                    float(self._patience.request_max_retry_delay),
                )
                self._gate.close(wait, number)
            if self._gate.pauses >= int(self._patience.request_max_attempts):
                return response

    def authenticate(self) -> None:
        """Asks for a token, where there is none yet.

        Raises:
            SourceError: where the identity service refuses; with the cure.
        """
        self._tokens.token()

    def ask(self, params: Params) -> Answer:
        """One page, with its jobs read.

        Raises:
            SourceError: by cause; see ``errors``.
        """
        attempts = self.traffic.attempts_of_thread
        try:
            page, endpoint = self.page(params)
            with _reading_jobs:
                jobs = read_jobs(page.rows)
        except SourceError as error:
            # Texts and values of a server that echoes what it was sent.
            error.args = (self._tokens.redact(str(error)),)
            raise
        seen_at = pa.repeat(pa.scalar(time.monotonic_ns(), pa.int64()), jobs.num_rows)
        return Answer(
            replace(page, rows=jobs["id"].to_pylist()),
            jobs.append_column(SEEN_AT, seen_at),
            endpoint,
            max(self.traffic.attempts_of_thread - attempts, 1),
        )

    def page(self, filters: Params) -> tuple[Page, Endpoint]:
        """One page, from the generation of the endpoint that this host has.

        Raises:
            SourceError: by cause; see ``errors``.
        """
        endpoint = self._endpoint
        if endpoint is None:
            # Requests that begin beside the first do not wait for it: with two locations that would be a second round
            # trip in which nothing else goes on. Where the first generation is missing, each of them learns that.
            page, endpoint = self._probe(filters)
            self._endpoint = endpoint
            return page, endpoint
        return self._get(endpoint, filters), endpoint

    def _probe(self, params: Params) -> tuple[Page, Endpoint]:
        refusals: list[SourceError] = []
        for endpoint in Endpoint:
            try:
                return self._get(endpoint, params), endpoint
            except (EndpointMissingError, MissingPermissionError, AuthenticationError) as error:
                refusals.append(error)
        # A missing permission says more than a missing path.
        raise next((one for one in refusals if not isinstance(one, EndpointMissingError)), refusals[0])

    def _get(self, endpoint: Endpoint, params: Params) -> Page:
        token = self._tokens.token()
        response = self._send(endpoint, params, token)
        if status(response) == 401:
            self._tokens.reject(token)
            response = self._send(endpoint, params, self._tokens.token())
        return read_page(endpoint, params, response)

    def _send(self, endpoint: Endpoint, params: Params, token: str) -> requests.Response:
        url = self._base_url + endpoint.path
        return self._through_the_gate(url, lambda: self._request("GET", url, params=params, auth=Bearer(token)))


def _unreachable(url: str, error: requests.RequestException) -> ApiError:
    host = url.split("/")[2]
    if isinstance(error, requests.exceptions.SSLError):
        return ApiError(
            f"{host} could not be reached (SSLError): its certificate is not trusted here, or it offers no TLS 1.2. If "
            "your network has an authority of its own, name its file in REQUESTS_CA_BUNDLE."
        )
    return ApiError(f"{host} could not be reached ({type(error).__name__}). Look at network, proxy and the address.")
