"""Append rows of the log tables to the warehouse without a dlt run, which lasts a second even for one row.

A load with nothing new writes only such rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import dlt

from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.destinations.log_rows import KEYS, Row


def append_rows(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
    """Append rows of the log tables, of one or several tenants; return whether the warehouse has them afterwards.

    The caller holds the write lock. Rows whose key is stored are left out, so a repeated call adds nothing. SQL
    destinations write all tables in one transaction, if they have transactions; Delta tables get one commit each.

    Nothing is created: if a table or a column is missing, or the destination supports no appends, nothing is written
    and the result is false. The caller then writes the rows in a dlt run.
    """
    rows = {name: tables[name] for name in sorted(tables, key=[*KEYS].index)}
    rows = {name: table_rows for name, table_rows in rows.items() if table_rows}
    return kind_of(pipeline).append_rows(pipeline, rows)
