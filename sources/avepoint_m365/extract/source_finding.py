"""Define a finding of the source about the jobs that it read."""

from __future__ import annotations

from typing import NamedTuple

from avepoint_m365.text import format_count


def format_finding(rule: str, problem: str, jobs: int, example: str | None) -> str:
    """Return a finding as a sentence without its full stop; ``jobs`` is 0 if they were not counted."""
    number = format_count(jobs, "job has", "jobs have") if jobs else "Some jobs have"
    return f"{number} {problem} ({rule})" + (f", for instance {example}" if example else "")


class SourceFinding(NamedTuple):
    """Describe one row of ``load_check_failures``.

    Attributes:
        rule: The name of the check.
        problem: What the jobs have, in words.
        jobs: Number of these jobs; 0 if they were not counted.
        example: The id of one of them; None if they were not counted.
    """

    rule: str
    problem: str
    jobs: int = 0
    example: str | None = None

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        return f"{format_finding(self.rule, self.problem, self.jobs, self.example)}."
