"""Spell the answers of the simulated API: every form that the vendor's documentation leaves open."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from avepoint_simulator.tenant import (
    EXCEPTION,
    FAILED,
    FINISHED,
    IN_PROGRESS,
    PARTIAL,
    STATE_CODES,
    TWO_DIGITS,
    JobError,
    SimulatedJob,
)

TIME_FORMS = {"z": "Z", "offset": "+00:00", "naive": "", "seven_decimals": ".0000000Z", "date": ""}
"""What follows the seconds of a time; with ``date`` there is no time of day."""
NO_TIME = {
    "absent": None,
    "null": "null",
    "empty": '""',
    "year_one": '"0001-01-01T00:00:00"',
    "epoch": '"1970-01-01T00:00:00Z"',
    "year_9999": '"9999-12-31T23:59:59Z"',
}
STATE_NAMES = {
    "documented": {},
    "openapi": {
        IN_PROGRESS: "InProgress",
        EXCEPTION: "FinishedException",
        PARTIAL: "PartiallyFinished",
    },
    "translated": {
        IN_PROGRESS: "Wird ausgeführt",
        FINISHED: "Beendet",
        FAILED: "Fehlgeschlagen",
        EXCEPTION: "Mit Ausnahmen beendet",
        PARTIAL: "Teilweise beendet",
    },
    "numbers": {name: str(code) for code, name in STATE_CODES.items()},
}
"""How states are written; those not named are written as documented."""
FIELD_CASES: dict[str, Callable[[str], str]] = {
    "camel": str,
    "pascal": lambda name: name[:1].upper() + name[1:],
    "lower": str.lower,
}
LINK_FORMS = {
    "absolute": "{base}{path}?{query}",
    "relative": "{path}?{query}",
    "wrong_path": "/jobs?{query}",
    "query_only": "?{query}",
    "foreign": "https://elsewhere.example{path}?{query}",
    "opaque": "Q29udGludWF0aW9uVG9rZW4=",
    "circle": "{path}?{first_query}",
    "no_more": "",
    "none": None,
}
CHOICES = {
    "count_suffix": ("Count", "Number"),
    "total_basis": ("matches", "page", "absent"),
    "link": tuple(LINK_FORMS),
    "time": tuple(TIME_FORMS),
    "no_time": tuple(NO_TIME),
    "empty_parts": ("empty", "null", "absent"),
    "open_details": ("zeros", "null", "absent"),
    "status_without_jobs": (200, 204),
    "error_body": ("envelope", "object", "html", "empty"),
    "state_names": tuple(STATE_NAMES),
    "field_case": tuple(FIELD_CASES),
}
_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Dialect:
    """Describe one way to spell answers; the default is that of the vendor's samples.

    Raises:
        ValueError: for a value that is not one of ``CHOICES``.
    """

    count_suffix: str = "Count"
    """Number (the vendor's table) or Count (its sample)."""
    total_basis: str = "matches"
    """What the total counts: matches, page, or absent."""
    link: str = "absolute"
    first_page: int = 1
    """The number of the first page, which is also given where none is asked for."""
    page_index_required: bool = False
    """Answers 400 to requests without pageIndex."""
    max_page_size: int = 1000
    refuse_page_size_over: int | None = None
    """Answers 400 to larger page sizes instead of giving smaller pages."""
    status_without_jobs: int = 200
    """How a page without jobs is answered: 200, or 204 and no body."""
    time: str = "z"
    no_time: str = "absent"
    """How a job in progress shows its finish."""
    numbers_as_strings: bool = False
    ids_as_numbers: bool = False
    """Only ids of digits alone: see ``id_form`` of ``make_world``."""
    empty_parts: str = "empty"
    """How a job without errors shows them: empty, null or absent."""
    open_details: str = "zeros"
    """How a job in progress shows its counts: zeros, null or absent."""
    extra_fields: bool = False
    error_body: str = "envelope"
    """What comes with a status of 400 and more: envelope, object, html or empty."""
    state_names: str = "documented"
    """How states are written: documented, openapi, translated or numbers."""
    field_case: str = "camel"
    """How field names are written: camel (as documented), pascal or lower."""
    renamed_fields: Mapping[str, str] = field(default_factory=dict)
    """Documented field names to those that take their place; the case of these stays."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} is {value!r}, not one of {', '.join(map(str, known))}")

    def job(self, job: SimulatedJob, now: datetime) -> bytes:
        """Return one job as the API shows it at ``now``, as JSON.

        It is written by hand: a general encoder needs five times as long for a page of jobs.
        """
        end = job.finish if job.finish is not None and job.finish <= now else None
        state, states = job.state(now), STATE_NAMES[self.state_names]
        parts = [
            f'{{"id":{job.id if self.ids_as_numbers and job.id.isdigit() else _json(job.id)}',
            f'"state":{_json(states.get(state, state) if states else state)}',
            f'"startTime":{self._time(job.start)}',
            f'"duration":"{((end or now) - job.start).total_seconds() / 3600:.3f}"',
        ]
        finish = self._time(end) if end else NO_TIME[self.no_time]
        if finish is not None:
            parts.append(f'"finishTime":{finish}')
        if end or self.open_details == "zeros":
            parts.append(f'"backupDetails":{self._details(job if end else None)}')
        elif self.open_details == "null":
            parts.append('"backupDetails":null')
        if end and job.errors:
            errors = ",".join([_error(entry, self.numbers_as_strings) for entry in job.errors])
            parts.append(f'"jobErrors":[{errors}]')
        elif self.empty_parts != "absent":
            parts.append('"jobErrors":' + ("[]" if self.empty_parts == "empty" else "null"))
        if self.extra_fields:
            parts.append('"addedLater":{"nested":[1,2]}')
        row = (",".join(parts) + "}").encode()
        return _json(self.spell(json.loads(row))).encode() if self._respells else row

    @property
    def _respells(self) -> bool:
        return self.field_case != "camel" or bool(self.renamed_fields)

    def spell(self, body: Any) -> Any:
        """Return a JSON value with its fields named as this dialect does; jobs that are bytes already stay."""
        if not self._respells:
            return body
        if isinstance(body, list):
            return [self.spell(part) for part in body]
        if not isinstance(body, dict):
            return body
        change = FIELD_CASES[self.field_case]
        return {self.renamed_fields.get(name) or change(name): self.spell(part) for name, part in body.items()}

    def _details(self, job: SimulatedJob | None) -> str:
        total, failed, skipped = (job.total, job.failed, job.skipped) if job else (0, 0, 0)
        form = _DETAILS_AS_STRINGS if self.numbers_as_strings else _DETAILS
        return form.replace("#", self.count_suffix) % (total, failed, total - failed - skipped, skipped)

    def _time(self, moment: datetime) -> str:
        two = TWO_DIGITS
        day = f"{moment.year:04}-{two[moment.month]}-{two[moment.day]}"
        if self.time == "date":
            return f'"{day}"'
        time = f"{two[moment.hour]}:{two[moment.minute]}:{two[moment.second]}"
        return f'"{day}T{time}{TIME_FORMS[self.time]}"'

    def next_link(
        self, base: str, path: str, params: Mapping[str, str], index: int, spell: Callable[[str], str]
    ) -> str | None:
        """Return the link to page ``index``.

        ``params`` are those of the request, their names in lower case; ``spell`` returns a name as the server reads it.
        """
        form = LINK_FORMS[self.link]
        if form is None:
            return None
        asked, page = {spell(name): value for name, value in params.items()}, spell("pageindex")
        query = urlencode({**asked, page: str(index)})
        first = urlencode({**asked, page: str(self.first_page)})
        return form.format(base=base, path=path, query=query, first_query=first)

    def total(self, matches: int, on_page: int) -> dict[str, Any]:
        """Return the total, under this dialect's name and meaning."""
        if self.total_basis == "absent":
            return {}
        value = matches if self.total_basis == "matches" else on_page
        return {f"total{self.count_suffix}": str(value) if self.numbers_as_strings else value}


_DETAILS = '{"total#":%d,"failed#":%d,"successful#":%d,"skipped#":%d}'
_DETAILS_AS_STRINGS = _DETAILS.replace("%d", '"%d"')


@lru_cache(10_000)
def _error(error: JobError, numbers_as_strings: bool) -> str:
    number = str(error.occurrences) if numbers_as_strings else error.occurrences
    return _json({"isErrorCode": error.is_code, "value": error.text, "url": error.url, "number": number})


def envelope(data: Any, metadata: dict[str, Any], status: int = 200, text: str = "", name: str = "") -> dict[str, Any]:
    """Return the frame of the second generation; ``text`` and ``name`` say what is wrong with which parameter."""
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
