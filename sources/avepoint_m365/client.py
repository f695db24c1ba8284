"""How one asks: the two generations of the jobs endpoint behind one call, a page of jobs for a set of parameters.

The client can send GET to the API and POST to the token URL and nothing else; it follows no redirect, so that a
token never reaches another host. TLS 1.2 with verification is what urllib3 2 insists on by default.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import dlt
import pyarrow as pa
import requests
from dlt.common.configuration import with_config
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests import Client

from avepoint_m365.auth import Bearer, Identity, Tokens
from avepoint_m365.config import Addresses, is_loopback
from avepoint_m365.dispatch import Answer
from avepoint_m365.documented import is_too_deep, read_documented
from avepoint_m365.errors import (
    ApiError,
    AuthenticationError,
    BadResponseError,
    ConfigurationError,
    EndpointMissingError,
    InterruptedLoadError,
    MissingPermissionError,
    SourceError,
    ThrottledError,
    storable,
)
from avepoint_m365.paging import Page, Params
from avepoint_m365.records import SEEN_AT, parse_count, read_jobs
from avepoint_m365.settings import JOBS_SCOPE, Endpoint
from avepoint_m365.throttle import gate_of, retry_after

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-ms-request-id")


_TELLS_OF_AN_ERROR = re.compile(rb'"statusCode"\s*:\s*"?[4-9]\d\d')
"""Found in bodies that may tell of an error beside 200, so that the others need not be read to know."""

_EDGE = 4096
"""Bytes at both ends of a body that are searched for it. An error is short, and what lies between is jobs."""


_reading_jobs = threading.Lock()
"""Threads that turn jobs into columns side by side fight for Python's one interpreter, which made reading 100,000 jobs
take 3.0 s of a processor instead of 1.9."""


class RefusedParametersError(ApiError):
    """The API answered 400: a parameter, perhaps the page size, is not to its liking."""


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
            self.throttled += response is not None and _status(response) == 429
        self.go_on()
        return False


def _status(response: requests.Response) -> int:
    """The status of an answer: where HTTP says 200, that of an error which the body tells of."""
    content = response.content
    if response.status_code == 200 and any(map(_TELLS_OF_AN_ERROR.search, (content[:_EDGE], content[-_EDGE:]))):
        return _error_told(_json(response)) or 200
    return response.status_code


def _error_told(body: object) -> int | None:
    """The status of an error that a body tells of, if it does."""
    # Cut where Python would refuse to make a number of it.
    said = str(body.get("statusCode", ""))[:9] if isinstance(body, Mapping) else ""
    return int(said) if said.isdecimal() and int(said) >= 400 else None


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
    return (response.status_code == 200 and _is_cut(response)) or 500 <= _status(response) < 600


def _is_cut(response: requests.Response) -> bool:
    """Whether a body is no whole object of JSON, since a proxy cut or replaced it; read only where it may be so."""
    content = response.content
    if content[-64:].rstrip()[-1:] != b"}":
        return True
    return content.count(b"{") != content.count(b"}") and _json(response) is None


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
                if _status(response) != 429:
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
        if _status(response) == 401:
            self._tokens.reject(token)
            response = self._send(endpoint, params, self._tokens.token())
        status, where = _status(response), describe(endpoint, params, response)
        if status == 204:
            return Page([], 0, "")
        if status != 200:
            raise _failure(status, _json(response), where)
        body = read_documented(response.content) or _json(response)
        if not isinstance(body, Mapping):
            raise BadResponseError(f"{where}: the answer is not a JSON object. Is base_url the API's host?")
        if told := _error_told(body):
            raise _failure(told, body, f"{where}, but says {told}")
        no_jobs = body.get("data") is None and body.get("jobs") is None
        said = {name: body[name] for name in ("message", "error") if body.get(name)}
        if no_jobs and said and "statusCode" not in body and _total(body, where) is None:
            # In no envelope, which has a message at all times, and without a total, which would vouch for none.
            raise ApiError(f"{where}, but holds no list of jobs and says: {_message(said)}. Try again later.")
        errors = ""
        if body.get("errors"):
            errors = _message({name: body.get(name) for name in ("message", "errors")}) or "errors without a text"
            if no_jobs:
                raise ApiError(f"{where}, but the answer holds errors: {errors}")
        return replace(_READERS[endpoint](body, where), errors=errors)

    def _send(self, endpoint: Endpoint, params: Params, token: str) -> requests.Response:
        url = self._base_url + endpoint.path
        return self._through_the_gate(url, lambda: self._request("GET", url, params=params, auth=Bearer(token)))


def describe(endpoint: Endpoint, params: Params, response: requests.Response) -> str:
    """Where something happened: path, parameters, status and the request id worth quoting to the vendor."""
    asked = " ".join(f"{name}={value}" for name, value in params.items())
    ids = (response.headers.get(name) for name in REQUEST_ID_HEADERS)
    request_id = next((one for one in ids if one), None)
    said = _status(response)
    return (
        f"GET {endpoint.path} ({asked}) answered {response.status_code}"
        + (f", but says {said}" if said != response.status_code else "")
        + (f", request id {request_id}" if request_id else "")
    )


def _json(response: requests.Response) -> Any:
    """The body; None where it is not JSON, or nested deeper than anybody's. It is UTF-8, whatever the header says, or
    else what the header says."""
    if is_too_deep(response.content):
        return None
    for read in (partial(json.loads, response.content), response.json):
        try:
            # A line break in a text that is not escaped does no harm.
            return read(strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _message(body: object) -> str:
    """What the API says of an error: in its envelope, or all texts of another object; nothing where the body is HTML or
    empty."""
    if not isinstance(body, Mapping):
        return ""
    errors = body.get("errors")
    details = [one for one in errors if isinstance(one, Mapping)] if isinstance(errors, list) else []
    said = [str(text) for text in (body.get("message"), *(one.get("message") for one in details)) if text]
    # The envelope often says the same twice.
    return storable(" ".join(dict.fromkeys(text[:200] for text in said or _texts(body))))[:1000]


def _texts(value: object) -> Iterator[str]:
    """All texts within a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _failure(status: int, body: object, where: str) -> SourceError:
    said = _message(body)
    text = f"{where}{': ' + said if said else ''}".removesuffix(".") + "."
    if status == 401:
        return AuthenticationError(f"{text} A fresh token is refused as well: look at environment and data_center.")
    if status == 403:
        return MissingPermissionError(
            f"{text} Grant the permission {JOBS_SCOPE} to the app registration in AvePoint Online Services."
        )
    if status in (404, 405, 410):
        return EndpointMissingError(f"{text} This host does not have this endpoint: look at endpoint and base_url.")
    if status == 400:
        return RefusedParametersError(
            f"{text} The API refuses a parameter: look at start_date, page_size, and at locations, which are for "
            "Multi-Geo tenants only."
        )
    if status == 429:
        return ThrottledError(f"{text} It still throttles after all retries: lower concurrency or try later.")
    if 300 <= status < 400:
        return ApiError(f"{text} Redirects are not followed, to keep the token safe: look at base_url.")
    return ApiError(f"{text} Try again later; if it stays, give the vendor the request id.")


