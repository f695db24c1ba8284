"""Parse jobs in any form, from Python's JSON: the tolerant parser, for pages that the fast parser refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from avepoint_m365.parse.fields import JobFields, Unreadable, show
from avepoint_m365.parse.frame import TEXT
from avepoint_m365.parse.names import DETAIL_SPELLINGS, ERROR_SPELLINGS, JOB_SPELLINGS
from avepoint_m365.parse.renames import conflicts, renamed_fields
from avepoint_m365.parse.states import is_in_progress
from avepoint_m365.parse.values import parse_text
from avepoint_m365.text import storable

Fields = dict[str, object]


@dataclass
class _Renamer:
    """Rename fields to the names of the vendor's table; the keys of each set are matched once."""

    spellings: Mapping[str, tuple[str, ...]]
    _plans: dict[tuple[str, ...], dict[str, list[str]]] = field(default_factory=dict)

    def rename(self, raw: Mapping[str, object]) -> Fields:
        """Return the known fields; of several spellings of a field, the first with a value counts."""
        return {name: _first(raw, keys) for name, keys in self.keys(raw).items()}

    def keys(self, raw: Mapping[str, object]) -> dict[str, list[str]]:
        """Return the keys of each known field, that of the vendor's table first."""
        keys = tuple(raw)
        if keys not in self._plans:
            self._plans[keys] = self._plan(keys)
        return self._plans[keys]

    @property
    def shapes(self) -> set[tuple[str, ...]]:
        """Return the sets of keys that were renamed."""
        return set(self._plans)

    @property
    def names(self) -> set[str]:
        """Return the names of the known fields that any object had."""
        return set().union(*self._plans.values())

    def _plan(self, keys: Sequence[str]) -> dict[str, list[str]]:
        return {
            name: own
            for name, spellings in self.spellings.items()
            if (own := [key for spelling in spellings for key in keys if key.lower() == spelling.lower()])
        }


def _first(raw: Mapping[str, object], keys: Sequence[str]) -> object:
    return next((raw[key] for key in keys if raw[key] not in (None, "", [])), raw[keys[0]])


