"""What ``load_audit`` says of loads, written once for all who ask; in DuckDB's dialect, for a ``Scope``.

The views ``protection_status`` and ``open_jobs`` say the same of a complete load: each of them is to be read by itself.
"""

OF_PARTITIONS = """
    SELECT a.tenant, a.location, a.object_type, a.run_id, max(a.started_at) AS started_at,
        min(a.window_start) AS window_start, max(a.window_end) AS window_end,
        min(CASE WHEN a.complete = TRUE THEN 1 ELSE 0 END) AS complete
    FROM load_audit AS a
    GROUP BY a.tenant, a.location, a.object_type, a.run_id"""
"""A row for each load of a partition, its slices and job types together: until when it reached, and whether (1 or 0)
each of its listings is proved complete."""
