"""Extract a tenant, chunk by chunk, over one client."""

from __future__ import annotations

from contextlib import closing

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import Params
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_reader import read_chunk
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.known import Lookup
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.progress import Progress
from avepoint_m365.extract.window import Interval
from avepoint_m365.state import SourceState


class Extraction:
    """Read a tenant, chunk by chunk; each call of ``read`` is one chunk."""

    def __init__(
        self, client: JobsClient, options: ExtractOptions, progress: Progress, lookup: Lookup | None = None
    ) -> None:
        """Keep ``lookup``, the access to the warehouse; without it every job counts as unknown."""
        self.options, self.lookup = options, lookup
        self._client, self._progress = client, progress

    def read(self, state: SourceState, interval: Interval | None = None) -> ChunkResult:
        """Return the new and changed jobs of the next chunk.

        Args:
            state: The state that the last load kept.
            interval: The range (UTC) of an external scheduler; None for an incremental load.

        Raises:
            SourceError: if nothing could be read.
        """
        if self.lookup is not None:
            self._client.before_request = self.lookup.release
        # Sessions of requests hold each other, so connections would stay open until Python breaks up such circles.
        with closing(self._client), RequestPool(self._request_page, self._client.concurrency) as pool:
            try:
                return read_chunk(Chunk(self._client, self.options, self.lookup, state, interval, pool))
            except KeyboardInterrupt:
                # Python interrupts the main thread only; the pool waits for its own.
                self._client.stats.interrupted.set()
                raise

    def over(self, options: ExtractOptions, lookup: Lookup | None) -> Extraction:
        """Return an extraction with the same client, and with these options and this lookup."""
        return Extraction(self._client, options, self._progress, lookup)

    def _request_page(self, params: Params) -> JobsPage:
        page = self._client.request_page(params)
        self._progress.add_page(page)
        return page
