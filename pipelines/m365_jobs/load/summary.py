"""Summarize a load in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from avepoint_m365 import Progress
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.options import ChunkResult, Reconciliation, SourceFinding

from m365_jobs.errors.explain import INCOMPLETE
from m365_jobs.load.data_checks import CheckFailure as CheckFailure
from m365_jobs.text import format_count


@dataclass
class Summary:
    """Hold the numbers of a load."""

    run_id: str
    tenant: str
    warehouse: str
    dataset: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    incomplete: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    lasting: dict[str, SourceFinding] = field(default_factory=dict)
    wrote: bool = False
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    periods: list[Reconciliation] = field(default_factory=list)
    """Comparisons with the API's totals."""

    @property
    def status(self) -> str:
        """Return the status as in ``load_runs``."""
        return "incomplete" if self.incomplete else "complete"

    @property
    def exit_code(self) -> int:
        """Return 0, or 3 if some listing could not be proved complete."""
        return INCOMPLETE if self.incomplete else 0

    def add(self, progress: Progress) -> None:
        """Add what a chunk brought."""
        result = progress.result
        assert result is not None
        self.new += len(result.new)
        self.changed += result.jobs.num_rows - len(result.new)
        self.unchanged += result.unchanged
        self.states.update(result.states)
        self.retries += sum(listing.retries for listing in result.listings)
        # A later chunk counts what earlier ones brought as well.
        self.lasting |= {finding.rule: finding for finding in result.findings}
        self.note_incomplete(result)
        self.periods += result.reconciliations
        self.incomplete += [
            _period(part) for part in result.reconciliations if part.kind == "verify" and not part.proof
        ]

    def note_incomplete(self, result: ChunkResult) -> None:
        """Keep a line for each listing that could not be proved complete."""
        lines = [_line(listing) for listing in result.listings if not listing.complete]
        self.incomplete += [line for line in lines if line not in self.incomplete]

    def failure(self, rule: str, problem: str, example: str) -> CheckFailure:
        """Return a finding of a companion as a row of ``load_check_failures``."""
        return CheckFailure(self.run_id, self.tenant, rule, problem, 1, example, datetime.now(UTC))

    def lasting_failures(self, found_at: datetime) -> list[CheckFailure]:
        """Return the findings of the load as rows of ``load_check_failures``."""
        return [
            CheckFailure(
                self.run_id, self.tenant, finding.rule, finding.problem, finding.jobs, finding.example, found_at
            )
            for finding in self.lasting.values()
        ]


def _line(listing: Listing) -> str:
    total = listing.reported_total if listing.reported_total is not None else "?"
    reason = f"; {listing.detail}" if listing.detail else ""
    return f"{listing.selection}: {format_count(len(listing.ids), 'job')} found, {total} reported{reason}"


def _period(row: Reconciliation) -> str:
    start, end = row.period
    counts = f"API {row.api_total if row.api_total is not None else '?'}, warehouse {row.warehouse_jobs}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: {counts}; {row.detail}"
