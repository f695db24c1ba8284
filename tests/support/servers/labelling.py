"""Define servers with jobs outside the user's lists, and servers that filter in another way than documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.support.servers.form import (
    CROWD,
    LATER,
    SIX,
    TWO,
    Case,
    Step,
    behaves,
    job,
    twice,
)

DEU = (*SIX, job(7, 4, "DEU"), job(8, 6, "DEU", 2))
AGENTS = (*SIX, job(7, 4, object_type=13), job(8, 28, object_type=13))


def outside() -> Iterator[Case]:
    """Yield servers with jobs outside the user's lists, and servers without a parameter value that means all."""
    kind = "outside"
    unlisted = Step(findings=frozenset({"unlisted_location"}))
    again = replace(unlisted, hours=24)
    yield Case(kind, "unlisted location", DEU, TWO, (unlisted, again, again))
    yield Case(kind, "one location of two listed", SIX, {"locations": ["NAM"]}, (unlisted, again))
    yield Case(kind, "unlisted location later", (*SIX, job(7, -20, "DEU")), TWO, (Step(), again, again))
    expected = {**TWO, "expected_outside": ["location"]}
    yield Case(kind, "unlisted location that is expected", DEU, expected, (Step(), Step(hours=1, no_findings=True)))
    unknown = Step(findings=frozenset({"unknown_object_type"}))
    yield Case(kind, "unknown object type", AGENTS, steps=(unknown, replace(unknown, hours=24)))
    yield Case(kind, "unknown object type, locations", AGENTS, TWO, (unknown, replace(unknown, hours=24)))
    unknown = Step(findings=frozenset({"unknown_job_type"}))
    yield Case(kind, "unknown job type", (*SIX, job(7, 4, job_type=6)), steps=(unknown, replace(unknown, hours=24)))
    changes: dict[str, dict[str, Any]] = {"object_type": {"object_type": 13}, "job_type": {"job_type": 6}}
    for name, changed in changes.items():
        crowd = tuple(replace(item, **changed) if number % 3 == 0 else item for number, item in enumerate(CROWD))
        few = Step(dialect={"max_page_size": 10}, findings=frozenset({f"unknown_{name}"}), most_requests=120)
        yield Case(kind, f"unknown {name} of every third job", crowd, steps=(few, replace(few, hours=1)))
    mixed = (*DEU, job(9, 4, "XYZ", 13, 6))
    rules = frozenset({"unlisted_location", "unknown_object_type", "unknown_job_type"})
    yield Case(kind, "all three unknown", mixed, TWO, (Step(findings=rules), Step(hours=24, findings=rules)))
    yield Case(
        kind, "object types that are not asked for", config={"object_types": ["exchange_online"]}, missing=(2, 4)
    )
    for name in ("objectType=0", "jobType=0", "jobState=0"):
        yield Case("zero", f"{name} means none", steps=twice(behaves({name: "empty"})))
    none = behaves({"objectType=0": "empty", "jobType=0": "empty", "jobState=0": "empty"})
    yield Case("zero", "0 means none everywhere, with locations", config=TWO, steps=twice(none))
    for answer in ("empty", "no_content", 400, 404):
        refused = Step(behavior=behaves({"location": answer}), exits=(0, 2, 3), config={"locations": ["NAM"]})
        steps = (refused, replace(refused, hours=24))
        yield Case("single geo", f"any location gives {answer}", steps=steps, unlabelled={"location": None})
    central = behaves(unset_location="central")
    loads = (Step(behavior=central), Step(behavior=central, hours=24), Step(behavior=central, hours=1))
    yield Case(kind, "no location means the central one", (*SIX, LATER), TWO, loads)


def labels() -> Iterator[Case]:
    """Yield servers that filter in another way than documented, and settings that change."""
    kind = "labels"
    for locations in (["NAM", "EUR"], ["NAM"], ["NAM", "EUR", "DEU"]):
        ignored = behaves({"location": "ignored"})
        steps = twice(ignored, findings=frozenset({"location_ignored"}))
        name = f"location ignored, {len(locations)} asked for"
        yield Case(kind, name, config={"locations": locations}, steps=steps, unlabelled={"location": None})
    for values in (("5",), ("5", "9"), ("1",), ("2",)):
        ignored = behaves({f"objectType={value}": "ignored" for value in values})
        finding = frozenset({"object_type_ignored"})
        name = f"object type {' and '.join(values)} returns all"
        for jobs in (SIX, CROWD):
            # If jobs have only two types, a load can also infer a type from the other listing.
            steps = twice(ignored, findings=finding if values[0] not in "12" or jobs is CROWD else frozenset())
            may_lack = ("object_type",) if values[0] in "12" else ()
            yield Case(kind, f"{name}, {len(jobs)} jobs", jobs, steps=steps, may_lack=may_lack)
    for value in ("3", "1", "2"):
        ignored = behaves({f"jobType={value}": "ignored"})
        may_lack = () if value == "3" else ("job_type",)
        steps = twice(ignored, findings=frozenset({"job_type_ignored"} if value == "3" else ()))
        yield Case(kind, f"job type {value} returns all", steps=steps, may_lack=may_lack)
    for parameter, name in (("objectType", "object_type"), ("jobType", "job_type")):
        steps = twice(behaves({parameter: "ignored"}), findings=frozenset({f"{name}_ignored"}))
        yield Case(kind, f"{name} ignored", steps=steps, unlabelled={name: None})
    yield Case(kind, "job state ignored", steps=twice(behaves({"jobState": "ignored"})))
    late = (*SIX, LATER, job(8, -18, "NAM", 1, 2))
    for filters in (("objectType",), ("jobType",), ("location",), ("objectType", "jobType", "location")):
        lagging = Step(hours=24, behavior=behaves(index_lag_hours=48, index_lag_filters=filters))
        steps = (Step(), replace(lagging, exits=(0, 3)), Step(hours=48), Step(hours=24))
        yield Case(kind, f"{' and '.join(filters)} listed late", late, TWO, steps)
    bare = Step(hours=24, config={"locations": None})
    yield Case(kind, "a load without locations", late, TWO, (Step(), bare, Step(hours=24)))
    off = Step(hours=24, config={"split_job_types": False})
    yield Case(kind, "a load without job types", late, TWO, (Step(), off, Step(hours=24)))
