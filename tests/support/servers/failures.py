"""Define servers that refuse parameters, run long jobs, or send rows twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.support.servers.form import (
    ALL_LOADS,
    LATER,
    SIX,
    STATES,
    TWO,
    Case,
    Step,
    behaves,
    days,
    job,
    remove,
    twice,
)

LONG = job(1, 24, lasts=24 * 20)


def failures() -> Iterator[Case]:
    """Yield servers that refuse parameters for some time."""
    kind = "refused"
    for status in (400, 403, 404, 500, 503):
        refused = Step(behavior=behaves({"objectType=2": status}), exits=(3,))
        yield Case(kind, f"an object type with {status}", steps=(refused, Step(hours=1)))
    for status in (400, 503):
        refused = Step(behavior=behaves({"objectType=9": status}), exits=(0, 3))
        yield Case(kind, f"an object type without jobs, {status}", steps=(refused, replace(refused, hours=1)))
    for status in (400, 500):
        refused = Step(behavior=behaves({"jobType=2": status}), exits=(3,))
        yield Case(kind, f"a job type with {status}", steps=(refused, Step(hours=1)))
    for status in (400, 403, 503):
        refused = Step(behavior=behaves({"location=EUR": status}), exits=(3,))
        yield Case(kind, f"a location with {status}", config=TWO, steps=(refused, Step(hours=1)))
    late = (*SIX, LATER)
    refused = Step(hours=24, behavior=behaves({"objectType=2": 500}), exits=(3,))
    yield Case(kind, "an object type, from the second load on", late, steps=(Step(), refused, Step(hours=1)))
    refused = Step(hours=24, behavior=behaves({"location=EUR": 503}), exits=(3,))
    yield Case(kind, "a location, from the second load on", late, TWO, (Step(), refused, Step(hours=1)))
    refused = Step(behavior=behaves(first_requests=ALL_LOADS, first_answer=403), exits=(1,), judged=False)
    yield Case(kind, "everything", steps=(refused, Step(hours=1)))


def long_runs() -> Iterator[Case]:
    """Yield servers with long jobs, and servers that send rows twice."""
    kind = "long"
    stream = tuple(job(number, 24 - 24 * number) for number in range(2, 26))
    for reading in ("start", "finish", "overlap", "whole"):
        steps = (*days(6, 96), Step(hours=24))
        yield Case(kind, f"20 days, range of {reading}", (LONG, *stream), world={"reading": reading}, steps=steps)
    late = replace(LONG, visible_from=LONG.finish)
    yield Case(kind, "20 days, shown at its end", (late, *stream), world={"reading": "start"}, steps=days(5, 120))
    for generations in ((1, 2), (1,)):
        hidden = behaves(open_hidden_after_hours=24)
        steps = tuple(Step(hours=hours, behavior=hidden, exits=(0, 3)) for hours in (0, 26, 20, 26))
        jobs = (job(1, 4, lasts=60), *stream)
        yield Case(kind, f"hidden while it runs, generations {generations}", jobs, steps=steps, generations=generations)
    given_up = Step(hours=24, exits=(0, 3), findings=frozenset({"job_given_up"}))
    steps = (Step(), Step(hours=24, change=remove(LONG), exits=(0, 3)), *days(4, 96, exits=(0, 3)), given_up)
    yield Case(kind, "gone while it ran", (LONG, *stream), steps=steps, gone=(1,))
    for order in ("older_first", "older_last"):
        yield Case("twice", f"two rows of a job, {order}", STATES, steps=twice(behaves(repeated_row=order)))
