"""What a destination's refusal means, and its cure, from the words of many drivers."""

from __future__ import annotations

import re

DRIVERS = frozenset({"psycopg2", "adbc_driver_manager", "_duckdb", "_internal", "pyiceberg", "botocore", "fsspec"})
"""Packages whose errors are the destination's, also where dlt hands them on as they are; deltalake's is _internal."""

STAYS = "What was loaded before is still there."

CURES = (
    (
        r"no space left|disk.{0,10}full|could not extend file|not enough (disk )?space|quota exceeded|file too large",
        "The destination has no disk space left",
        f"Free some and run this again. {STAYS}",
    ),
    (
        r"could not set lock|lock on file|being used by another process|different configuration",
        "Another program has the warehouse open",
        "Close it or wait for it, then run this again.",
    ),
    (
        r"database \S+ does not exist|unknown database|no such bucket|nosuchbucket",
        "The destination has no such database",
        "Create it, or name another in destination.<name>.credentials.database (for a lake in .bucket_url).",
    ),
    (
        r"password authentication failed|role \S+ does not exist|no password supplied|pg_hba\.conf|"
        r"invalidaccesskeyid|signaturedoesnotmatch|authentication|unauthorized|invalid credentials",
        "The destination does not accept the credentials",
        "Set user and password in destination.<name>.credentials, in .dlt/secrets.toml or in the environment.",
    ),
    (
        r"permission denied|insufficient privilege|must be owner|access ?denied|not authorized|forbidden|"
        r"read-only file",
        "The destination's user lacks a right",
        "It must be able to create the dataset and, beside it, others with _staging in their names, or own them "
        f"with their tables; in a lake, to write files. {STAYS}",
    ),
    (
        r"connection refused|could not translate host|name or service not known|timeout expired|timed out|"
        r"server closed the connection|could not connect|unreachable|terminating connection|shutting down|starting up|"
        r"connection (reset|already closed)|too many clients",
        "The destination cannot be reached",
        f"Start it, or correct host and port in destination.<name>.credentials, and run this again. {STAYS}",
    ),
    (
        r"(column|table|relation) .*(does not exist|not found)|does not have a column|cannot be cast|"
        r"column .* is of type|contains null values",
        "The tables there are not as the load made them",
        "Put back what was changed, or load into another dataset with --dataset; a backfill with --since fills it.",
    ),
)
"""Pattern in the driver's words (any case), what it means, and what to do."""


def of_driver(error: BaseException) -> bool:
    """Whether an error comes from the driver of a database."""
    return type(error).__module__.partition(".")[0] in DRIVERS


def explain(words: str) -> str:
    """One paragraph on a destination's refusal: what it means, the driver's own words, the cure."""
    shown = words if words.endswith((".", "?", "!")) else f"{words}."
    for pattern, meaning, cure in CURES:
        if re.search(pattern, words, re.IGNORECASE):
            return f"{meaning}: {shown} {cure}"
    return f"The destination refused: {shown} Look at its address, credentials and rights. {STAYS}"
