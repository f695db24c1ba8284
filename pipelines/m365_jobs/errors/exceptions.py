"""Define the errors that this program raises itself, and the exit codes of the command line.

Exception
├── UsageError          exit 2: the command line or the configuration is invalid
├── WarehouseError      exit 1: the warehouse is missing, locked by another program, or not ours
├── NotificationError   exit 1: a message could not be delivered
└── QueryError          a query that is refused (exit 2) or that the destination cannot run (exit 1)
"""

from __future__ import annotations

from collections.abc import Mapping

FINE, FAILED, WRONG_USAGE, INCOMPLETE, UNHEALTHY = 0, 1, 2, 3, 4
"""Exit codes of the command line; only ``health`` has the last one."""

HUNG_UP, INTERRUPTED, TERMINATED = 129, 130, 143
"""The exit codes after SIGHUP, after Ctrl+C and after SIGTERM, as in shells: 128 plus the number of the signal."""

EXIT_CODES: Mapping[int, str] = {
    FINE: "Fine.",
    FAILED: "Failed; with several tenants, at least one failed.",
    WRONG_USAGE: "Wrong usage or configuration. Another try gives the same result.",
    INCOMPLETE: "Loaded, but some partition could not be proved complete. The next load reads it again.",
    UNHEALTHY: "`health` found a problem.",
    HUNG_UP: "Ended by SIGHUP, as a terminal or a connection that closes sends it.",
    INTERRUPTED: "Interrupted by Ctrl+C.",
    TERMINATED: "Ended by SIGTERM, as systemd, Docker and Kubernetes send it.",
}
"""Exit code to its meaning, for the reference page."""


class UsageError(Exception):
    """Report that the command line or the configuration is invalid."""


class WarehouseError(Exception):
    """Report that the warehouse cannot be used: missing, locked by another program, or not ours."""


class NotificationError(Exception):
    """Report that a message could not be delivered."""


class QueryError(Exception):
    """Report a query of the user that is refused, or that the destination cannot run."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code
