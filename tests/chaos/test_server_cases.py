"""Test servers that differ from the documentation: nothing is lost, mislabelled or silently wrong."""

import os
from pathlib import Path

import pytest

from tests.support.servers import USUAL, VARIATIONS
from tests.support.servers.bench import play
from tests.support.servers.form import Case

EVERY = int(os.environ.get("M365_JOBS_VARIATIONS_EVERY", "1"))
"""Distance between two variations that are tried beside the usual servers: 1 tries all, 3 every third."""


@pytest.mark.parametrize("case", [*USUAL, *VARIATIONS[::EVERY]], ids=str)
def test_a_server_like_this_loses_mislabels_and_hides_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, case, monkeypatch)
