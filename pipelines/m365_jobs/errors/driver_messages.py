"""Explain the errors of destinations, with their cures, from the messages of many drivers."""

from __future__ import annotations

import re

DRIVERS = frozenset({"psycopg2", "adbc_driver_manager", "_duckdb", "_internal", "pyiceberg", "botocore", "fsspec"})
"""Packages of drivers: their errors are the destination's, even if dlt does not wrap them; deltalake's is _internal."""

STAYS = "What was loaded before is still there."

MEMORY = r"out of memory|outofmemory|memory[_ ]limit"
"""Messages of a destination about a statement that needs more memory than it has."""

NO_LOCKS = r"no locks available|(lock|locking).{0,40}not (supported|implemented)|operation not supported"
"""Messages about a file system without locks; DuckDB appends them to its message about a file in use."""

NO_RIGHT = r"permission denied|insufficient privilege|must be owner|access ?denied|not authorized|forbidden"
"""Messages about a right that the user of the destination lacks."""

CURES = (
    (
        NO_LOCKS,
        "The file system of the warehouse supports no locks, as many network shares",
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
        "A file of the warehouse is damaged, or of another program",
        "Restore a copy of it, or move the file (a lake: the folder of the dataset) away: the next load then creates "
        "the warehouse again, from the jobs that the API still has.",
    ),
    (
        r"database file with version number",
        "Another version of DuckDB wrote the file",
        "Install that version, or a newer one.",
    ),
    (
        r"read-only transaction|during recovery|recovery is in progress",
        "The destination can only be read",
        f"Load into the primary server, not a standby, or unset default_transaction_read_only. {STAYS}",
    ),
    (
        r"too many (clients|connections)|connection slots|not currently accepting connections",
        "The destination accepts no more connections",
        f"Raise its limit, or end some of them, and run this again. {STAYS}",
    ),
    (
        r"canceling statement due to lock timeout",
        "Another session holds a lock on a table or view",
        "End the transaction that has read it and is still open (in pg_stat_activity it is idle in transaction, or "
        f"active), or raise lock_timeout where it is set for this user. The next load tries again. {STAYS}",
    ),
    (
        r"conflict with recovery",
        "A standby ended a statement that held up its changes",
        "Run this again. If that happens often, raise max_standby_streaming_delay or set hot_standby_feedback = on at "
        f"the standby, or read from the primary server. {STAYS}",
    ),
    (
        r"canceling statement due to user request",
        "A request cancelled the statement",
        "Run this again. If you did not cancel it, an administrator did (pg_cancel_backend), or a tool that ends long "
        f"statements. {STAYS}",
    ),
    (
        r"canceling statement due to",
        "The destination cancelled a statement",
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
        NO_RIGHT,
        "The destination's user lacks a right",
        "To load, it must be able to create the dataset and, beside it, others with _staging in their names, or own "
        f"them with their tables; in a lake, to write files. To read, it needs no more than to read them. {STAYS}",
    ),
    (
        r"\b50[0234]\)|status code: 50[0234]|service unavailable|slow ?down|reduce your request rate|internalerror",
        "The destination is overloaded or down",
        f"Wait, and run this again. If it persists, ask its administrator. {STAYS}",
    ),
    (
        r"terminating connection|ssl (syscall error: eof|connection has been closed)|broken pipe|"
        r"^(?!.*connection to server).*(server closed the connection|connection already closed)",
        "The connection to the destination was lost",
        f"Check that the server runs and that nothing between ends long connections, and run this again. {STAYS}",
    ),
    (
        r"connection refused|could not translate host|name or service not known|timeout expired|timed out|"
        r"server closed the connection|could not connect|unreachable|shutting down|starting up|"
        r"connection reset|is the server running",
        "The destination cannot be reached",
        f"Start it, or correct host and port in destination.<name>.credentials, and run this again. {STAYS}",
    ),
    (
        r"no such file or directory|is a directory|not a directory|file exists|cannot find the (path|file)",
        "A file or folder of the warehouse is missing, or is of the wrong kind",
        "Create the folder, or restore the file, or name another place in destination.<name>.credentials (for a lake "
        "in .bucket_url).",
    ),
    (
        r"(column|table|relation) .*(does not exist|not found)|does not have a column|cannot be cast|"
        r"column .* is of type|contains null values",
        "The tables of the dataset were changed after a load created them",
        "Undo the changes, or load into another dataset with --dataset; a backfill with --since fills it.",
    ),
)
"""Patterns in the driver's message (any case), each with its meaning and the cure."""


def of_driver(error: BaseException) -> bool:
    """Return whether an error comes from the driver of a database."""
    return type(error).__module__.partition(".")[0] in DRIVERS


def needs_smaller_chunks(message: str) -> bool:
    """Return whether a destination failed for lack of memory, so that smaller chunks may succeed."""
    return bool(re.search(MEMORY, message, re.IGNORECASE))


def may_concern_rights(message: str) -> bool:
    """Return whether a right of the user is the reason of a refusal, or the reason is unknown."""
    entry = _cure_of(message)
    return entry is None or entry[0] == NO_RIGHT


def _cure_of(message: str) -> tuple[str, str, str] | None:
    """Return the first entry of ``CURES`` whose pattern is in a driver's message; None without one."""
    return next((entry for entry in CURES if re.search(entry[0], message, re.IGNORECASE)), None)


def in_use(error: BaseException) -> bool:
    """Return whether another program has the DuckDB file open; Windows has a message of its own.

    The same holds while another thread creates the file, for which it opens it with other settings.
    """
    text = str(error).lower()
    if re.search(NO_LOCKS, text):
        return False
    return any(words in text for words in ("lock on file", "used by another process", "with a different configuration"))


def explain_driver_message(message: str) -> str:
    """Return one paragraph about an error of a destination: its meaning, the driver's message, the cure."""
    # PostgreSQL adds the line of a statement that the user did not write. delta-rs adds colours, and a backtrace if
    # RUST_BACKTRACE is set.
    message = re.sub(r"\x1b\[\d*m|\s*LINE \d+: .*|\s+0: \S+.*\s1: .*", "", message)
    sentence = message if message.endswith((".", "?", "!")) else f"{message}."
    if (entry := _cure_of(message)) is None:
        return f"The destination refused: {sentence} Check its address, credentials and rights. {STAYS}"
    _, meaning, cure = entry
    return f"{meaning}: {sentence} {cure}"