def _unreachable(url: str, error: requests.RequestException) -> ApiError:
    host = url.split("/")[2]
    if isinstance(error, requests.exceptions.SSLError):
        return ApiError(
            f"{host} could not be reached (SSLError): its certificate is not trusted here, or it offers no TLS 1.2. If "
            "your network has an authority of its own, name its file in REQUESTS_CA_BUNDLE."
        )
    return ApiError(f"{host} could not be reached ({type(error).__name__}). Look at network, proxy and the address.")


def _total(fields: Mapping[str, Any], where: str) -> int | None:
    # The vendor's table says totalNumber, its sample totalCount.
    values = [fields[name] for name in ("totalNumber", "totalCount") if fields.get(name) is not None]
    try:
        return parse_count(values[0]) if values else None
    except ValueError as error:
        raise BadResponseError(f"{where}: the total is {values[0]!r}, which is {error}.") from error


def _read_page(body: Mapping[str, Any], rows: object, paging: object, where: str) -> Page:
    if rows is None:
        rows = []
    if isinstance(rows, str) or not isinstance(rows, Sequence | pa.StructArray):
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    fields = paging if isinstance(paging, Mapping) else {}
    link = fields.get("nextLink")
    return Page(rows, _total(fields, where), link if isinstance(link, str) else None)


def _first_generation(body: Mapping[str, Any], where: str) -> Page:
    if "jobs" not in body:
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    return _read_page(body, body["jobs"], body, where)


def _second_generation(body: Mapping[str, Any], where: str) -> Page:
    if "data" not in body:
        raise BadResponseError(f"{where}: there is no list of jobs in the answer; its fields are {sorted(body)}.")
    return _read_page(body, body["data"], body.get("metadata"), where)


_READERS: dict[Endpoint, Callable[[Mapping[str, Any], str], Page]] = {
    Endpoint.jobs: _first_generation,
    Endpoint.cloudbackupjobs: _second_generation,
}
