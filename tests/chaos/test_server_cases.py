"""Test servers that differ from the documentation: nothing is lost, mislabelled or silently wrong.

These rows represent each kind; ``tests/chaos/test_server_variations.py`` has the others.
"""

from pathlib import Path

import pytest

from tests.support.servers import USUAL
from tests.support.servers.bench import play
from tests.support.servers.form import Case


@pytest.mark.parametrize("case", USUAL, ids=str)
def test_a_server_like_this_loses_mislabels_and_hides_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, case, monkeypatch)
