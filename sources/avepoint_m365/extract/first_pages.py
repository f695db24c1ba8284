"""Read the first pages of several selections; one that fails does not keep the others from being loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import FATAL
from avepoint_m365.extract.complete import finish_completely
from avepoint_m365.extract.limits import REFUSALS
from avepoint_m365.extract.listing import Listing, ListingReader, StartedListing
from avepoint_m365.extract.window import Selection


@dataclass
class FirstPages:
    """Read the first pages of a chunk.

    A selection that failed is not asked for again, since each attempt costs all its retries.
    """

    reader: ListingReader
    _failures: dict[tuple[object, object], SourceError] = field(default_factory=dict)

    def begin_all(self, selections: Sequence[Selection], page_size: int | None = None) -> list[StartedListing]:
        """Return the started listings, those that failed last.

        Raises:
            SourceError: if none can be read, no further request can succeed, or the server refuses the range.
        """
        begin = [self._begin(selection, page_size) for selection in selections]
        started = self.reader.pool.side_by_side(begin)
        if all(listing.failure for listing in started):
            raise next(listing.failure for listing in started if listing.failure)
        return sorted(started, key=lambda listing: listing.failure is not None)

    def finish(self, started: StartedListing) -> Callable[[], list[Listing]]:
        """Return what reads a started listing to its end; one that failed is returned unchanged."""
        if started.failure:
            return lambda: [started.listing]
        return lambda: finish_completely(self.reader, self.reader.finish(started))

    def readable(self, selections: Sequence[Selection]) -> list[Selection]:
        """Return the selections that have not failed."""
        return [selection for selection in selections if _key(selection) not in self._failures]

    def _begin(self, selection: Selection, page_size: int | None) -> Callable[[], StartedListing]:
        def begin() -> StartedListing:
            error = self._failures.get(_key(selection))
            if error is None:
                try:
                    return self.reader.begin(selection, page_size)
                except SourceError as caught:
                    if caught.kind in FATAL or isinstance(caught, REFUSALS):
                        raise
                    error = self._failures[_key(selection)] = caught
            return self.reader.failed(selection, error)

        return begin


def _key(selection: Selection) -> tuple[object, object]:
    return selection.object_type, selection.location
