"""Test that missing, foreign and damaged files are reported with the cure, and that the next load succeeds."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import NewUser
from tests.support.truth import in_warehouse, on_server

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": lambda item: b"this is no database" * 1000,
    "half of it": lambda item: item[: len(item) // 2],
}


@pytest.mark.usual(1)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_duckdb_file_is_reported_and_not_changed(
    simulator: Simulator, new_user: NewUser, damage: str
) -> None:
    user, messages = (
        new_user(simulator),
        r"file of the warehouse is damaged, or of another program: (?!Connection with).* Restore",
    )
    file = user.folder / "m365_warehouse.duckdb"
    user.run("load")
    whole = file.read_bytes()
    simulator.world.advance(timedelta(hours=8))
    damaged = DAMAGES[damage](whole)
    file.write_bytes(damaged)
    assert re.search(messages, user.run("load", code=1).stderr)
    assert file.read_bytes() == damaged
    file.write_bytes(whole)
    user.run("load")
    assert in_warehouse(file) == on_server(simulator.world, False)


def test_a_damaged_file_that_is_moved_away_is_replaced_by_all_that_the_api_has(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    user.run("load")
    file = user.folder / "m365_warehouse.duckdb"
    file.write_bytes(DAMAGES["half of it"](file.read_bytes()))
    user.run("load", code=1)
    file.rename(file.with_suffix(".damaged"))
    user.run("load")
    assert in_warehouse(file) == on_server(simulator.world, False)


@pytest.mark.parametrize("wrong", ["missing", "a folder"])
def test_a_missing_folder_and_a_folder_in_place_of_the_file_are_reported(
    simulator: Simulator, new_user: NewUser, wrong: str
) -> None:
    user = new_user(simulator)
    file = user.folder / "no" / "such" / "folder" / "w.duckdb" if wrong == "missing" else user.folder / "w.duckdb"
    if wrong == "a folder":
        file.mkdir()
    user.environment["DESTINATION__DUCKDB__CREDENTIALS"] = str(file)
    messages = r"missing, or is of the wrong kind: .*w\.duckdb.* destination\.<name>\.credentials"
    assert re.search(messages, user.run("load", code=1).stderr)
    shutil.rmtree(file) if wrong == "a folder" else file.parent.mkdir(parents=True)
    user.run("load")
    assert in_warehouse(file) == on_server(simulator.world, False)


@pytest.mark.destinations
def test_a_lake_path_with_foreign_files_is_reported(simulator: Simulator, new_user: NewUser) -> None:
    user, lake, to = new_user(simulator), "lake", ("--destination", "filesystem")
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = lake
    (user.folder / lake).write_text("a file", encoding="utf-8")
    assert re.search(r"of the wrong kind: .* \.bucket_url", user.run("load", *to, code=1).stderr)
    (user.folder / lake).unlink()
    user.run("load", *to)
    # Delta reads a table from its newest checkpoint, and from the log entries after it.
    log = list((user.folder / lake / "m365_jobs" / "jobs" / "_delta_log").glob("*.*"))
    whole = {file: file.read_bytes() for file in log}
    for file, content in whole.items():
        file.write_bytes(content[: len(content) // 2])
    user.environment["RUST_BACKTRACE"] = "1"
    message = user.run("load", *to, code=1).stderr
    assert re.search(r"is damaged, or of another program: .* Restore a copy", message)
    assert "unknown" not in message
    for file, content in whole.items():
        file.write_bytes(content)
    user.run("load", *to)
    assert f"\n{len(simulator.world.visible())}\n" in user.run(
        "query", "SELECT count(DISTINCT id) AS jobs FROM jobs", "--format", "csv", *to
    ).stdout.replace("\r", "")


def test_an_unusable_dlt_folder_is_reported(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    good, bad = user.environment["DLT_DATA_DIR"], user.folder / "a file"
    bad.write_text("in the way", encoding="utf-8")
    user.environment["DLT_DATA_DIR"] = str(bad)
    assert re.search(
        r"^Error \(internal\): .*a file.* name another folder in DLT_DATA_DIR", user.run("load", code=1).stderr, re.M
    )
    user.environment["DLT_DATA_DIR"] = good
    user.run("load")
    assert in_warehouse(Path(user.folder / "m365_warehouse.duckdb")) == on_server(simulator.world, False)
