"""Read the first chunk of a load before dlt is set up; a load with nothing new needs no more.

State and known jobs come from the warehouse. dlt's folder of the pipeline is neither read nor changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import dlt
from avepoint_m365 import Progress, extraction_of
from avepoint_m365.companions.timing import due
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.state import SourceState
from dlt.common.versioned_state import decompress_state
from dlt.extract.incremental.context import TimeIntervalContext, get_interval_context

from m365_jobs.load import pending
from m365_jobs.load.known_jobs import WarehouseLookup
from m365_jobs.schema import SCHEMA
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.target import lacks_file


class Prefetched(NamedTuple):
    """Hold the first chunk of a load.

    Attributes:
        scope: The scope of the load (``ExtractOptions.scope``).
        before: The state of the warehouse from which the chunk continues.
        result: The result of the chunk.
    """

    scope: str
    before: SourceState
    result: ChunkResult

    @property
    def has_nothing_new(self) -> bool:
        """Return whether the load writes log rows only."""
        result = self.result
        return not result.has_rows and result.state == self.before and not result.chunk_end

    def continues(self, stored: Mapping[str, object]) -> bool:
        """Return whether the chunk continues from dlt's state of the source; false if another load has changed it."""
        return SourceState.load(stored, self.scope) == self.before


def prefetch(
    pipeline: dlt.Pipeline,
    tenant: str,
    settings: Mapping[str, Any],
    progress: Progress,
    notify: Notify,
    writing: ExitStack,
) -> Prefetched | None:
    """Return the first chunk of a load; None if the load needs dlt in any case.

    It does if it is the tenant's first, the first of a day (companions), or follows an interrupted load. So does a load
    in the interval of an external scheduler.

    Args:
        pipeline: The pipeline of the load; the load holds the tenant's lease.
        tenant: The tenant's label.
        settings: Every parameter of the source by name.
        progress: The progress of the load, which this updates.
        notify: Receives lines for the user.
        writing: Holds a DuckDB file open after the last request.

    Raises:
        SourceError: if nothing could be read.
    """
    context = get_interval_context() or TimeIntervalContext()
    if lacks_file(pipeline) or (context.allow_external_schedulers and context.interval):
        return None
    if pending.has_pending(pipeline):
        return None
    lookup = WarehouseLookup(pipeline, tenant, notify, writing)
    with lookup.connected():
        stored = pending.stored_state(pipeline)
        if stored is None or not lookup.was_loaded():
            return None
    state: dict[str, Any] = decompress_state(stored.state).get("sources", {}).get(SCHEMA, {})
    is_range = settings["since"] is not None or settings["verify_since"] is not None
    if not state or (not is_range and due(settings["include"], state)):
        return None
    extraction = extraction_of({**settings, "lookup": lookup}, progress)
    scope = extraction.options.scope
    before = SourceState.load(state, scope)
    result = extraction.read(before)
    progress.end_chunk(result)
    return Prefetched(scope, before, result)
