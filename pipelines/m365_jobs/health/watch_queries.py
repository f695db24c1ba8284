"""List the queries of the commands that watch, whose translations are shipped; ``make views`` writes them."""

from __future__ import annotations

from m365_jobs.health import causes, check_queries, evaluate, failed_companions, status
from m365_jobs.health.checks import CHECKS
from m365_jobs.marts.translate import write_queries
from m365_jobs.warehouse.tenant_scope import HELD

QUERIES = (
    *(check.query for check in CHECKS if check.query),
    *(check_queries.count_query(check.needs) for check in CHECKS if check.needs),
    *(causes.query_of(kind) for kind in causes.CAUSES),
    check_queries.KNOWN_SERVICES,
    check_queries.LAST_LOADS,
    check_queries.OLDEST_LOAD,
    evaluate.PROTECTION,
    failed_companions.FAILED,
    HELD,
    status.LOADS,
    status.STORED,
    status.RUNS,
    status.AHEAD,
    *status.COUNTS.values(),
)
"""Queries of ``health``, ``status`` and ``check``."""


if __name__ == "__main__":
    write_queries(QUERIES)
