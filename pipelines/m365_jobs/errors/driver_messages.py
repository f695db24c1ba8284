"""Explain a destination's refusal and its cure, from the words of many drivers."""

from __future__ import annotations

import re

DRIVERS = frozenset({"psycopg2", "adbc_driver_manager", "_duckdb", "_internal", "pyiceberg", "botocore", "fsspec"})
"""Packages whose errors are the destination's, also where dlt hands them on as they are; deltalake's is _internal."""

STAYS = "What was loaded before is still there."

MEMORY = r"out of memory|outofmemory|memory[_ ]limit"
"""What a destination says of a statement that needs more memory than it has."""

NO_LOCKS = r"no locks available|(lock|locking).{0,40}not (supported|implemented)|operation not supported"
"""Words for a file system without locks; DuckDB puts them behind its words for a file that another program has open."""

CURES = (
    (
        NO_LOCKS,
        "The file system of the warehouse keeps no locks, as many network shares do not",
        "Put the DuckDB file on a local disk, mount the share with locks, or load into PostgreSQL.",
    ),
    (
        r"too many open files",
        "This process may open no more files",
        f"Raise the limit (ulimit -n 4096, or LimitNOFILE= in systemd), and run this again. {STAYS}",
    ),
    (
        MEMORY,
        "The destination ran out of memory",
        "Run this again: the load then reads smaller chunks. If that fails as well, give DuckDB more than 250 MB with "
        'destination.duckdb.credentials.global_config = {memory_limit = "1GB", threads = 2}, or the server more '
        f"memory. {STAYS}",
    ),
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
        r"not a valid duckdb|corrupt|could not read enough bytes|json error|invalid parquet|parquet magic",
        "A file of the warehouse is damaged, or is none of it",
        "Put back a copy of it, or move the file (a lake: the folder of the dataset) away: the next load then makes "
        "the warehouse anew, from what the API still has.",
    ),
    (
        r"database file with version number",
        "Another version of DuckDB wrote the file",
        "Install that version, or a newer one.",
    ),
    (
        r"read-only transaction",
        "The destination can only be read",
        f"Load into the primary server, not a standby, or take default_transaction_read_only back. {STAYS}",
    ),
    (
        r"too many (clients|connections)|connection slots|not currently accepting connections",
        "The destination takes no more connections",
        f"Raise its limit, or end some, and run this again. {STAYS}",
    ),
    (
        r"canceling statement due to lock timeout",
        "Someone keeps a table or view busy",
        "End the transaction that has read it and is still open (in pg_stat_activity it is idle in transaction, or "
        f"active), or raise lock_timeout where it is set for this user. The next load tries again. {STAYS}",
    ),
    (
        r"canceling statement due to",
        "The destination gave up on a statement",
        f"Raise statement_timeout or lock_timeout for this user, and run this again. {STAYS}",
    ),
    (
        r"cannot open file .*permission denied|(errno|os error) (13|30)\b|read-only file",
        "This user may not read or write a file of the warehouse",
        f"Let it read and write that file and the folder that it lies in. {STAYS}",
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
        r"permission denied|insufficient privilege|must be owner|access ?denied|not authorized|forbidden",
        "The destination's user lacks a right",
        "To load, it must be able to create the dataset and, beside it, others with _staging in their names, or own "
        f"them with their tables; in a lake, to write files. To read, it needs no more than to read them. {STAYS}",
    ),
    (
        r"\b50[0234]\)|status code: 50[0234]|service unavailable|slow ?down|reduce your request rate|internalerror",
        "The destination is overloaded or down",
        f"Wait, and run this again. If it stays so, ask who runs it. {STAYS}",
    ),
    (
        r"connection refused|could not translate host|name or service not known|timeout expired|timed out|"
        r"server closed the connection|could not connect|unreachable|terminating connection|shutting down|starting up|"
        r"connection (reset|already closed)|is the server running",
        "The destination cannot be reached",
        f"Start it, or correct host and port in destination.<name>.credentials, and run this again. {STAYS}",
    ),
    (
        r"no such file or directory|is a directory|not a directory|file exists|cannot find the (path|file)",
        "A file or folder of the warehouse is not there, or is not what it should be",
        "Make the folder, or put the file back, or name another place in destination.<name>.credentials (for a lake in "
        ".bucket_url).",
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
    """Return whether an error comes from the driver of a database."""
    return type(error).__module__.partition(".")[0] in DRIVERS


def needs_smaller_chunks(words: str) -> bool:
    """Return whether a destination refused for a reason that less data at once cures."""
    return bool(re.search(MEMORY, words, re.IGNORECASE))


def in_use(error: BaseException) -> bool:
    """Return whether another program has the DuckDB file open; Windows says it in its own words.

    Another thread may have it open with other settings: for a moment, while it creates the file.
    """
    text = str(error).lower()
    if re.search(NO_LOCKS, text):
        return False
    return any(words in text for words in ("lock on file", "used by another process", "with a different configuration"))


def explain_driver_message(words: str) -> str:
    """Return one paragraph on a destination's refusal: its meaning, the driver's own words, the cure."""
    # PostgreSQL shows where in the statement, which is none of the user's; delta-rs paints in colours, and adds its
    # calls where RUST_BACKTRACE is set.
    words = re.sub(r"\x1b\[\d*m|\s*LINE \d+: .*|\s+0: \S+.*\s1: .*", "", words)
    shown = words if words.endswith((".", "?", "!")) else f"{words}."
    for pattern, meaning, cure in CURES:
        if re.search(pattern, words, re.IGNORECASE):
            return f"{meaning}: {shown} {cure}"
    return f"The destination refused: {shown} Look at its address, credentials and rights. {STAYS}"
