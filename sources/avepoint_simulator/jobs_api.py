"""Answer requests for jobs."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from avepoint_simulator.behavior import ServerBehavior
from avepoint_simulator.faults import Answer, Asked
from avepoint_simulator.parameters import RefusedParameterError, read_number, read_time
from avepoint_simulator.response_format import Dialect, envelope
from avepoint_simulator.tenant import JOB_TYPES, OBJECT_TYPES, STATE_CODES, SimulatedJob, World

GENERATIONS = {"/backup/m365/jobs": 1, "/backup/m365/cloudbackupjobs": 2}
ONE_JOB = "/backup/m365/cloudbackupjobs/"
CACHED_LISTINGS = 32
"""Lists of matches that are cached for the next page."""
FILTERS = ("objectType", "jobType", "jobState", "location")

TEXTS = {
    400: "One or more parameters are invalid.",
    401: "The access token is missing, is invalid or has expired.",
    403: "The application does not have the permission that this resource needs.",
    404: "The requested resource does not exist.",
    405: "The requested resource does not support this method.",
    429: "Too many requests. Try again later.",
    500: "An unexpected error occurred. Contact AvePoint support with the request id.",
    503: "The service is under maintenance. Try again later.",
    504: "The request took too long.",
}


def error_answer(dialect: Dialect, status: int, text: str = "", name: str = "") -> Answer:
    """Return an error in the dialect's form; ``name`` is the parameter to blame."""
    text = text or TEXTS.get(status, "The request failed.")
    form = dialect.error_body
    if form == "envelope":
        return Answer(status, envelope(None, {}, status, text, name))
    if form == "object":
        return Answer(status, {"error": {"code": str(status), "message": text}})
    return Answer(status, f"<html><body><h1>{status}</h1><p>{text}</p></body></html>" if form == "html" else None)


class Served(Protocol):
    """Define what a server serves; tests change it between requests."""

    world: World
    dialect: Dialect
    behavior: ServerBehavior
    generations: tuple[int, ...]

    @property
    def base_url(self) -> str:
        """Return the root of the API."""


