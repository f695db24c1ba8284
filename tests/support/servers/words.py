"""Define servers with other words for states, other names of fields, or values in an unknown form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.support.servers.form import (
    SIX,
    STATES,
    Case,
    Step,
    behaves,
    job,
    revise,
    twice,
)

RUNNING = job(1, 3, lasts=26)
OUTCOMES = "SELECT outcome, count(*) FROM job_facts GROUP BY outcome ORDER BY outcome"
COUNTS = "SELECT sum(total_number), count(*) FROM jobs__backup_details"
ERRORS = "SELECT count(*) FROM jobs__job_errors"


def words() -> Iterator[Case]:
    """Yield servers with other words for states, other names of fields, missing fields, or unreadable values."""
    outcomes = [("failure", 1), ("running", 1), ("success", 1), ("warning", 2)]
    after = [("failure", 1), ("success", 2), ("warning", 2)]
    steps: tuple[Step, ...]
    for names in ("openapi", "translated", "numbers"):
        for form in ("absent", "year_9999", "epoch"):
            dialect = {"state_names": names, "no_time": form}
            first = Step(dialect=dialect, answers={OUTCOMES: outcomes})
            steps = (first, replace(first, hours=1), replace(first, hours=24, answers={OUTCOMES: after}))
            yield Case("states", f"{names}, unfinished {form}", (RUNNING, *STATES), steps=steps)
    for form in ("year_9999", "epoch", "year_one", "empty"):
        steps = (Step(dialect={"no_time": form}), Step(dialect={"no_time": form}, hours=24))
        yield Case("dates", f"unfinished {form}", (RUNNING, *STATES), steps=steps)
    other = {"finishTime": "EndTime", "jobErrors": "errors", "totalCount": "TotalCount"}
    spellings: dict[str, Mapping[str, object]] = {
        "pascal": {"field_case": "pascal"},
        "lower": {"field_case": "lower"},
        "renamed": {"renamed_fields": other},
    }
    for generation in (1, 2):
        for name, spelling in spellings.items():
            step = Step(dialect=spelling, answers={COUNTS: [(400, 4)], ERRORS: [(2,)]})
            steps = (step, replace(step, hours=1))
            yield Case("fields", f"{name}, generation {generation}", STATES, steps=steps, generations=(generation,))
    for field in ("backupDetails", "jobErrors", "finishTime", "state"):
        lacking = Step(
            hours=1,
            behavior=behaves(missing_fields=(field,)),
            change=revise(STATES[1], total=150),
            exits=(0, 3),
            answers={ERRORS: [(2,)], "SELECT count(*) FROM jobs WHERE state IS NULL OR finish_time IS NULL": [(0,)]},
            findings=frozenset({"missing_fields"}),
        )
        healthy = Step(hours=1, answers={COUNTS: [(450, 4)], ERRORS: [(2,)]})
        yield Case("fields", f"{field} missing", STATES, steps=(Step(), lacking, healthy))
    for field in ("startTime", "finishTime", "state", "backupDetails"):
        behavior, missing = behaves(missing_fields=(field,)), frozenset({"missing_fields"})
        first = Step(behavior=behavior, exits=(0, 3), findings=missing, judged=False)
        yield Case("fields", f"{field} missing at first", STATES, steps=(first, Step(hours=1)))
    for name, values in (
        ("comma", {"duration": "0,011"}),
        ("clock", {"duration": "1.02:03:04"}),
        ("dashes", {"duration": "--"}),
    ):
        steps = twice(behaves(values={SIX[0].id: values}), exits=(0, 3))
        yield Case("values", f"duration with {name}", steps=steps)
    for name in ("startTime", "finishTime"):
        steps = twice(behaves(values={SIX[0].id: {name: "--"}}), exits=(0, 3))
        yield Case("values", f"unreadable {name}", steps=steps, unread=(1,))
    within = {"jobErrors": [{"id": "E1", "value": "Denied."}], "backupDetails": {"id": "D1", "totalCount": 7}}
    steps = twice(behaves(values={SIX[0].id: within}), answers={"SELECT value FROM jobs__job_errors": [("Denied.",)]})
    yield Case("values", "ids within a job", steps=steps)
    steps = twice(behaves(values={SIX[0].id: {"id": None}}), exits=(3,))
    yield Case("values", "no id", steps=steps, missing=(1,))
