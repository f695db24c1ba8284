"""Look before dlt is set up, which is all that a load with nothing new needs.

dlt's folder of the pipeline is neither read nor changed: state and jobs come from the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dlt
from avepoint_m365 import Progress, extraction_of
from avepoint_m365.companions.source import due
from avepoint_m365.extract.options import ChunkResult
from avepoint_m365.state import SourceState
from dlt.common.versioned_state import decompress_state
from dlt.extract.incremental.context import TimeIntervalContext, get_interval_context

from m365_jobs.load import pending
from m365_jobs.load.known_jobs import WarehouseLookup
from m365_jobs.locks.base import Notify
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.contract import SCHEMA


@dataclass(frozen=True)
class QuickLook:
    """Hold what a look brought.

    Attributes:
        before: The state that the look went on from.
        outcome: What it brought.
    """

    before: SourceState
    outcome: ChunkResult

    @property
    def is_nothing_new(self) -> bool:
        """Return whether there is nothing to write but the record of the look."""
        outcome = self.outcome
        return not outcome.has_rows and outcome.state == self.before and not outcome.chunk_end

    def goes_on_from(self, state: SourceState) -> bool:
        """Return whether the outcome holds for a warehouse with another copy of the state."""
        return state == self.before


def quick_look(
    pipeline: dlt.Pipeline, tenant: str, settings: Mapping[str, Any], progress: Progress, notify: Notify
) -> QuickLook | None:
    """Return the result of a look; None if a load has more to do than to look.

    Such are a first load, a load after an interruption and the first of a day (companions).
    A load in the interval of an external scheduler is one as well.

    Args:
        pipeline: The pipeline of the load, whose lease is taken.
        tenant: The tenant's label.
        settings: Every parameter of the source by name.
        progress: Kept up to date meanwhile.
        notify: Receives lines for the user.

    Raises:
        SourceError: if nothing could be read.
    """
    file, context = warehouse.duckdb_file(pipeline), get_interval_context() or TimeIntervalContext()
    if (file and not file.exists()) or (context.allow_external_schedulers and context.interval):
        return None
    if pending.is_any(pipeline):
        return None
    lookup = WarehouseLookup(pipeline, tenant, notify)
    with lookup.connected():
        stored = pending.stored_state(pipeline)
        if stored is None or not lookup.was_loaded():
            return None
    state: dict[str, Any] = decompress_state(stored.state).get("sources", {}).get(SCHEMA, {})
    is_range = settings["since"] is not None or settings["verify_since"] is not None
    if not state or (not is_range and due(settings["include"] or "auto", state)):
        return None
    extraction = extraction_of({**settings, "lookup": lookup}, progress)
    before = SourceState.load(state, extraction.options.scope)
    outcome = extraction.read(before)
    progress.end_chunk(outcome)
    return QuickLook(before, outcome)
