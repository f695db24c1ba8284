"""Add up the numbers and messages of a load, for its last lines and its row in ``load_runs``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from avepoint_m365 import Progress
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.reconciliation import Reconciliation
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.rows import MAX_DETAIL_LENGTH

from m365_jobs.errors.exceptions import INCOMPLETE
from m365_jobs.load.data_checks import CheckFailure
from m365_jobs.text import format_count


@dataclass
class Summary:
    """Hold the numbers and messages of a load.

    Attributes:
        run_id: The id of the load.
        tenant: The tenant's label.
        warehouse: The address of the warehouse, without secrets.
        dataset: The dataset in it.
        new: Jobs that the warehouse did not hold.
        changed: Jobs that differ from the warehouse's row.
        unchanged: Jobs that were read and are the same in the warehouse.
        states: Number of jobs that were read, by state.
        incomplete: A line for each listing, comparison or companion that is not complete, without its full stop.
        findings: A line for each row of ``load_check_failures``.
        source_findings: The newest finding of the source, by rule.
        wrote: Whether the load wrote more than log rows.
        requests: Attempts of requests.
        retries: Requests that were repeated.
        seconds: Duration of the load in seconds.
        periods: Comparisons with the API's totals.
    """

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
    source_findings: dict[str, SourceFinding] = field(default_factory=dict)
    wrote: bool = False
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    periods: list[Reconciliation] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Return the status as in ``load_runs``."""
        return "incomplete" if self.incomplete else "complete"

    @property
    def detail(self) -> str | None:
        """Return what is not proved complete, as in ``load_runs``; None if all is."""
        return "; ".join(self.incomplete)[:MAX_DETAIL_LENGTH] or None

    @property
    def exit_code(self) -> int:
        """Return 0, or 3 if something is not proved complete."""
        return INCOMPLETE if self.incomplete else 0

    def add(self, progress: Progress) -> None:
        """Add the result of a chunk."""
        result = progress.result
        assert result is not None
        self.new += len(result.new)
        self.changed += result.jobs.num_rows - len(result.new)
        self.unchanged += result.unchanged
        self.states.update(result.states)
        self.retries += sum(listing.retries for listing in result.listings)
        # The finding of a later chunk counts the jobs of earlier chunks as well.
        self.source_findings |= {finding.rule: finding for finding in result.findings}
        self.note_incomplete(result)
        self.periods += result.reconciliations
        self.add_incomplete(
            _period(part) for part in result.reconciliations if part.kind == "verify" and not part.proof
        )

    def note_incomplete(self, result: ChunkResult) -> None:
        """Add a line for each listing that is not proved complete."""
        self.add_incomplete(_line(listing) for listing in result.listings if not listing.complete)

    def add_incomplete(self, lines: Iterable[str]) -> None:
        """Add lines about what is not complete, unless they were added before."""
        # Messages join the lines and end them with a full stop of their own.
        self.incomplete += [part for line in lines if (part := line.removesuffix(".")) not in self.incomplete]

    def source_failures(self, companion_findings: Iterable[SourceFinding] = ()) -> list[CheckFailure]:
        """Return the findings of the source, and those of companions, as rows of ``load_check_failures``."""
        now = datetime.now(UTC)
        return [
            CheckFailure(self.run_id, self.tenant, finding.rule, finding.problem, finding.jobs, finding.example, now)
            for finding in (*self.source_findings.values(), *companion_findings)
        ]


def _line(listing: Listing) -> str:
    total = listing.reported_total if listing.reported_total is not None else "?"
    reason = f"; {listing.detail}" if listing.detail else ""
    return f"{listing.selection}: {format_count(len(listing.ids), 'job')} found, {total} reported{reason}"


def _period(row: Reconciliation) -> str:
    start, end = row.period
    counts = f"API {row.api_total if row.api_total is not None else '?'}, warehouse {row.warehouse_jobs}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: {counts}; {row.detail}"
