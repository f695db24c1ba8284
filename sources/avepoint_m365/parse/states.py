"""List the words of job states that say if a job still runs. The text itself stays unchanged.

Words that the service learns later are not known here: they count as neither.
"""

from __future__ import annotations

import re

IN_PROGRESS = frozenset({"inprogress", "1"})
ENDED = frozenset(
    {"finished", "failed", "finishedwithexception", "finishedexception", "partiallyfinished", "2", "3", "4", "5"}
)


def fold(state: str | None) -> str:
    """Return a state in lower case, letters and digits alone: services and versions write it differently."""
    return re.sub(r"[\W_]", "", state or "").lower()


def is_in_progress(state: str | None) -> bool:
    """Return true if the state says that the job still runs."""
    return fold(state) in IN_PROGRESS


def is_ended(state: str | None) -> bool:
    """Return true if the state says that the job has ended."""
    return fold(state) in ENDED
