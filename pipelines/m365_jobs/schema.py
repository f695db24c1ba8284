"""List every table of the warehouse: the source's, and those in which loads record themselves."""

from __future__ import annotations

from avepoint_m365.companions.schema import TABLES as COMPANION_TABLES
from avepoint_m365.schema import RUN_ID, TENANT, Column, Table, count, required, text, time
from avepoint_m365.schema import TABLES as SOURCE_TABLES

__all__ = ["LOAD_CHECK_FAILURES", "LOAD_RUNS", "TABLES", "Column", "Table", "table"]

SCHEMA = "avepoint_m365"
"""Name of dlt's schema of the tables, which is the name of the source."""

LOAD_RUNS = Table(
    "load_runs",
    "How loads went, failed ones included: one row per load, never changed.",
    # For dlt: a package that is loaded a second time, because the first time broke off, replaces its own row.
    ("run_id",),
    (
        required(text("run_id", "The load.")),
        TENANT,
        time("started_at", "When it started."),
        time("ended_at", "When it ended."),
        text("status", "complete, incomplete (some partition could not be proved complete) or failed."),
        text(
            "error_kind",
            "auth, permission, throttled, api, bad_response, destination, config or internal; null unless it failed.",
        ),
        text("detail", "What went wrong or is incomplete."),
        count("requests", "Requests made.", "requests"),
        count("jobs", "Jobs read.", "jobs"),
        text("product_version", "Version of m365-jobs that loaded."),
    ),
    append=True,
)

LOAD_CHECK_FAILURES = Table(
    "load_check_failures",
    "Checks that failed in a load: one row per load and rule. What holds now are the rows of a tenant's newest load. "
    "No job was dropped for it.",
    (),
    (
        RUN_ID,
        TENANT,
        text(
            "rule",
            "The check that failed: a data check, such as unique_jobs, or a finding that lasts, such as "
            "unlisted_location.",
        ),
        text("problem", "What the jobs have, in words."),
        text("example", "One of them, as jobs.id."),
        count("jobs", "How many there are.", "jobs"),
        time("found_at", "When the load checked."),
    ),
    append=True,
)

TABLES = (*SOURCE_TABLES[:4], LOAD_RUNS, LOAD_CHECK_FAILURES, *SOURCE_TABLES[4:], *COMPANION_TABLES)
"""All tables, in the order in which the documentation shows them."""


def table(name: str) -> Table:
    """Return the table of a name."""
    return next(entry for entry in TABLES if entry.name == name)
