"""Learn the code of undocumented state words by asking for jobs of each state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.classify import FATAL
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.listing import ListingReader
from avepoint_m365.extract.window import Selection, Window
from avepoint_m365.parse.states import ENDED, IN_PROGRESS, fold

CODES = range(1, 6)
"""Values of jobState; each is asked for once a day at most, while a word is unknown."""


def is_known_word(word: str | None) -> bool:
    """Return whether a state word is documented, or is one of the codes 1 to 5."""
    return fold(word) in IN_PROGRESS | ENDED


def learn(reader: ListingReader, words: Iterable[str], known: Mapping[str, int], window: Window) -> dict[str, int]:
    """Return the codes of unknown state words, by one request for each state.

    Args:
        reader: Sends the probes.
        words: The words, known ones included.
        known: Words that were learned before.
        window: A range that holds jobs with these words.

    Raises:
        SourceError: if no further request can succeed.
    """
    unknown = {word for word in words if word not in known and not is_known_word(word)}
    if not unknown:
        return {}
    codes: dict[str, set[int]] = {}
    for code in CODES:
        for word in _words(reader, Selection(window, job_state=code)) & unknown:
            codes.setdefault(word, set()).add(code)
    # A word that two states show was not filtered: the API ignores jobState.
    return {word: next(iter(states)) for word, states in codes.items() if len(states) == 1}


def _words(reader: ListingReader, selection: Selection) -> set[str]:
    """Return the state words of the first jobs of a selection."""
    try:
        jobs = deduplicate_latest([reader.probe(selection, page_size=reader.paging.page_size)])
    except SourceError as error:
        if error.kind in FATAL:
            raise
        return set()
    return {word for word in jobs["state"].to_pylist() if word}
