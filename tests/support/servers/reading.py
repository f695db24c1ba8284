"""Define servers that read a range, page or answer in another way than documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from tests.support.servers.form import (
    ALL_LOADS,
    CROWD,
    LATER,
    NOW,
    SIX,
    SPREAD,
    STREAM,
    TWO,
    YEAR,
    YEARS,
    Case,
    Step,
    behaves,
    days,
    job,
    remove,
    twice,
)

HALF_YEAR = tuple(job(number, 480 * number) for number in range(1, 9))


def empty_answers() -> Iterator[Case]:
    """Yield servers that answer the first requests, or those of a later load, without jobs."""
    kind = "first answer"
    for answer in ("empty", "no_content", 403):
        once = behaves(first_requests=1, first_answer=answer)
        whole = behaves(first_requests=ALL_LOADS, first_answer=answer)
        first = Step(behavior=once, exits=(0, 1, 3), judged=False)
        yield Case(kind, f"{answer} once", SPREAD, steps=(first, Step(hours=24)))
        nothing = Step(behavior=whole, exits=(0, 1, 3), judged=False)
        yield Case(kind, f"{answer} for a whole load", SPREAD, steps=(nothing, Step(hours=24)))
        later = Step(hours=24, behavior=whole, exits=(1, 3))
        yield Case("other answer", f"{answer} for the second load", SPREAD, steps=(Step(), later, Step(hours=24)))
    other = Step(hours=24, other_tenant=True, exits=(1, 3))
    yield Case("other answer", "another tenant", SPREAD, steps=(Step(), other, Step(hours=24)))
    yield Case("other answer", "another tenant at once", SPREAD, steps=(Step(), replace(other, hours=0), Step(hours=1)))
    for generation in (1, 2):
        empty = behaves(empty_generations=(generation,))
        yield Case("generation", f"generation {generation} is empty", steps=twice(empty))
    empty = behaves(empty_generations=(1,))
    yield Case("generation", "the first is 204", steps=twice(empty, {"status_without_jobs": 204}))
    removals = [remove(item) for item in SIX]
    emptied = Step(hours=24, change=lambda world: [change(world) for change in removals], exits=(3,))
    gone = tuple(range(1, 7))
    absent = twice({}, {"total_basis": "absent"})
    for generation in (1, 2):
        only = (generation,)
        yield Case("generation", f"only {generation}, no job at first", (LATER,), steps=days(1), generations=only)
        yield Case("generation", f"only {generation}, no totals", SIX, YEARS, absent, generations=only)
        steps = (Step(), emptied)
        yield Case("generation", f"only {generation}, all jobs removed", steps=steps, gone=gone, generations=only)


def ranges() -> Iterator[Case]:
    """Yield servers that read a time range in another way than documented."""
    for item in ("last", "first"):
        for length in (90, 30):
            behavior = behaves(range_days=length, longer_ranges=item)
            yield Case("range", f"cut to the {item} {length} days", YEAR, YEARS, twice(behavior))
    for length in (90, 30):
        yield Case("range", f"over {length} days refused", YEAR, YEARS, twice(behaves(range_days=length)))
    behavior = behaves(oldest_start_days=180)
    yield Case("range", "start over 180 days ago refused", HALF_YEAR, YEARS, twice(behavior))
    behavior = behaves(oldest_start_days=180, range_days=30)
    yield Case("range", "old start and long range refused", HALF_YEAR, YEARS, twice(behavior))
    for case in ("camel", "pascal"):
        for default in (1, None):
            behavior = behaves(time_parameter_case=case, default_range_days=default)
            yield Case("range", f"times in {case} case, default {default} days", SPREAD, steps=twice(behavior))
    behavior = behaves(parameter_case="pascal", default_range_days=1)
    yield Case("range", "all parameters in pascal case", SPREAD, steps=twice(behavior))
    week = {"start_date": (NOW - timedelta(days=7)).isoformat()}
    yield Case("range", "pascal case, a week", CROWD, week, twice(behaves(parameter_case="pascal")))
    moved = Step(hours=240, config={"start_date": (NOW + timedelta(days=7)).isoformat()})
    yield Case("range", "start_date moved forward", STREAM, steps=(Step(), moved))
    for ahead in (-72, 72, -20, 20):
        off = Step(client_ahead=ahead, findings=frozenset({"clock_skew"}))
        yield Case("clock", f"client {ahead} hours ahead", steps=(off, replace(off, hours=24)), jobs=(*SIX, LATER))
    lagging = (
        ("every job", behaves(index_lag_hours=72)),
        ("half of the jobs", behaves(index_lag_hours=72, index_lag_share=0.5)),
        ("some of the jobs", behaves(index_lag_hours=120, index_lag_share=0.2)),
    )
    for jobs, behavior in lagging:
        loads = tuple(replace(step, judged=False) for step in days(5, behavior=behavior))
        yield Case("index", f"three days late for {jobs}", STREAM, steps=(*loads, Step(hours=96), Step(hours=24)))


def pages() -> Iterator[Case]:
    """Yield servers that page in another way than documented."""
    for limit, answer in ((200, "empty"), (50, "empty"), (10, "empty"), (100, "no_content"), (100, 504), (100, 400)):
        behavior = behaves(page_size_limit=limit, larger_pages=answer)
        yield Case("page size", f"over {limit} gives {answer}", CROWD, steps=twice(behavior))
    ten = {"max_page_size": 10}
    for deeper in ("end", "empty", 400, 404, 500):
        for name, jobs in (("a day", CROWD), ("two months", SPREAD)):
            behavior = behaves(depth_limit=40, deeper_pages=deeper)
            yield Case("depth", f"beyond 40 rows {deeper}, jobs of {name}", jobs, steps=twice(behavior, ten))
    for size in (20, 50):
        dialect = {"max_page_size": size, "total_basis": "absent", "link": "no_more"}
        yield Case("page size", f"{size} at most, no totals, no links", CROWD, steps=twice({}, dialect))
    five = {"max_page_size": 5}
    after = behaves(filters_after_paging=True)
    for total in ("matches", "absent", "page"):
        dialect = five | {"total_basis": total}
        yield Case("filter", f"after paging, total {total}", CROWD, steps=twice(after, dialect))
    yield Case("filter", "after paging, with locations", config=TWO, steps=twice(after, {"max_page_size": 2}))
    others = Step(behavior=behaves(total_factor=4), exits=(3,), most_requests=300)
    yield Case("total", "of all tenants", CROWD, steps=(others, replace(others, hours=1, most_requests=20)))
    for error in (1, -1, 3):
        off = Step(behavior=behaves(total_error=error), exits=(0, 3))
        yield Case(
            "total", f"{error:+} off", CROWD, steps=(off, replace(off, hours=1, most_requests=14 if error < 3 else 36))
        )
