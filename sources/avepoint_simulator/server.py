"""Simulate the API over real HTTP on loopback: tokens, both generations of the jobs endpoint, and faults on demand."""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import formatdate
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from avepoint_simulator.behavior import ServerBehavior
from avepoint_simulator.companions import PATHS, PERMISSION, Companions
from avepoint_simulator.faults import Answer, Asked, Drift, Fault
from avepoint_simulator.http import HttpRequest, Server
from avepoint_simulator.jobs_api import GENERATIONS, JobsApi, error_answer
from avepoint_simulator.parameters import RefusedParameterError
from avepoint_simulator.response_format import Dialect, envelope
from avepoint_simulator.tenant import World
from avepoint_simulator.tokens import Tokens, assertion_holds

JOBS_SCOPE = PERMISSION + "jobInfo.read.all"
SCOPES = (JOBS_SCOPE, *dict.fromkeys(PATHS.values()))
TOKEN_PATH = "/connect/token"


@dataclass
class Simulator:
    """Serve one world. Use it as a context manager; it listens at ``base_url`` and ``token_url``."""

    world: World
    dialect: Dialect = field(default_factory=Dialect)
    behavior: ServerBehavior = field(default_factory=ServerBehavior)
    generations: tuple[int, ...] = (1, 2)
    """The generations of the jobs endpoint that the server has."""

    latency: float = 0.0
    """The least number of seconds of each API request."""
    per_second: float | None = None
    """Requests a second beyond which the API answers 429; None for no limit."""
    retry_after: str | None = "seconds"
    """The form of Retry-After in a 429, which asks for a wait of one second: seconds, date, or None for no header."""
    gzip: bool = False
    """Whether responses are compressed for clients that accept it."""
    fault: Fault | None = None
    """Faults of the API, after it has checked the token."""
    gateway: Fault | None = None
    """Faults in front of the API and of the identity service, such as those of the network."""
    tls: ssl.SSLContext | None = None
    """Settings of TLS; None for plain HTTP."""
    drift: Drift | None = None
    client_id: str = "simulated-client"
    client_secret: str = field(default_factory=lambda: uuid.uuid4().hex)
    public_key: Any = None
    """The key that verifies client assertions; None if there is no certificate."""
    scopes: tuple[str, ...] = SCOPES
    """The granted permissions."""
    companions: Companions = field(default_factory=Companions)
    """The data of the companion endpoints; empty by default."""
    token_lifetime: int = 3600
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    token_requests: int = 0
    received: int = 0
    """The number of requests of any kind."""
    most_in_flight: int = 0
    """The most API requests that were in flight at the same time."""

    def __post_init__(self) -> None:
        self.jobs = JobsApi(self)
        self._lock = threading.Lock()
        self._tokens = Tokens()
        self._assertions: set[str] = set()
        self._in_flight = 0
        self._recent: deque[float] = deque()
        self._server = Server(self.port, self.respond, lambda: self.gzip, self._date, self.tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def base_url(self) -> str:
        """Return the root of the API."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_url(self) -> str:
        """Return the URL that issues access tokens."""
        return self.base_url + TOKEN_PATH

    def __enter__(self) -> Simulator:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def expire_tokens(self) -> None:
        """Make the API refuse every token issued so far."""
        self._tokens.expire()

    def warm(self) -> None:
        """Encode the jobs that have ended, so that the first page is as fast as any other."""
        self.jobs.warm()

    def respond(self, request: HttpRequest) -> Answer:
        """Answer a request, to the API or for a token."""
        with self._lock:
            self.received += 1
            number = self.received
        if self.gateway and (fault := self.gateway(_asked(number, request))):
            return self._spoil(fault, lambda: self._respond(request))
        return self._respond(request)

    def _respond(self, request: HttpRequest) -> Answer:
        path, _, query = request.target.partition("?")
        if path == TOKEN_PATH and request.method == "POST":
            return self.token(dict(parse_qsl(request.body.decode())))
        if path == TOKEN_PATH or request.method != "GET":
            return self._error(405)
        return self.api(path, dict(parse_qsl(query)), request.headers.get("authorization", ""))

    def token(self, form: dict[str, str]) -> Answer:
        """Answer a token request as the identity service would."""
        self.token_requests += 1
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        if not self._proved(form):
            return Answer(400, {"error": "invalid_client"})
        scope = form.get("scope", "")
        if scope not in self.scopes:
            return Answer(400, {"error": "invalid_scope"})
        token = self._tokens.give(scope, self.token_lifetime)
        granted = {"access_token": token, "expires_in": self.token_lifetime, "token_type": "Bearer", "scope": scope}
        return Answer(200, granted)

    def _proved(self, form: dict[str, str]) -> bool:
        if "client_assertion" in form:
            return assertion_holds(form, self.public_key, self.client_id, self.token_url, self._assertions)
        return (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)

    def api(self, path: str, sent: dict[str, str], authorization: str) -> Answer:
        """Answer a GET to the API; ``sent`` are its parameters."""
        params = {name.lower(): value for name, value in sent.items()}
        with self._lock:
            asked = Asked(len(self.asked) + 1, path, params, sent)
            self.asked.append(asked)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            if self.latency:
                time.sleep(self.latency)
            answer = self._refusal(asked, authorization)
            answer = self._answer(asked) if answer is None else self._spoil(answer, lambda: self._answer(asked))
            if self.drift and path in GENERATIONS:
                self.drift.move(self.world, asked.number)
            return answer
        finally:
            with self._lock:
                self._in_flight -= 1

    def _refusal(self, asked: Asked, authorization: str) -> Answer | None:
        scope = self._tokens.scope(authorization)
        if scope is None:
            return self._error(401)
        if self.fault and (answer := self.fault(asked)):
            return answer
        if scope != PATHS.get(asked.path, JOBS_SCOPE):
            return self._error(403)
        if self.per_second and self._over_the_limit(self.per_second):
            forms = {"seconds": "1", "date": formatdate(time.time() + 1, usegmt=True)}
            headers = {"Retry-After": forms[self.retry_after]} if self.retry_after else {}
            return replace(self._error(429), headers=headers)
        return None

    def _spoil(self, fault: Answer, regular: Callable[[], Answer]) -> Answer:
        """Return the response of a fault, with status and body of the regular response if it has none."""
        if fault.status >= 400 and fault.body is None:
            return replace(fault, body=self._error(fault.status).body)
        if fault.status or (fault.drop and fault.keep is None):
            return fault
        answer = regular()
        return replace(fault, status=answer.status, body=answer.body, headers=answer.headers | fault.headers)

    def _error(self, status: int, text: str = "", name: str = "") -> Answer:
        return error_answer(self.dialect, status, text, name)

    def _over_the_limit(self, limit: float) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            over = len(self._recent) >= limit
            if not over:
                self._recent.append(now)
        return over

    def _answer(self, asked: Asked) -> Answer:
        return self._companion(asked.path, asked.params) if asked.path in PATHS else self.jobs.answer_jobs(asked)

    def _companion(self, path: str, params: dict[str, str]) -> Answer:
        if not self.companions.serves(path):
            return self._error(404)
        try:
            data = self.companions.data(path, params, self.world.now)
        except RefusedParameterError as error:
            return self._error(400, str(error), error.name)
        return Answer(200, self.dialect.spell(envelope(data, {})))

    def _date(self) -> datetime | None:
        ahead = self.behavior.clock_skew_hours
        return None if ahead is None else self.world.now + timedelta(hours=ahead)


def _asked(number: int, request: HttpRequest) -> Asked:
    """Return a request as faults receive it; a request for a token has its scope as a parameter."""
    path, _, query = request.target.partition("?")
    form = dict(parse_qsl(request.body.decode())) if request.method == "POST" else {}
    sent = dict(parse_qsl(query)) | {name: form[name] for name in ("scope",) if name in form}
    return Asked(number, path, {name.lower(): value for name, value in sent.items()}, sent)
