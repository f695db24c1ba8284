"""Test a first load into a new DuckDB file: its first rows create it, and what would fail is refused before."""

from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from avepoint_simulator import Simulator, World, make_world

from tests.support.cli import NOW
from tests.support.truth import in_warehouse, on_server
from tests.support.warehouse import Warehouse

FILE = Path("m365_warehouse.duckdb")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    return make_world(20, seed=2, now=NOW)


def test_the_file_is_opened_only_after_the_last_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, opened = duckdb.connect, list[int]()
    with Simulator(world) as simulator:

        def counting(*arguments: Any, **named: Any) -> Any:
            opened.append(len(simulator.asked))
            return connect(*arguments, **named)

        monkeypatch.setattr(duckdb, "connect", counting)
        Warehouse("duckdb").load(simulator)
        assert set(opened) == {len(simulator.asked)}
    assert in_warehouse(FILE) == on_server(world, False)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("CREDENTIALS", "no/such/folder/w.duckdb", "No such file or directory"),
        ("CREDENTIALS", "link.duckdb", "No such file or directory"),
        ("CREDENTIALS__PRAGMAS", '["no_such_pragma"]', "no_such_pragma"),
        ("CREDENTIALS__EXTENSIONS", '["no_such_extension"]', "no_such_extension"),
        ("CREDENTIALS__GLOBAL_CONFIG", '{"no_such_setting": 1}', "no_such_setting"),
        ("CREDENTIALS__LOCAL_CONFIG", '{"no_such_setting": 1}', "no_such_setting"),
        ("CREDENTIALS__STATEMENTS", "[\"ATTACH 'no/such/file' AS other\"]", "no/such/file"),
        ("CREDENTIALS__SESSION_TIMEZONE", "Atlantis/Capital", "Atlantis/Capital"),
    ],
)
def test_what_prevents_creating_or_opening_the_file_is_refused_before_any_request(
    world: World, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, message: str
) -> None:
    Path("link.duckdb").symlink_to("no/such/folder/w.duckdb")
    monkeypatch.setenv(f"DESTINATION__DUCKDB__{setting}", value)
    with Simulator(world) as simulator:
        with pytest.raises(Exception, match=message):
            Warehouse("duckdb").load(simulator)
        assert simulator.asked == []


@pytest.mark.parametrize("next_file", ["same", "another"])
@pytest.mark.usual(1)
def test_a_first_load_that_ends_before_it_creates_the_file_is_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch, next_file: str
) -> None:
    def breaks_off(*arguments: Any, **named: Any) -> None:
        raise OSError("the power went")

    place = Warehouse("duckdb")
    with Simulator(world) as simulator:
        with monkeypatch.context() as broken:
            broken.setattr(dlt.Pipeline, "normalize", breaks_off)
            with pytest.raises(OSError, match="the power went"):
                place.load(simulator)
        assert not FILE.exists()
        if next_file == "another":
            monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "other.duckdb")
        place.load(simulator)
        again = "An earlier load was interrupted while it read; reading that again."
        dropped = (
            "Dropping what an interrupted load had read for another warehouse; that one's next load reads it again."
        )
        assert place.messages == [again if next_file == "same" else dropped]
        assert place.contents() == on_server(world, False)
        assert FILE.exists() == (next_file == "same")


def test_cursors_of_another_warehouse_do_not_reach_a_new_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Warehouse("duckdb")
    with Simulator(world) as simulator:
        place.load(simulator)
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "other.duckdb")
        place.load(simulator)
    assert place.contents() == on_server(world, False)
    assert place.messages == []
