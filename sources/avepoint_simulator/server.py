"""The simulated API over real HTTP on loopback: tokens, both generations of the jobs endpoint, and faults on demand."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt

from avepoint_simulator.dialect import Dialect
from avepoint_simulator.world import SimulatedJob, World

JOBS_SCOPE = "microsoft365backup.jobInfo.read.all"
GENERATIONS = {"/backup/m365/jobs": 1, "/backup/m365/cloudbackupjobs": 2}
COMPANIONS = (
    "/backup/m365/cloudbackuplicenseconsumption",
    "/backup/m365/cloudbackupunusualactivitydata",
    "/backup/m365/settings/backup/frequency",
    "/backup/m365/settings/retention-policy",
)


@dataclass
class Answer:
    """What is sent back; ``drop`` closes the connection instead."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it; parameter names in lower case."""

    number: int
    path: str
    params: dict[str, str]


Fault = Callable[[Asked], Answer | None]
"""Looks at a request to the API and answers in the server's place, or lets it pass with None."""


@dataclass
class Simulator:
    """A server for one world. Use it as a context manager; ``base_url`` and ``token_url`` say where it listens."""

    world: World
    dialect: Dialect = field(default_factory=Dialect)
    generations: tuple[int, ...] = (1, 2)
    latency: float = 0.0
    """Seconds each API request takes at least."""
    per_second: float | None = None
    """Requests a second after which the API answers 429."""
    fault: Fault | None = None
    client_id: str = "simulated-client"
    client_secret: str = field(default_factory=lambda: uuid.uuid4().hex)
    public_key: Any = None
    """Checks assertions signed with a certificate's key."""
    scopes: tuple[str, ...] = (JOBS_SCOPE,)
    token_lifetime: int = 3600
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    token_requests: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._in_flight = 0
        self._recent: list[float] = []
        self._answers: dict[Any, list[SimulatedJob]] = {}
        self._answers_version = -1
        self._ended: dict[str, tuple[SimulatedJob, dict[str, Any]]] = {}
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """Root of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_url(self) -> str:
        """Where access tokens are given out."""
        return f"{self.base_url}/connect/token"

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
        """Makes the API refuse every token given out so far."""
        with self._lock:
            self._tokens.clear()

    def token(self, form: dict[str, str]) -> Answer:
        """Answers a token request as the identity service would."""
        self.token_requests += 1
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        if not self._proved(form):
            return Answer(400, {"error": "invalid_client"})
        if form.get("scope") not in self.scopes:
            return Answer(400, {"error": "invalid_scope"})
        token = uuid.uuid4().hex
        with self._lock:
            self._tokens[token] = time.monotonic() + self.token_lifetime
        return Answer(200, {"access_token": token, "expires_in": self.token_lifetime, "token_type": "Bearer"})

    def _proved(self, form: dict[str, str]) -> bool:
        if "client_assertion" not in form:
            return (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        if self.public_key is None:
            return False
        try:
            claims = jwt.decode(
                form["client_assertion"], self.public_key, algorithms=["RS256"], audience=self.token_url, leeway=5
            )
        except jwt.InvalidTokenError:
            return False
        return bool(claims["iss"] == claims["sub"] == self.client_id)

    def api(self, path: str, params: dict[str, str], authorization: str) -> Answer:
        """Answers a GET to the API."""
        with self._lock:
            asked = Asked(len(self.asked) + 1, path, params)
            self.asked.append(asked)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            if self.latency:
                time.sleep(self.latency)
            return self._refusal(asked, authorization) or self._answer(path, params)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _refusal(self, asked: Asked, authorization: str) -> Answer | None:
        with self._lock:
            known = self._tokens.get(authorization.removeprefix("Bearer "), 0.0) > time.monotonic()
        if not known:
            return Answer(401)
        if self.fault and (answer := self.fault(asked)):
            return answer
        if self.per_second and self._over_the_limit():
            return Answer(429, {"message": "Too many requests."}, {"Retry-After": "1"})
        return None

    def _over_the_limit(self) -> bool:
        now = time.monotonic()
        with self._lock:
            self._recent = [at for at in self._recent if at > now - 1]
            over = len(self._recent) >= (self.per_second or 0)
            if not over:
                self._recent.append(now)
        return over

    def _answer(self, path: str, params: dict[str, str]) -> Answer:
        generation = GENERATIONS.get(path)
        if path in COMPANIONS:
            return Answer(200, _envelope([], {}))
        if generation is None and path.startswith("/backup/m365/cloudbackupjobs/"):
            return self._one_job(path.rsplit("/", 1)[1])
        if generation not in self.generations:
            return Answer(404, {"message": "No such resource."})
        try:
            return self._page(generation or 1, path, params)
        except ValueError as error:
            return Answer(400, _envelope(None, {}, 400, str(error)))

    def _one_job(self, job_id: str) -> Answer:
        for job in self.world.visible():
            if job.id == job_id:
                return Answer(200, _envelope(self.dialect.job(job, self.world.now), {}))
        return Answer(404, _envelope(None, {}, 404, "No such job."))

    def _page(self, generation: int, path: str, params: dict[str, str]) -> Answer:
        size = int(params.get("pagesize", 10))
        if size < 1:
            raise ValueError("pageSize must be positive.")
        limit = self.dialect.refuse_page_size_over
        if limit is not None and size > limit:
            raise ValueError(f"pageSize must not exceed {limit}.")
        size = min(size, self.dialect.max_page_size)
        first = self.dialect.first_page
        index = max(int(params.get("pageindex", first)) - first, 0)
        matches = self._matches(params)
        rows = matches[index * size : (index + 1) * size]
        shown = [self._shown(job) for job in rows]
        more = (index + 1) * size < len(matches)
        link = self.dialect.next_link(self.base_url, path, params, index + first + 1) if more else ""
        paging = {**self.dialect.total(len(matches), len(rows)), "nextLink": link}
        if self.dialect.link == "none":
            del paging["nextLink"]
        return Answer(200, {"jobs": shown, **paging} if generation == 1 else _envelope(shown, paging))

    def _shown(self, job: SimulatedJob) -> dict[str, Any]:
        """A job as the API shows it; kept for jobs that have ended, which look the same from then on."""
        if (kept := self._ended.get(job.id)) and kept[0] is job:
            return kept[1]
        shown = self.dialect.job(job, self.world.now)
        if job.finished(self.world.now):
            self._ended[job.id] = (job, shown)
        return shown

    def _matches(self, params: dict[str, str]) -> list[SimulatedJob]:
        filters = {name: value for name, value in params.items() if name not in ("pageindex", "pagesize")}
        key = tuple(sorted(filters.items()))
        with self._lock:
            if self._answers_version != self.world.version:
                self._answers, self._answers_version = {}, self.world.version
            if key in self._answers:
                return self._answers[key]
        matches = self.world.select(
            int(params.get("objecttype", 0)),
            int(params.get("jobtype", 0)),
            int(params.get("jobstate", 0)),
            params.get("location"),
            _time(params.get("starttime")),
            _time(params.get("finishtime")),
        )
        with self._lock:
            self._answers[key] = matches
        return matches


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _envelope(data: Any, metadata: dict[str, Any], status: int = 200, message: str = "") -> dict[str, Any]:
    return {
        "statusCode": status,
        "message": message,
        "data": data,
        "metadata": metadata,
        "errors": [],
        "requestId": uuid.uuid4().hex,
        "timestamp": datetime.now(UTC).isoformat(),
        "traceId": uuid.uuid4().hex,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {name.lower(): value for name, value in parse_qsl(parts.query)}
            self._send(simulator.api(parts.path, params, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            known = urlsplit(self.path).path == "/connect/token"
            self._send(simulator.token(dict(parse_qsl(form))) if known else Answer(404))

        def _send(self, answer: Answer) -> None:
            if answer.drop:
                self.close_connection = True
                return
            body = answer.body
            raw = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("x-request-id", uuid.uuid4().hex)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: ``Simulator.asked`` keeps what was asked."""

    return Handler
