"""Report the progress of a load to other threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from avepoint_m365.api.page import JobsPage
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.extract.chunk_result import ChunkResult


@dataclass
class Progress:
    """Report the progress of a load; read it from any thread while the load works.

    Attributes:
        jobs: Jobs read so far.
        expected: Jobs of all chunks so far, by the first total that the API reports for each; None without a total.
        reading: Whether requests are still being sent.
        stats: Attempts of requests, and the reason of the current wait.
        result: The result of the last chunk, once it is read.
        chunk_end: The end of that chunk (UTC), if further chunks follow.
        prefetched: A chunk that was read before dlt was set up, and is still to be handed to dlt.
        appends: Whether jobs, details and errors are appended: it is the tenant's first load, and all are new.
    """

    jobs: int = 0
    expected: int | None = None
    reading: bool = True
    stats: RequestStats = field(default_factory=RequestStats)
    result: ChunkResult | None = None
    chunk_end: datetime | None = None
    prefetched: ChunkResult | None = None
    appends: bool = False
    _seen: set[str] = field(default_factory=set)
    _jobs_before: int = 0
    _lock: Lock = field(default_factory=Lock)

    def add_page(self, page: JobsPage) -> None:
        """Count the jobs of a page, each once."""
        with self._lock:
            if self.expected is None and page.info.total is not None:
                self.expected = self._jobs_before + page.info.total
            self._seen.update(page.info.ids)
            self.jobs = self._jobs_before + len(self._seen)

    def begin_chunk(self) -> None:
        """Start to count another chunk."""
        self._jobs_before, self._seen = self.jobs, set()
        self.expected = self.result = self.chunk_end = None
        self.reading = True

    def take_prefetched(self) -> ChunkResult | None:
        """Return the chunk that was read before dlt was set up, and forget it; None without one."""
        prefetched, self.prefetched = self.prefetched, None
        return prefetched

    def end_chunk(self, result: ChunkResult) -> None:
        """Keep the result of a chunk."""
        self.result, self.chunk_end, self.reading = result, result.chunk_end, False
