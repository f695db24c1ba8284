"""Test each fault of a network or server at each request of a load: the end of that load, and of the next."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.support.fault_cases import (
    ATTEMPTS,
    LONGEST_WAIT,
    REQUESTS,
    case,
    check_end,
    check_recovery,
    undisturbed,
)
from tests.support.hostile import FATAL, KINDS, NETWORK, REPEATED, SENT, TIMED, EachOnce, at, since, staying

STARTS = (1, 2, 12, 15, 18, 21, 25)
"""Requests from which all requests fail: a token, companions, the first one for jobs, probes, job types, the last."""

Property = Callable[[str, object], None]


def timeout_of(kind: str) -> float | None:
    return 1.0 if kind in TIMED else None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load a tenant over TLS, and return its folder."""
    folder = tmp_path_factory.mktemp("loaded") / "case"
    assert undisturbed(folder).requests == REQUESTS
    return folder


@pytest.mark.parametrize("later", [False, True], ids=["first load", "later load"])
@pytest.mark.parametrize("kind", REPEATED)
def test_each_request_fails_once_and_its_repetition_does_not(
    tmp_path: Path, loaded: Path, kind: str, later: bool, record_property: Property
) -> None:
    with case(tmp_path, tls=kind in NETWORK, copied=loaded if later else None) as hit:
        ended = hit.load_with(EachOnce(kind), kind in NETWORK, timeout_of(kind))
        assert ended.exit_code == 0, ended.messages
        assert hit.contents() == hit.shown()
        met = ended.requests if kind in NETWORK else ended.requests // 2
        if not later:
            assert met == REQUESTS
        assert len(ended.waited) == met
        assert max(ended.waited) <= LONGEST_WAIT
        check_recovery(hit)
    record_property("survived", met)


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
@pytest.mark.parametrize("kind", FATAL)
def test_a_single_request_fails_in_a_way_that_is_not_repeated(
    tmp_path: Path, kind: str, number: int, record_property: Property
) -> None:
    with case(tmp_path) as hit:
        ended = hit.load_with(at(kind, number))
        check_end(ended)
        if ended.exit_code == 0:
            assert hit.contents() == hit.shown()
        check_recovery(hit)
    record_property("survived" if ended.exit_code == 0 else "refused", 1)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        *zip((kind for kind in KINDS if kind not in TIMED), cycle(STARTS), strict=False),
        *((kind, REQUESTS) for kind in TIMED),
    ],
)
def test_everything_fails_from_a_request_on(tmp_path: Path, kind: str, number: int, record_property: Property) -> None:
    with case(tmp_path, tls=kind in NETWORK) as hit:
        ended = hit.load_with(since(kind, number), kind in NETWORK, timeout_of(kind))
        check_end(ended)
        check_recovery(hit)
    record_property("survived" if ended.exit_code == 0 else "refused", 1)


PLACES = {
    "object type": ({"objecttype": "7"}, "teams"),
    "location": ({"location": "EUR", "path": "/backup/m365/jobs"}, "EUR"),
    "job type": ({"jobtype": "2"}, "restore"),
    "licences": ({"path": "/backup/m365/cloudbackuplicenseconsumption"}, "licenses"),
    "settings": ({"path": "/backup/m365/settings/retention-policy"}, "retention"),
    "token of a companion": ({"scope": "microsoft365backup.settings.read.all"}, "schedule"),
}
"""Requests at which a fault stays, and the word in the messages that names their place."""


STAYING = [kind for kind in SENT if kind not in (*TIMED, "204", "null instead of jobs")]
"""Faults that stay at a place. The last two are left out: a server that always sends them says that it has no jobs."""


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, place) for kind in STAYING for place in ("object type", "location", "licences")),
        *zip(STAYING, cycle(("job type", "settings", "token of a companion")), strict=False),
        *((kind, "settings") for kind in TIMED),
    ],
)
def test_a_fault_that_stays_at_one_place_lets_the_rest_load(
    tmp_path: Path, kind: str, place: str, record_property: Property
) -> None:
    where, name = PLACES[place]
    with case(tmp_path, multi_geo=True) as hit:
        ended = hit.load_with(staying(kind, **where), timeout=timeout_of(kind))
        assert ended.exit_code == 3, ended.messages
        assert name in ended.messages
        assert ended.requests <= 2 * ATTEMPTS * REQUESTS
        result, shown = hit.contents(), hit.shown()
        assert set(result) <= set(shown)
        if place not in ("object type", "location", "job type"):
            assert result == shown
        elif place == "object type":
            assert {row for row in result if result[row][1] == "exchange_online"} == {
                row for row in shown if shown[row][1] == "exchange_online"
            }
        check_recovery(hit)
    record_property("refused", 1)
