"""Read the first pages of several selections; the others are still loaded if one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.complete import finish_completely
from avepoint_m365.extract.limits import REFUSALS
from avepoint_m365.extract.listing import Listing, StartedListing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import DAY, Selection


@dataclass
class FirstPages:
    """Read the first pages of a chunk; a selection that failed is not requested again.

    Each further attempt would cost all its retries.
    """

    reader: ListingReader
    confirmed_no_list: bool = False
    """Whether a page without a list of jobs was requested again, and had none again."""
    _failures: dict[tuple[object, object], SourceError] = field(default_factory=dict)

    def begin_all(
        self, selections: Sequence[Selection], page_size: int | None = None, confirms_no_list: bool = False
    ) -> list[StartedListing]:
        """Return the started listings, those that failed last.

        ``confirms_no_list``: a page without a list of jobs (204, or null) is requested once more. A service that fails
        once may respond so, and its jobs would be missing until the next reconciliation.

        Raises:
            SourceError: if none can be read, no further request can succeed, or the server refuses the range.
        """
        begin = [self._begin(selection, page_size, confirms_no_list) for selection in selections]
        started = self.reader.pool.run_parallel(begin)
        failures = [listing.failure for listing in started if listing.failure]
        refused = [listing for listing in started if isinstance(listing.failure, REFUSALS)]
        if len(failures) == len(started):
            refusals = [failure for failure in failures if isinstance(failure, REFUSALS)]
            raise (refusals or failures)[0]
        for listing in refused:
            self._record_refusal(listing)
        return sorted(started, key=lambda listing: listing.failure is not None)

    def _record_refusal(self, refused: StartedListing) -> None:
        """Record that the server refuses a selection over any range, as one day shows, while it accepts others.

        Raises:
            SourceError: if the server accepts one day, so that the refused range is too long.
        """
        selection, error = refused.listing.selection, refused.failure
        assert error is not None
        if _key(selection) in self._failures:
            return
        window = selection.window
        if window.length > DAY:
            try:
                self.reader.probe(selection.over(window.since(window.query_end - DAY)))
            except REFUSALS:
                pass
            else:
                raise error
        self._failures[_key(selection)] = error

    def finish(self, started: StartedListing) -> Callable[[], list[Listing]]:
        """Return a function that reads a started listing to its end, or returns one that failed unchanged."""
        if started.failure:
            return lambda: [started.listing]
        return lambda: finish_completely(self.reader, self.reader.finish(started))

    def readable(self, selections: Sequence[Selection]) -> list[Selection]:
        """Return those of the selections that have not failed."""
        return [selection for selection in selections if _key(selection) not in self._failures]

    def _begin(
        self, selection: Selection, page_size: int | None, confirms_no_list: bool
    ) -> Callable[[], StartedListing]:
        def begin() -> StartedListing:
            error = self._failures.get(_key(selection))
            if error is None:
                try:
                    started = self.reader.begin(selection, page_size)
                    if confirms_no_list and started.listing.has_no_list:
                        started = self.reader.begin(selection, page_size)
                        self.confirmed_no_list |= started.listing.has_no_list
                    return started
                except SourceError as failure:
                    if failure.ends_load:
                        raise
                    error = failure
                    if not isinstance(failure, REFUSALS):
                        self._failures[_key(selection)] = failure
            return self.reader.failed(selection, error)

        return begin


def _key(selection: Selection) -> tuple[object, object]:
    return selection.object_type, selection.location
