"""Request pages of jobs, single jobs and other resources of one API host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import requests

from avepoint_m365.api.auth import Bearer, ClientCredential, TokenCache
from avepoint_m365.api.body import announced_end, describe, response_status, server_time
from avepoint_m365.api.failures import refused_filter
from avepoint_m365.api.page import JobsPage, PageInfo
from avepoint_m365.api.responses import JsonBody, PageContent, read_body, read_job, read_page, refuse_reported_errors
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.api.transport import Transport
from avepoint_m365.config import ServiceUrls
from avepoint_m365.constants import JOBS_SCOPE, MAX_PAGE_MB
from avepoint_m365.endpoints import JOBS, EndpointVersion, ParameterSpelling, Params, versions
from avepoint_m365.exceptions import (
    AuthenticationError,
    EndpointMissingError,
    MissingPermissionError,
    RedirectedError,
    RefusedParametersError,
    SourceError,
)
from avepoint_m365.parse.raw import RawJobs

NOT_SERVED = (EndpointMissingError, RedirectedError)
"""Errors of a generation of the endpoint that a host lacks; a vendor may redirect its path to that of another."""


class JobsClient:
    """Request jobs and other resources from one API host. Safe to share between threads."""

    def __init__(
        self,
        urls: ServiceUrls,
        credential: ClientCredential,
        endpoint: str,
        concurrency: int,
        stats: RequestStats | None = None,
        max_page_mb: int = MAX_PAGE_MB,
    ) -> None:
        """Keep the name of a generation of the endpoint, or auto for the first one that the host has."""
        self.stats, self.concurrency = stats or RequestStats(), concurrency
        self.spelling = ParameterSpelling.camel
        """The spelling of query parameters; a server that ignores one spelling may read the other."""
        self.before_request: Callable[[], None] = lambda: None
        """Called in any thread before each request."""
        self._base_url = urls.base_url
        self._transport = Transport(urls.base_url, concurrency, self.stats, max_page_mb)
        self._tokens = TokenCache(credential, urls.token_url, self._transport.post_form)
        self._versions = {version.name: version for version in versions()}
        self._may_switch = endpoint == "auto"
        self._endpoint = None if self._may_switch else self._versions[endpoint]

    @property
    def has_single_jobs(self) -> bool:
        """Return whether the endpoint in use has a path for single jobs."""
        return self._endpoint is not None and self._endpoint.path_of_job("") is not None

    def switch_generation(self) -> bool:
        """Use the other generation of the endpoint; return False if there is none, or the endpoint was named."""
        others = [version for version in self._versions.values() if version != self._endpoint]
        if not self._may_switch or not others:
            return False
        self._endpoint = others[0]
        return True

    def prefer_generation(self, name: str) -> None:
        """Try a generation of the endpoint first, such as that of the last load; the others are tried after it."""
        if self._may_switch and self._endpoint is None and name in self._versions:
            preferred = self._versions[name]
            self._versions = {name: preferred, **self._versions}

    def close(self) -> None:
        """Close the connections that no request uses; a later request opens one again."""
        self._transport.close()

    def authenticate(self, scope: str = JOBS_SCOPE) -> None:
        """Request a token, unless the cache holds a valid one.

        Raises:
            SourceError: if the identity service refuses.
        """
        self._tokens.token(scope)

    def request_page(self, params: Params) -> JobsPage:
        """Return one page of jobs, from the generation of the endpoint that this host has.

        Raises:
            SourceError: by cause; see ``exceptions``.
        """
        with self._redacted_errors():
            try:
                if self._endpoint is not None:
                    return self._page(self._endpoint, params)
                # Parallel requests do not wait for the first one to find the generation, which would cost them a whole
                # round trip. Each of them may ask a missing generation once.
                page = self._probe(params)
            except EndpointMissingError as error:
                if self._endpoint is None:
                    raise
                raise refused_filter(error, params) from error
            self._endpoint = page.endpoint
            return page

    def job_by_id(self, job_id: str, location: str | None) -> JobsPage | None:
        """Return one job as a page; None if the API lacks the job, or the endpoint a path for single jobs.

        Raises:
            SourceError: by cause; see ``exceptions``.
        """
        path = self._endpoint.path_of_job(job_id) if self._endpoint else None
        if self._endpoint is None or path is None:
            return None
        params = {} if location is None else {"location": location}
        try:
            with self._redacted_errors():
                response, attempts = self._send(path, self._endpoint.query(params, self.spelling), JOBS_SCOPE)
                rows = read_job(self._endpoint, describe(path, params, response), response)
        except EndpointMissingError:
            return None
        if not rows:
            return None
        content = PageContent(PageInfo([job_id], None, None), rows)
        return self._jobs_page(self._endpoint, content, response, attempts)

    def get(self, path: str, params: Mapping[str, str], scope: str) -> JsonBody:
        """Return the body of another resource, requested with a token of its own scope; None for 204.

        Raises:
            SourceError: by cause; see ``exceptions``. A missing permission concerns this scope alone.
        """
        with self._redacted_errors():
            response, _ = self._send(path, JOBS.query(params, self.spelling), scope)
            request = describe(path, params, response)
            body = read_body(None, request, response, scope)
            refuse_reported_errors(body, request)
            return body

    def _probe(self, params: Params) -> JobsPage:
        """Return a page from the first generation of the endpoint that the host has and the credentials may use.

        Raises:
            SourceError: by cause, if no generation answers.
        """
        refusals: list[SourceError] = []
        for version in self._versions.values():
            try:
                return self._page(version, params)
            except (*NOT_SERVED, MissingPermissionError, AuthenticationError) as error:
                refusals.append(error)
        # A missing permission is the better explanation: the host has the path.
        raise next((error for error in refusals if not isinstance(error, NOT_SERVED)), refusals[0])

    def _page(self, version: EndpointVersion, params: Params) -> JobsPage:
        response, attempts = self._send(version.path, version.query(params, self.spelling), JOBS_SCOPE)
        try:
            content = read_page(version, describe(version.path, params, response), response)
        except RefusedParametersError as refusal:
            refusal.server_time = server_time(response)
            raise
        return self._jobs_page(version, content, response, attempts)

    def _jobs_page(
        self, version: EndpointVersion, content: PageContent, response: requests.Response, attempts: int
    ) -> JobsPage:
        time_of_server, now = server_time(response), datetime.now(UTC)
        redact = self._tokens.redact
        page, rows, jobs = content
        page = page._replace(errors=redact(page.errors), warnings=redact(page.warnings))
        raw = RawJobs(rows, jobs, page.ids, now=max(now, time_of_server or now), redact=redact)
        return JobsPage(page, raw, version, attempts, time_of_server, redact(announced_end(response)))

    def _send(self, path: str, query: Params, scope: str) -> tuple[requests.Response, int]:
        """Return the response to a GET, and its attempts; renew the token once if the API refuses it."""
        self.before_request()
        url = self._base_url + path
        token = self._tokens.token(scope)
        response, attempts = self._get(url, query, token)
        if response_status(response) == 401:
            self._tokens.reject(scope, token)
            response, further_attempts = self._get(url, query, self._tokens.token(scope))
            attempts += further_attempts
        return response, attempts

    def _get(self, url: str, query: Params, token: str) -> tuple[requests.Response, int]:
        """Return the response to a GET, and its attempts, without those of the request for its token."""
        attempts_before = self.stats.attempts_of_thread
        response = self._transport.get(url, query, Bearer(token))
        return response, self.stats.attempts_of_thread - attempts_before

    @contextmanager
    def _redacted_errors(self) -> Iterator[None]:
        """Remove secrets from the texts of errors within the block: a server may echo a request."""
        try:
            yield
        except SourceError as error:
            error.args = (self._tokens.redact(str(error)),)
            raise
