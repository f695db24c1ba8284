"""List the queries of loads and of commands that watch, whose translations are shipped (``make views``)."""

from __future__ import annotations

from m365_jobs.health import check_queries, evaluate, failed_companions, status
from m365_jobs.health.checks import CHECKS
from m365_jobs.load import data_checks
from m365_jobs.marts.translate import write_queries
from m365_jobs.warehouse.tenant_scope import LOADED_TENANTS

QUERIES = (
    *(check.query for check in CHECKS if check.query),
    *(check_queries.count_query(check.needs) for check in CHECKS if check.needs),
    *(check.causes for check in CHECKS if check.causes),
    data_checks.CHECKS_QUERY,
    check_queries.KNOWN_SERVICES,
    check_queries.LAST_LOADS,
    check_queries.OLDEST_LOAD,
    evaluate.PROTECTION,
    failed_companions.FAILED,
    LOADED_TENANTS,
    status.LOADS,
    status.STORED,
    status.OPEN,
    status.RUNS,
    status.AHEAD,
    *status.COUNTS.values(),
)
"""Queries of ``load``, ``health``, ``status`` and ``check``."""


if __name__ == "__main__":
    write_queries(QUERIES)
