"""Serve the second generation of the API as the vendor's reference describes it, without code of the simulator.

A test sets the clock, the jobs and the companions, and can set the answer of each path.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = "/backup/m365/"
JOBS = ROOT + "cloudbackupjobs"
LICENSES = ROOT + "cloudbackuplicenseconsumption"
ACTIVITY = ROOT + "cloudbackupunusualactivitydata"
FREQUENCY = ROOT + "settings/backup/frequency"
RETENTION = ROOT + "settings/retention-policy"
COMPANIONS = (LICENSES, ACTIVITY, FREQUENCY, RETENTION)
PREFIX = "microsoft365backup."
JOBS_SCOPE = PREFIX + "jobInfo.read.all"
SCOPE_OF = {
    JOBS: JOBS_SCOPE,
    LICENSES: PREFIX + "subscriptionInfo.read.all",
    ACTIVITY: PREFIX + "unusualActivity.read.all",
    FREQUENCY: PREFIX + "settings.read.all",
    RETENTION: PREFIX + "settings.read.all",
}

Params = dict[str, str]
Answer = Callable[[Params], tuple[int, Any]]


def moment(text: str) -> datetime:
    """Return a time of a request in UTC."""
    value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def iso(value: datetime | None) -> str | None:
    """Return a time in the format of the reference."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if value else None


@dataclass(frozen=True)
class Backup:
    """Hold a job of the tenant."""

    id: str
    start: datetime
    finish: datetime
    object_type: int = 1
    job_type: int = 1
    location: str = "NAM"
    state: str = "Finished"
    total: int = 10
    failed: int = 0

    def matches(self, params: Params) -> bool:
        """Return True if the parameters select this job; the range filters by start."""
        names = {name.lower(): value for name, value in params.items()}
        same = {
            "objecttype": str(self.object_type),
            "jobtype": str(self.job_type),
            "location": self.location,
        }
        if any(names.get(name, "0") not in ("0", "", value) for name, value in same.items()):
            return False
        first, last = names.get("starttime"), names.get("finishtime")
        return (not first or self.start >= moment(first)) and (not last or self.start <= moment(last))


@dataclass
class DocumentedServer:
    """Hold the data of the server, and the requests that it received."""

    now: datetime
    jobs: list[Backup] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    """A function of the parameters for each path; a companion without such a function answers 404."""
    scopes: set[str] = field(default_factory=lambda: set(SCOPE_OF.values()))
    """Scopes that the token endpoint grants."""
    asked: list[tuple[str, Params]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """Scopes of all requests for a token."""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of each answer."""

    def advance(self, **time: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(**time)

    def answer(self, path: str, params: Params, scope: str) -> tuple[int, Any]:
        """Return status and body of a GET."""
        self.asked.append((path, params))
        if SCOPE_OF.get(path) != scope:
            return 403, {"statusCode": 403, "message": "Forbidden"}
        if path in self.answers:
            return self.answers[path](params)
        return self.jobs_page(params) if path == JOBS else (404, {"message": "Not Found"})

    def jobs_page(self, params: Params) -> tuple[int, Any]:
        """Return a page of jobs, newest first, with the total of all matches."""
        names = {name.lower(): value for name, value in params.items()}
        index, size = int(names.get("pageindex", "0")), int(names.get("pagesize", "10"))
        matching = sorted(
            (job for job in self.jobs if job.start <= self.now and job.matches(params)),
            key=lambda job: (job.start, job.id),
            reverse=True,
        )
        page = matching[index * size : (index + 1) * size]
        more = (index + 1) * size < len(matching)
        link = f"{JOBS}?pageIndex={index + 1}&pageSize={size}" if more else ""
        return 200, envelope([self.row(job) for job in page], totalNumber=len(matching), nextLink=link)

    def row(self, job: Backup) -> dict[str, Any]:
        """Return the present state of a job in the form of the API."""
        done = job.finish <= self.now
        good = job.total - job.failed
        counts = {"totalNumber": job.total, "failedNumber": job.failed, "successfulNumber": good, "skippedNumber": 0}
        return {
            "id": job.id,
            "state": job.state if done else "InProgress",
            "startTime": iso(job.start),
            "finishTime": iso(job.finish) if done else None,
            "duration": f"{(job.finish - job.start) / timedelta(hours=1):.3f}",
            "backupDetails": counts if done else dict.fromkeys(counts, 0),
            "jobErrors": [],
        }


def envelope(data: Any, **metadata: Any) -> dict[str, Any]:
    """Return the body of an answer of the second generation."""
    return {"statusCode": 200, "message": "OK", "errors": [], "data": data, "metadata": metadata, "traceId": "t"}


@contextmanager
def serving(server: DocumentedServer) -> Iterator[DocumentedServer]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp: float | None = None) -> str:
            """Return the time of the server's clock."""
            return format_datetime(server.now, usegmt=True)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def do_POST(self) -> None:
            """Answer with a token for a single scope, as in the vendor's samples."""
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            scope = form.get("scope", "")
            server.tokens.append(scope)
            if scope not in server.scopes:
                self.send(400, {"error": "invalid_scope"})
            else:
                self.send(200, {"access_token": f"token of {scope}".replace(" ", "-"), "expires_in": 3600})

        def do_GET(self) -> None:
            """Answer a request by its path, its parameters and the scope of its token."""
            parts = urlsplit(self.path)
            scope = self.headers.get("Authorization", "").removeprefix("Bearer token-of-")
            self.send(*server.answer(parts.path, dict(parse_qsl(parts.query)), scope))

        def send(self, status: int, body: Any) -> None:
            """Send a body: a text unchanged, any other value as JSON."""
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