@dataclass
class ObjectParser:
    """Collect the fields of one page's jobs."""

    unreadable: list[Unreadable] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """The names of all fields that any job has."""
    conflicts: list[Unreadable] = field(default_factory=list)
    """Fields with several names whose values differ."""
    _job_shapes: list[tuple[str, ...]] = field(default_factory=list)
    _detail_shapes: list[tuple[str, ...]] = field(default_factory=list)
    _error_shapes: set[tuple[str, ...]] = field(default_factory=set)

    def fields(self, rows: Sequence[object]) -> JobFields:
        """Return the fields of the rows that are jobs with an id; other rows are added to ``unreadable``."""
        renamer = _Renamer(JOB_SPELLINGS)
        jobs, ids, unknown = list[Fields](), list[object](), list[str | None]()
        for row in rows:
            if not isinstance(row, Mapping):
                self._report("", "", row)
                continue
            job = renamer.rename(row)
            job_id = self._id(job.get("id"), row)
            if job_id is None:
                continue
            jobs.append(job)
            ids.append(job_id)
            self._job_shapes.append(tuple(row))
            self._note_conflicts(job_id, row, renamer)
            unknown.append(_unknown_fields(row, renamer.keys(row)))
        self.names |= renamer.names
        details, detail_keys = self._details(jobs, ids)
        counts, errors = self._errors(jobs, ids)
        plain = {name: [job.get(name) for job in jobs] for name in ("state", "startTime", "finishTime", "duration")}
        return JobFields(ids, plain, details, counts, errors, pa.array(unknown, TEXT), detail_keys)

    def renamed(self, jobs: pa.Table) -> set[str]:
        """Return the names of fields that some jobs lack, and have under an unknown name; ``jobs`` are the parsed ones.

        Jobs in progress may lack fields and have others, and jobs without failed objects may lack errors.
        """
        ended = [not is_in_progress(state) for state in jobs["state"].to_pylist()]
        failed = [number != 0 for number in jobs["failed_number"].to_pylist()]
        of_ended = {keys for keys, counts in zip(self._job_shapes, ended, strict=True) if counts}
        of_failed = {keys for keys, *flags in zip(self._job_shapes, ended, failed, strict=True) if all(flags)}
        of_details = {keys for keys, counts in zip(self._detail_shapes, ended, strict=True) if counts}
        return (
            renamed_fields(JOB_SPELLINGS, of_ended) - {"jobErrors"}
            | renamed_fields(JOB_SPELLINGS, of_failed) & {"jobErrors"}
            | renamed_fields(DETAIL_SPELLINGS, of_details)
            | renamed_fields(ERROR_SPELLINGS, self._error_shapes)
        )

    def _note_conflicts(self, job_id: object, raw: Mapping[str, object], renamer: _Renamer, place: str = "") -> None:
        for name, values in conflicts(raw, renamer.keys(raw)):
            self.conflicts.append(Unreadable(str(job_id), place + name, show(values)))

    def _report(self, job_id: str, name: str, value: object) -> None:
        self.unreadable.append(Unreadable(job_id, name, show(value)))

    def _id(self, value: object, row: Mapping[str, object]) -> str | None:
        job_id = _readable_id(value)
        if job_id is None:
            self._report("", "id", value if value not in (None, "") else row)
        return job_id

    def _details(
        self, jobs: Sequence[Fields], ids: Sequence[object]
    ) -> tuple[dict[str, list[object]], dict[str, list[str | None]]]:
        renamer = _Renamer(DETAIL_SPELLINGS)
        values: dict[str, list[object]] = {name: [] for name in DETAIL_SPELLINGS}
        keys: dict[str, list[str | None]] = {name: [] for name in DETAIL_SPELLINGS}
        for job, job_id in zip(jobs, ids, strict=True):
            raw = job.get("backupDetails") or {}
            if not isinstance(raw, Mapping):
                self._report(str(job_id), "backupDetails", raw)
                raw = {}
            details, plan = renamer.rename(raw), renamer.keys(raw)
            self._detail_shapes.append(tuple(raw))
            self._note_conflicts(job_id, raw, renamer, "backupDetails.")
            for name in DETAIL_SPELLINGS:
                values[name].append(details.get(name))
                keys[name].append(next((key for key in plan.get(name, ()) if raw[key] not in (None, "")), None))
        self.names |= renamer.names
        return values, keys

    def _errors(self, jobs: Sequence[Fields], ids: Sequence[object]) -> tuple[pa.Array, dict[str, list[object]]]:
        renamer, counts = _Renamer(ERROR_SPELLINGS), list[int]()
        values: dict[str, list[object]] = {name: [] for name in ERROR_SPELLINGS}
        for job, job_id in zip(jobs, ids, strict=True):
            errors = job.get("jobErrors") or []
            if not isinstance(errors, list):
                self._report(str(job_id), "jobErrors", errors)
                errors = []
            readable = [error for error in errors if isinstance(error, Mapping)]
            for index, error in enumerate(errors):
                if not isinstance(error, Mapping):
                    self._report(str(job_id), f"jobErrors[{index}]", error)
            counts.append(len(readable))
            for raw in readable:
                error = renamer.rename(raw)
                for name in ERROR_SPELLINGS:
                    values[name].append(error.get(name))
                self._note_conflicts(job_id, raw, renamer, "jobErrors.")
        self.names |= renamer.names
        self._error_shapes |= renamer.shapes
        return pa.array(counts, pa.int32()), values


def _readable_id(value: object) -> str | None:
    try:
        return parse_text(value) or None
    except ValueError:
        return None


def read_ids(rows: Sequence[object]) -> list[str]:
    """Return the ids of rows, in order, without rows whose id is missing or unreadable."""
    renamer = _Renamer({"id": JOB_SPELLINGS["id"]})
    ids = (_readable_id(renamer.rename(row).get("id")) for row in rows if isinstance(row, Mapping))
    return [job_id for job_id in ids if job_id is not None]


def _unknown_fields(job: Mapping[str, object], known: Mapping[str, Sequence[str]]) -> str | None:
    unknown = job.keys() - {key for keys in known.values() for key in keys}
    return json.dumps(_portable({name: job[name] for name in sorted(unknown)})) if unknown else None


def _portable(value: object) -> object:
    """Return a JSON value with null for NaN and infinity, and with texts that any warehouse can store."""
    if isinstance(value, dict):
        return {storable(name): _portable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_portable(part) for part in value]
    if isinstance(value, str):
        return storable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
