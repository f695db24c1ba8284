"""The simulated API over real HTTP on loopback: tokens, both generations of the jobs endpoint, and faults on demand."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from avepoint_simulator.companions import PATHS, Companions, RefusedError
from avepoint_simulator.faults import Answer, Asked, Drift, Fault
from avepoint_simulator.http import Request, Server
from avepoint_simulator.response_format import Dialect
from avepoint_simulator.tenant import JOB_TYPES, OBJECT_TYPES, STATE_CODES, SimulatedJob, World
from avepoint_simulator.tokens import Tokens, assertion_holds

PERMISSION = "microsoft365backup."
JOBS_SCOPE = PERMISSION + "jobInfo.read.all"
SCOPES = (JOBS_SCOPE, *dict.fromkeys(PATHS.values()))
GENERATIONS = {"/backup/m365/jobs": 1, "/backup/m365/cloudbackupjobs": 2}
TOKEN_PATH = "/connect/token"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_ANSWERS = 32
"""Lists of matches that are kept for the next page."""

TEXTS = {
    400: "One or more parameters are invalid.",
    401: "The access token is missing, is invalid or has expired.",
    403: "The application does not have the permission that this resource needs.",
    404: "The requested resource does not exist.",
    405: "The requested resource does not support this method.",
    429: "Too many requests. Try again later.",
    500: "An unexpected error occurred. Contact AvePoint support with the request id.",
    503: "The service is under maintenance. Try again later.",
}


class _RefusedError(ValueError):
    """A parameter is not to the API's liking."""

    def __init__(self, name: str, value: str | None, wanted: str) -> None:
        super().__init__(f"The value '{value or ''}' of {name} is invalid: {wanted}.")
        self.name = name


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
    retry_after: str | None = "seconds"
    """How a 429 says when to come back, which is in a second: seconds, date, or None."""
    gzip: bool = False
    """Whether answers are compressed for clients that accept it."""
    fault: Fault | None = None
    drift: Drift | None = None
    client_id: str = "simulated-client"
    client_secret: str = field(default_factory=lambda: uuid.uuid4().hex)
    public_key: Any = None
    """Checks assertions signed with a certificate's key."""
    scopes: tuple[str, ...] = SCOPES
    """The permissions granted."""
    companions: Companions = field(default_factory=Companions)
    """What the endpoints beside the jobs answer: nothing, unless a test says so."""
    token_lifetime: int = 3600
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    token_requests: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = Tokens()
        self._assertions: set[str] = set()
        self._in_flight = 0
        self._recent: deque[float] = deque()
        self._answers: dict[Any, list[SimulatedJob]] = {}
        self._answers_of: Any = None
        self._encoded: dict[str, tuple[SimulatedJob, bytes]] = {}
        self._encoded_in: Dialect | None = None
        self._server = Server(self.port, self.respond, lambda: self.gzip)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def base_url(self) -> str:
        """Root of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_url(self) -> str:
        """Where access tokens are given out."""
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
        """Makes the API refuse every token given out so far."""
        self._tokens.expire()

    def warm(self) -> None:
        """Encodes the jobs that have ended, so that the first page costs no more than any other."""
        self._page(1, "", {"pagesize": "1", "pageindex": str(self.dialect.first_page)})
        for job in self.world.visible():
            self._shown(job)

    def respond(self, request: Request) -> Answer:
        """Answers a request, to the API or for a token."""
        path, _, query = request.target.partition("?")
        if path == TOKEN_PATH and request.method == "POST":
            return self.token(dict(parse_qsl(request.body.decode())))
        if path == TOKEN_PATH or request.method != "GET":
            return self._error(405)
        params = {name.lower(): value for name, value in parse_qsl(query)}
        return self.api(path, params, request.headers.get("authorization", ""))

    def token(self, form: dict[str, str]) -> Answer:
        """Answers a token request as the identity service would."""
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
            answer = self._refusal(asked, authorization)
            if answer is None:
                answer = self._answer(path, params)
            elif answer.status == 0 and not (answer.drop and answer.keep is None):
                due = self._answer(path, params)
                answer = replace(answer, status=due.status, body=due.body, headers=due.headers | answer.headers)
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
            if answer.status >= 400 and answer.body is None:
                return replace(answer, body=self._error(answer.status).body)
            return answer
        if scope != PATHS.get(asked.path, JOBS_SCOPE):
            return self._error(403)
        if self.per_second and self._over_the_limit(self.per_second):
            forms = {"seconds": "1", "date": formatdate(time.time() + 1, usegmt=True)}
            headers = {"Retry-After": forms[self.retry_after]} if self.retry_after else {}
            return replace(self._error(429), headers=headers)
        return None

    def _over_the_limit(self, limit: float) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            over = len(self._recent) >= limit
            if not over:
                self._recent.append(now)
        return over

    def _answer(self, path: str, params: dict[str, str]) -> Answer:
        generation = GENERATIONS.get(path)
        if path in PATHS:
            return self._companion(path, params)
        if generation is None and 2 in self.generations and path.startswith("/backup/m365/cloudbackupjobs/"):
            return self._one_job(path.rsplit("/", 1)[1], params.get("location"))
        if generation not in self.generations:
            return self._error(404)
        try:
            return self._page(generation or 1, path, params)
        except _RefusedError as error:
            return self._error(400, str(error), error.name)

    def _error(self, status: int, text: str = "", name: str = "") -> Answer:
        """An error in the dialect's form; ``name`` is the parameter that is to blame."""
        text = text or TEXTS.get(status, "The request failed.")
        form = self.dialect.error_body
        if form == "envelope":
            return Answer(status, _envelope(None, {}, status, text, name))
        if form == "object":
            return Answer(status, {"error": {"code": str(status), "message": text}})
        return Answer(status, f"<html><body><h1>{status}</h1><p>{text}</p></body></html>" if form == "html" else None)

    def _companion(self, path: str, params: dict[str, str]) -> Answer:
        if not self.companions.serves(path):
            return self._error(404)
        try:
            return Answer(200, _envelope(self.companions.data(path, params, self.world.now), {}))
        except RefusedError as error:
            return self._error(400, str(error), error.name)

    def _one_job(self, job_id: str, location: str | None) -> Answer:
        job = self.world.job(job_id)
        if job is None or location not in (None, job.location):
            return self._error(404, f"The job {job_id} does not exist.")
        return Answer(200, _envelope(self._shown(job), {}))

    def _page(self, generation: int, path: str, params: dict[str, str]) -> Answer:
        index, size = self._asked_page(params)
        matches = self._matches(params)
        if self._encoded_in is not self.dialect:
            self._encoded, self._encoded_in = {}, self.dialect
        shown = [self._shown(job) for job in matches[index * size : (index + 1) * size]]
        if not shown and self.dialect.status_without_jobs == 204:
            return Answer(204)
        more = (index + 1) * size < len(matches)
        following = index + self.dialect.first_page + 1
        link = self.dialect.next_link(self.base_url, path, params, following) if more else ""
        paging = {**self.dialect.total(len(matches), len(shown)), "nextLink": link}
        if self.dialect.link == "none":
            del paging["nextLink"]
        return Answer(200, {"jobs": shown, **paging} if generation == 1 else _envelope(shown, paging))

    def _asked_page(self, params: Mapping[str, str]) -> tuple[int, int]:
        """Which page is asked for, counted from 0, and its size."""
        dialect = self.dialect
        size = _whole(params, "pageSize", 10)
        limit = dialect.refuse_page_size_over
        if size < 1 or (limit is not None and size > limit):
            raise _RefusedError("pageSize", str(size), f"it must be between 1 and {limit or dialect.max_page_size}")
        if dialect.page_index_required and "pageindex" not in params:
            raise _RefusedError("pageIndex", None, "it is required")
        index = _whole(params, "pageIndex", dialect.first_page)
        return max(index - dialect.first_page, 0), min(size, dialect.max_page_size)

    def _shown(self, job: SimulatedJob) -> bytes:
        """A job as the API shows it; kept for jobs that have ended, which look the same from then on."""
        if (kept := self._encoded.get(job.id)) and kept[0] is job:
            return kept[1]
        now = self.world.now
        shown = self.dialect.job(job, now)
        if job.finished(now):
            self._encoded[job.id] = (job, shown)
        return shown

    def _matches(self, params: dict[str, str]) -> list[SimulatedJob]:
        """The jobs that a request's filters select; kept for the next page until the world changes."""
        filters = (
            _whole(params, "objectType", 0, OBJECT_TYPES.stop - 1),
            _whole(params, "jobType", 0, JOB_TYPES.stop - 1),
            _whole(params, "jobState", 0, len(STATE_CODES)),
            params.get("location"),
            _time(params, "startTime"),
            _time(params, "finishTime"),
        )
        world = self.world
        current = (world.version, world.now, world.reading, world.bounds, world.order, world.late)
        with self._lock:
            if self._answers_of != current:
                self._answers, self._answers_of = {}, current
            if filters in self._answers and world.order != "shuffled":
                return self._answers[filters]
        matches = world.select(*filters)
        with self._lock:
            if self._answers_of == current:
                self._answers[filters] = matches
            if len(self._answers) > KEPT_ANSWERS:
                del self._answers[next(iter(self._answers))]
        return matches


def _whole(params: Mapping[str, str], name: str, default: int, most: int | None = None) -> int:
    text = params.get(name.lower(), str(default))
    if not (text.isascii() and text.isdigit()) or (most is not None and int(text) > most):
        raise _RefusedError(name, text, "it must be a whole number" if most is None else f"it must be 0 to {most}")
    return int(text)


def _time(params: Mapping[str, str], name: str) -> datetime | None:
    text = params.get(name.lower())
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _RefusedError(name, text, "it must be a date or time in ISO 8601") from None
    return max(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment, EARLIEST)


def _envelope(data: Any, metadata: dict[str, Any], status: int = 200, text: str = "", name: str = "") -> dict[str, Any]:
    """The frame of the second generation; ``text`` and ``name`` say what is wrong with which parameter."""
    return {
        "statusCode": status,
        "message": text,
        "data": data,
        "metadata": metadata,
        "errors": [{"code": str(status), "field": name, "message": text}] if text else [],
        "requestId": uuid.uuid4().hex,
        "timestamp": datetime.now(UTC).isoformat(),
        "traceId": uuid.uuid4().hex,
    }
