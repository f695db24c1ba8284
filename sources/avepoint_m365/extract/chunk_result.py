"""Define the result of a chunk: the rows to write, and the state to keep once they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from avepoint_m365.extract.known import Change
from avepoint_m365.extract.labels import Labels, no_labels
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.reconciliation import Reconciliation
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.extract.window import Window
from avepoint_m365.state import SourceState


@dataclass
class ChunkResult:
    """Hold the rows of a chunk, and the state to keep once they are written.

    Attributes:
        window: The window of the chunk.
        jobs: New and changed jobs (``FRAME``), each once; their ids alone after ``keep_ids_only``.
        state: The state to keep once the rows are written.
        labels: The labels of all jobs that were read.
        first_seen: When a load first read a job that the warehouse holds (UTC), by job id.
        new: Ids of the jobs that the warehouse did not hold.
        unchanged: Number of jobs that were read and are the same in the warehouse.
        states: Number of jobs that were read, by state.
        listings: All listings of the chunk, for ``load_audit``.
        findings: Rows of ``load_check_failures``.
        changes: Rows of ``job_changes``.
        reconciliations: Rows of ``reconciliations``.
        state_words: Codes of state words that this chunk learned, by word.
        chunk_end: The end of the chunk (UTC) if further chunks follow; None for the last.
        complete: Whether every listing is proved complete.
        in_progress: Ids of the jobs that have not ended.
    """

    window: Window
    jobs: pa.Table
    state: SourceState
    labels: Labels = field(default_factory=no_labels)
    first_seen: dict[str, datetime] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    unchanged: int = 0
    states: dict[str, int] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    reconciliations: list[Reconciliation] = field(default_factory=list)
    state_words: dict[str, int] = field(default_factory=dict)
    chunk_end: datetime | None = None
    complete: bool = True
    in_progress: set[str] = field(default_factory=set)

    @property
    def has_rows(self) -> bool:
        """Return whether jobs or learned words are to be written."""
        return bool(self.jobs.num_rows or self.state_words)

    def keep_ids_only(self) -> None:
        """Drop the jobs and keep their ids, once their rows are yielded. The destination needs the memory then."""
        self.jobs = self.jobs.select(["id"])
        for listing in self.listings:
            listing.drop_jobs()
