"""The table: each server that departs from the documentation, what a user asks of it, and what the warehouse holds."""

from tests.support.servers import failures, labelling, reading, words
from tests.support.servers.form import Case

CASES: list[Case] = [
    *reading.empty_answers(),
    *reading.ranges(),
    *reading.pages(),
    *labelling.outside(),
    *labelling.labels(),
    *words.words(),
    *failures.failures(),
    *failures.long_runs(),
]
OFTEN = {
    "first answer": ["empty once", "empty for a whole load", "403 once"],
    "other answer": ["empty for the second load", "another tenant"],
    "generation": ["generation 1 is empty"],
    "range": [
        "cut to the last 90 days",
        "cut to the first 90 days",
        "over 90 days refused",
        "start over 180 days ago refused",
        "times in pascal case, default 1 days",
        "start_date moved forward",
    ],
    "clock": ["client -72 hours ahead"],
    "index": ["three days late for half of the jobs"],
    "page size": ["over 200 gives empty", "over 100 gives 504"],
    "depth": ["beyond 40 rows end, jobs of a day", "beyond 40 rows 400, jobs of a day"],
    "filter": ["after paging, total matches"],
    "total": ["+1 off", "-1 off"],
    "outside": [
        "unlisted location",
        "unknown object type",
        "unknown job type",
        "unlisted location that is expected",
        "no location means the central one",
    ],
    "zero": ["0 means none everywhere, with locations"],
    "single geo": ["any location gives empty"],
    "labels": [
        "location ignored, 2 asked for",
        "object type 5 returns all, 6 jobs",
        "object type 1 returns all, 60 jobs",
        "job type 3 returns all",
        "objectType listed late",
        "a load without locations",
        "a load without job types",
    ],
    "states": ["openapi, unfinished absent", "translated, unfinished year_9999", "numbers, unfinished absent"],
    "fields": ["pascal, generation 1", "renamed, generation 2", "backupDetails missing", "state missing"],
    "values": ["duration with comma", "no id"],
    "refused": ["an object type with 400", "a location with 503", "everything"],
    "long": ["20 days, range of start", "hidden while it runs, generations (1, 2)", "gone while it ran"],
    "twice": ["two rows of a job, older_first"],
}
"""Kinds to the names of the rows that run with every change."""
USUAL = [case for case in CASES if case.name in OFTEN.get(case.kind, ())]
VARIATIONS = [case for case in CASES if case not in USUAL]
assert len({str(case) for case in CASES}) == len(CASES)
assert len(USUAL) == sum(map(len, OFTEN.values()))
