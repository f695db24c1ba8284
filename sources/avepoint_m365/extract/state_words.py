"""Learn the codes of undocumented state words from listings with the filter ``jobState``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.states import ENDED, IN_PROGRESS, fold

STATE_CODES = range(1, 6)
"""Values of the parameter jobState in the vendor's reference."""


def is_known_state_word(word: str | None) -> bool:
    """Return whether a state word is documented, or one of the codes 1 to 5."""
    return fold(word) in IN_PROGRESS | ENDED


def learn_state_codes(
    reader: ListingReader, words: Iterable[str], known: Mapping[str, int], window: Window
) -> dict[str, int]:
    """Return the codes of unknown state words, by one request for each of the five codes.

    Args:
        reader: Sends the probes.
        words: State words of the jobs in ``window``, known ones included.
        known: Words that were learned before, with their codes.
        window: A range that holds jobs with these words.

    Raises:
        SourceError: if no further request can succeed.
    """
    unknown = {word for word in words if word not in known and not is_known_state_word(word)}
    if not unknown:
        return {}
    codes: dict[str, list[int]] = {}
    for code in STATE_CODES:
        for word in _state_words(reader, Selection(window, job_state=code)) & unknown:
            codes.setdefault(word, []).append(code)
    # The API may ignore jobState. Then a word comes with several codes, and none of them is proved.
    return {word: word_codes[0] for word, word_codes in codes.items() if len(word_codes) == 1}


def _state_words(reader: ListingReader, selection: Selection) -> set[str]:
    """Return the state words on the first page of a selection; none if it cannot be read.

    Raises:
        SourceError: if no further request can succeed.
    """
    try:
        jobs = deduplicate_latest([reader.probe(selection, page_size=reader.paging.page_size)])
    except SourceError as error:
        if error.ends_load:
            raise
        return set()
    return {word for word in jobs["state"].to_pylist() if word}