class JobsApi:
    """Answer requests for the jobs of a world, in both generations of the endpoint."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._listed = 0
        self._listings: dict[Any, list[SimulatedJob]] = {}
        self._listings_of: Any = None
        self._encoded: dict[str, tuple[SimulatedJob, bytes]] = {}
        self._encoded_in: Dialect | None = None

    def answer_jobs(self, asked: Asked) -> Answer:
        """Return the answer to a request for jobs or for one job."""
        behavior, generations = self._served.behavior, self._served.generations
        path, params = asked.path, behavior.read(asked.sent)
        generation = GENERATIONS.get(path)
        if generation is None and 2 in generations and path.startswith(ONE_JOB) and behavior.job_by_id:
            return self._one_job(path.removeprefix(ONE_JOB), params.get("location"))
        if generation not in generations:
            return self._error(404)
        with self._lock:
            self._listed += 1
            number = self._listed
        try:
            if outcome := behavior.outcome(generation or 1, params, number):
                return self._outcome(generation or 1, *outcome)
            return self.page(generation or 1, path, params)
        except RefusedParameterError as error:
            return self._error(400, str(error), error.name)

    def _error(self, status: int, text: str = "", name: str = "") -> Answer:
        return error_answer(self._served.dialect, status, text, name)

    def warm(self) -> None:
        """Encode the jobs that have ended, so that the first page is as fast as any other."""
        self.page(1, "", {"pagesize": "1", "pageindex": str(self._served.dialect.first_page)})
        for job in self._served.world.visible():
            self.shown(job)

    def _outcome(self, generation: int, outcome: str | int, name: str) -> Answer:
        if outcome == "no_content":
            return Answer(204)
        if outcome == "empty":
            return self._listing(generation, [], 0, "")
        text = f"The value of {name} is invalid." if outcome == 400 and name else ""
        return self._error(int(outcome), text, name)

    def _one_job(self, job_id: str, location: str | None) -> Answer:
        """Return one job; without a location only those of the central location, if the world has one."""
        job, central = self._served.world.job(job_id), self._served.world.primary_location
        if job is None or job.location not in (self._served.world.location(location) or central or job.location, None):
            return self._error(404, f"The job {job_id} does not exist.")
        if self._served.behavior.top_errors is not None:
            job = replace(job, errors=job.errors[: self._served.behavior.top_errors])
        row = self._spoiled(self._served.dialect.job(job, self._served.world.now), job, None)
        return Answer(200, self._served.dialect.spell(envelope(row, {})))

    def page(self, generation: int, path: str, params: dict[str, str]) -> Answer:
        """Return a page of the jobs that a request selects."""
        dialect, behavior = self._served.dialect, self._served.behavior
        index, asked_size = self._asked_page(params)
        size = min(asked_size, dialect.max_page_size)
        if outcome := behavior.page_outcome(index, size, asked_size):
            return self._outcome(generation, *outcome)
        matches = self._matches(params)
        paged = matches
        if behavior.filters_after_paging:
            paged = self._matches({name: params[name] for name in params if name in ("starttime", "finishtime")})
        depth, count = behavior.depth_limit, len(matches)
        if depth is not None:
            if behavior.deeper_pages == "end":
                paged, count = paged[:depth], min(count, depth)
            elif behavior.deeper_pages == "empty":
                paged = paged[:depth]
        page = paged[index * size : (index + 1) * size]
        if paged is not matches and behavior.filters_after_paging:
            wanted = {job.id for job in matches}
            page = [job for job in page if job.id in wanted]
        more = (index + 1) * size < len(paged)
        following = index + dialect.first_page + 1
        link = dialect.next_link(self._served.base_url, path, params, following, behavior.spell) if more else ""
        return self._listing(generation, self._rows(page, index), count, link)

    def _listing(self, generation: int, rows: list[bytes], total: int, link: str | None) -> Answer:
        """Return a page in the envelope of its generation."""
        if not rows and not link and self._served.dialect.status_without_jobs == 204:
            return Answer(204)
        total = max(total * self._served.behavior.total_factor + self._served.behavior.total_error, 0)
        paging = {**self._served.dialect.total(total, len(rows)), "nextLink": link}
        if self._served.dialect.link == "none":
            del paging["nextLink"]
        body = {"jobs": rows, **paging} if generation == 1 else envelope(rows, paging)
        return Answer(200, self._served.dialect.spell(body))

    def _asked_page(self, params: Mapping[str, str]) -> tuple[int, int]:
        """Return the page that is asked for, counted from 0, and the size asked for."""
        dialect = self._served.dialect
        size = read_number(params, "pageSize", 10)
        limit = dialect.refuse_page_size_over
        if size < 1 or (limit is not None and size > limit):
            wanted = f"it must be between 1 and {limit or dialect.max_page_size}"
            raise RefusedParameterError.of_value("pageSize", str(size), wanted)
        if dialect.page_index_required and "pageindex" not in params:
            raise RefusedParameterError.of_value("pageIndex", None, "it is required")
        return max(read_number(params, "pageIndex", dialect.first_page) - dialect.first_page, 0), size

    def _rows(self, jobs: list[SimulatedJob], index: int) -> list[bytes]:
        """Return the jobs of page ``index`` as JSON."""
        if self._encoded_in is not self._served.dialect:
            self._encoded, self._encoded_in = {}, self._served.dialect
        rows = [self.shown(job) for job in jobs]
        behavior = self._served.behavior
        if behavior.missing_fields or behavior.values:
            rows = [self._spoiled(row, job, index) for row, job in zip(rows, jobs, strict=True)]
        if behavior.repeated_row != "none":
            ended = [at for at, job in enumerate(jobs) if job.finished(self._served.world.now)]
            if ended:
                at = max(ended, key=lambda at: jobs[at].finish or self._served.world.now)
                before_its_end = (jobs[at].finish or self._served.world.now) - timedelta(seconds=1)
                older = self._served.dialect.job(jobs[at], max(before_its_end, jobs[at].start))
                rows.insert(at if behavior.repeated_row == "older_first" else at + 1, older)
        return rows

    def _spoiled(self, row: bytes, job: SimulatedJob, index: int | None) -> bytes:
        """Return a row without the fields that the behavior leaves out, and with the values that it replaces."""
        behavior = self._served.behavior
        lacks = behavior.missing_on_page is None or behavior.missing_on_page == index
        fields = json.loads(row)
        if lacks:
            fields = {name: value for name, value in fields.items() if name not in behavior.missing_fields}
        return json.dumps(fields | dict(behavior.values.get(job.id, {}))).encode()

    def shown(self, job: SimulatedJob) -> bytes:
        """Return a job as the API shows it; cached for jobs that have ended, which look the same from then on."""
        if (cached := self._encoded.get(job.id)) and cached[0] is job:
            return cached[1]
        now = self._served.world.now
        row = self._served.dialect.job(job, now)
        if job.finished(now):
            self._encoded[job.id] = (job, row)
        return row

    def _matches(self, params: Mapping[str, str]) -> list[SimulatedJob]:
        """Return the jobs that a request's filters select; cached for the next page until the world changes."""
        world, behavior = self._served.world, self._served.behavior
        since, until = behavior.narrow(read_time(params, "startTime"), read_time(params, "finishTime"), world.now)
        location = params.get("location")
        if location is None and behavior.unset_location == "central":
            location = world.primary_location
        filters = (
            read_number(params, "objectType", 0, OBJECT_TYPES.stop - 1),
            read_number(params, "jobType", 0, JOB_TYPES.stop - 1),
            read_number(params, "jobState", 0, len(STATE_CODES)),
            location,
            since,
            until,
        )
        key = (filters, *(name.lower() in params for name in FILTERS)) if behavior.hides_jobs else filters
        current = (id(world), world.version, world.now, world.reading, world.bounds, world.order, world.late, behavior)
        with self._lock:
            if self._listings_of != current:
                self._listings, self._listings_of = {}, current
            if key in self._listings and world.order != "shuffled":
                return self._listings[key]
        matches = world.select(*filters)
        if behavior.hides_jobs:
            matches = [job for job in matches if behavior.lists(job, params, world.now)]
        with self._lock:
            if self._listings_of == current:
                self._listings[key] = matches
            if len(self._listings) > CACHED_LISTINGS:
                del self._listings[next(iter(self._listings))]
        return matches
