"""Read the first pages of several selections; one that fails does not keep the others from being loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import FATAL
from avepoint_m365.extract.complete import finish_completely
from avepoint_m365.extract.limits import DAY, REFUSALS
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
        failures = [listing.failure for listing in started if listing.failure]
        refusals = [listing for listing in started if isinstance(listing.failure, REFUSALS)]
        if len(failures) == len(started):
            raise refusals[0].failure if refusals and refusals[0].failure else failures[0]
        for listing in refusals:
            self._blame_the_selection(listing)
        return sorted(started, key=lambda listing: listing.failure is not None)

    def _blame_the_selection(self, refused: StartedListing) -> None:
        """Note that a selection fails by itself: others may be read over the same range, and it over no range at all.

        Raises:
            SourceError: if the server accepts a shorter range, so that ranges are to be cut.
        """
        selection, error = refused.listing.selection, refused.failure
        assert error is not None
        if _key(selection) in self._failures:
            return
        window = selection.window
        if window.length > DAY:
            try:
                self.reader.probe(selection.over(window.since(window.asked_end - DAY)))
            except REFUSALS:
                pass
            else:
                raise error
        self._failures[_key(selection)] = error

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
                    if caught.kind in FATAL:
                        raise
                    error = caught
                    if not isinstance(caught, REFUSALS):
                        self._failures[_key(selection)] = caught
            return self.reader.failed(selection, error)

        return begin


def _key(selection: Selection) -> tuple[object, object]:
    return selection.object_type, selection.location
