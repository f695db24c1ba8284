"""List the servers that differ from the documentation, with the user's settings and the expected warehouse."""

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
    "first answer": ["empty once", "empty for a whole load"],
    "other answer": ["empty for the second load", "another tenant"],
    "generation": ["generation 1 is empty", "only 2, no job at first"],
    "range": [
        "cut to the last 90 days",
        "over 90 days refused",
        "start_date moved forward",
    ],
    "clock": ["client -72 hours ahead"],
    "index": ["three days late for half of the jobs"],
    "page size": ["over 200 gives empty", "20 at most, no totals, no links"],
    "depth": ["beyond 40 rows end, jobs of a day"],
    "filter": ["after paging, total matches"],
    "total": ["+1 off"],
    "outside": [
        "unlisted location",
        "unknown job type",
        "no location means the central one",
    ],
    "zero": ["0 means none everywhere, with locations"],
    "single geo": ["any location gives empty"],
    "labels": [
        "location ignored, 2 asked for",
        "object type 5 returns all, 6 jobs",
        "job type 3 returns all",
        "objectType listed late",
    ],
    "states": ["openapi, unfinished absent", "translated, unfinished year_9999"],
    "fields": ["pascal, generation 1", "backupDetails missing"],
    "values": ["duration with comma", "no id"],
    "refused": ["an object type with 400", "everything"],
    "long": ["gone while it ran"],
    "twice": ["two rows of a job, older_first"],
}
"""Names of the rows that run with every change, by kind."""
USUAL = [case for case in CASES if case.name in OFTEN.get(case.kind, ())]
VARIATIONS = [case for case in CASES if case not in USUAL]
assert len({str(case) for case in CASES}) == len(CASES)
assert len(USUAL) == sum(map(len, OFTEN.values()))
