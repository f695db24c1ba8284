"""How the simulated API spells its answers: every form that the vendor's documentation leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from avepoint_simulator.world import SimulatedJob

TIME_FORMS = ("z", "offset", "naive", "seven_decimals")
NO_TIME = {"absent": ..., "null": None, "empty": "", "year_one": "0001-01-01T00:00:00"}
LINK_FORMS = {
    "absolute": "{base}{path}?{query}",
    "relative": "{path}?{query}",
    "wrong_path": "/jobs?{query}",
    "query_only": "?{query}",
    "foreign": "https://elsewhere.example{path}?{query}",
    "opaque": "Q29udGludWF0aW9uVG9rZW4=",
    "circle": "{path}?{first_query}",
    "none": None,
}


@dataclass(frozen=True)
class Dialect:
    """One way to spell answers; the default is that of the vendor's samples."""

    count_suffix: str = "Count"
    """Number (the vendor's table) or Count (its sample)."""
    total_basis: str = "matches"
    """What the total counts: matches, page, or absent."""
    link: str = "absolute"
    first_page: int = 1
    max_page_size: int = 1000
    refuse_page_size_over: int | None = None
    """Answers 400 to larger page sizes instead of giving smaller pages."""
    time: str = "z"
    no_time: str = "absent"
    numbers_as_strings: bool = False
    ids_as_numbers: bool = False
    empty_parts: str = "empty"
    """How a job without errors shows them: empty, null or absent."""
    extra_fields: bool = False

    def job(self, job: SimulatedJob, now: datetime) -> dict[str, Any]:
        """One job as the API shows it at ``now``."""
        done = job.finished(now)
        end = job.finish if done and job.finish else now
        shown: dict[str, Any] = {
            "id": int(job.id) if self.ids_as_numbers and job.id.isdigit() else job.id,
            "state": job.state(now),
            "startTime": self._time(job.start),
            "duration": f"{(end - job.start).total_seconds() / 3600:.3f}",
            "backupDetails": self._details(job) if done else self._details(None),
        }
        if done and job.finish:
            shown["finishTime"] = self._time(job.finish)
        elif (nothing := NO_TIME[self.no_time]) is not ...:
            shown["finishTime"] = nothing
        errors = [self._error(job, index) for index in range(len(job.errors))] if done else []
        if errors or self.empty_parts == "empty":
            shown["jobErrors"] = errors
        elif self.empty_parts == "null":
            shown["jobErrors"] = None
        if self.extra_fields:
            shown["addedLater"] = {"nested": [1, 2]}
        return shown

    def _number(self, value: int) -> int | str:
        return str(value) if self.numbers_as_strings else value

    def _details(self, job: SimulatedJob | None) -> dict[str, Any]:
        counts = (job.total, job.failed, job.total - job.failed - job.skipped, job.skipped) if job else (0, 0, 0, 0)
        names = ("total", "failed", "successful", "skipped")
        return {name + self.count_suffix: self._number(count) for name, count in zip(names, counts, strict=True)}

    def _error(self, job: SimulatedJob, index: int) -> dict[str, Any]:
        error = job.errors[index]
        return {
            "isErrorCode": error.is_code,
            "value": error.text,
            "url": error.url,
            "number": self._number(error.occurrences),
        }

    def _time(self, moment: datetime) -> str:
        text = moment.strftime("%Y-%m-%dT%H:%M:%S")
        return text + {"z": "Z", "offset": "+00:00", "naive": "", "seven_decimals": ".0000000Z"}[self.time]

    def next_link(self, base: str, path: str, params: dict[str, str], index: int) -> str | None:
        """The link to page ``index``."""
        form = LINK_FORMS[self.link]
        if form is None:
            return None
        query = urlencode({**params, "pageIndex": str(index)})
        first = urlencode({**params, "pageIndex": str(self.first_page)})
        return form.format(base=base, path=path, query=query, first_query=first)

    def total(self, matches: int, on_page: int) -> dict[str, Any]:
        """The total, under this dialect's name and meaning."""
        if self.total_basis == "absent":
            return {}
        value = matches if self.total_basis == "matches" else on_page
        return {f"total{self.count_suffix}": self._number(value)}
