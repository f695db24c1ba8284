"""List the state words of jobs in progress and of jobs that have ended. The text of a state stays unchanged.

Undocumented words count as neither.
"""

from __future__ import annotations

import re

IN_PROGRESS = frozenset({"inprogress", "1"})
ENDED = frozenset(
    {"finished", "failed", "finishedwithexception", "finishedexception", "partiallyfinished", "2", "3", "4", "5"}
)


def fold(state: str | None) -> str:
    """Return the letters and digits of a state in lower case: services and versions spell it differently."""
    return re.sub(r"[\W_]", "", state or "").lower()


def is_in_progress(state: str | None) -> bool:
    """Return whether a state means that the job still runs."""
    return fold(state) in IN_PROGRESS


def is_ended(state: str | None) -> bool:
    """Return whether a state means that the job has ended."""
    return fold(state) in ENDED
