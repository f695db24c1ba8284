"""Test paths of folders, files, datasets and shares, and readers during a load."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from avepoint_simulator import Simulator, make_world

from tests.support.cli import NOW, NewUser
from tests.support.signals import start_command
from tests.support.truth import in_warehouse, on_server


def configure(folder: Path, text: str) -> None:
    (folder / ".dlt").mkdir(parents=True, exist_ok=True)
    (folder / ".dlt" / "secrets.toml").write_text(text, encoding="utf-8")


@pytest.mark.usual(1)
@pytest.mark.parametrize(
    ("section", "to", "file"),
    [
        ('[destination.duckdb]\ncredentials = "store.duckdb"\n', (), "store.duckdb"),
        (
            '[destination.archive]\ndestination_type = "duckdb"\ncredentials = "a/../old.duckdb"\n',
            "archive",
            "old.duckdb",
        ),
        ('[destination.filesystem]\nbucket_url = "lake"\n', "filesystem", "lake/m365_jobs/jobs"),
    ],
)
def test_the_same_relative_path_in_two_folders_means_two_warehouses(
    simulator: Simulator, new_user: NewUser, section: str, to: str, file: str
) -> None:
    """Test that each folder has its own warehouse: a load must not write into that of the other folder."""
    user = new_user(simulator)
    arguments = ("--destination", to) if to else ()
    first, second = user.folder / "first", user.folder / "second"
    for folder in (first, second):
        configure(folder, section)
        (folder / "a").mkdir()
    user.folder = first
    user.run("load", *arguments)
    with Simulator(make_world(60, seed=9, now=NOW)) as other:
        user.folder = second
        user.set(base_url=other.base_url, token_url=other.token_url)
        user.set(credentials__client_id=other.client_id, credentials__client_secret=other.client_secret)
        user.run("load", *arguments)
        for folder, server in ((first, simulator), (second, other)):
            user.folder = folder
            assert (folder / file).exists()
            message = user.run("query", "SELECT count(*) AS jobs FROM jobs", "--format", "csv", *arguments).stdout
            assert message.split() == ["jobs", str(len(server.world.visible()))]


def test_a_relative_path_counts_from_the_folder_of_the_configuration(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    project, elsewhere = user.folder / "project", user.folder / "elsewhere"
    configure(project, '[destination.duckdb]\ncredentials = "data/store.duckdb"\n')
    (project / "data").mkdir()
    elsewhere.mkdir()
    user.environment["DLT_PROJECT_DIR"] = str(project)
    user.folder = elsewhere
    user.run("load")
    assert in_warehouse(project / "data" / "store.duckdb") == on_server(simulator.world, False)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usual(1)
@pytest.mark.parametrize("name", ["Backup-Prod", "backup.prod", "2024jobs", "Sauvegardes été"])
def test_a_dataset_that_dlt_renames_is_read_by_every_command(
    simulator: Simulator, new_user: NewUser, name: str
) -> None:
    """Test that status, health and query read the dataset that loads fill."""
    user, jobs = new_user(simulator), str(len(simulator.world.visible()))
    user.run("load", "--dataset", name)
    assert f"jobs {jobs}" in user.run("status", "--dataset", name).stdout
    assert "no load has been made" not in user.run("health", "--dataset", name, code=4).stdout
    message = user.run("query", "SELECT count(*) AS jobs FROM jobs", "--format", "csv", "--dataset", name).stdout
    assert message.split() == ["jobs", jobs]
    user.run("load", "--dataset", name)


def test_a_file_with_the_name_that_dlt_gives_the_dataset_is_refused(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__DUCKDB__CREDENTIALS"] = "backup_prod.duckdb"
    assert "has the name of the dataset backup_prod" in user.run("load", "--dataset", "Backup-Prod", code=2).stderr
    assert simulator.asked == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (":pipeline:", "which each load empties. Name a file."),
        (":memory:", "is lost when the command ends. Name a file."),
        ("C:\temp\new.duckdb", "Write Windows paths in single quotes"),
        ("what?.duckdb", "DuckDB ends a path at a question mark"),
    ],
)
def test_a_path_that_would_lose_the_warehouse_is_refused_with_the_cure(
    simulator: Simulator, new_user: NewUser, path: str, message: str
) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__DUCKDB__CREDENTIALS"] = path
    for command in ("load", "status"):
        assert message in user.run(command, code=2).stderr
    assert simulator.asked == []


@pytest.mark.usual(1)
@pytest.mark.parametrize("name", ["o'brien", "50% done", "a b", "a#b", "a;b", "a{b}", "Büro", "100%s"])
def test_the_warehouse_may_lie_in_a_folder_of_any_name(simulator: Simulator, new_user: NewUser, name: str) -> None:
    user = new_user(simulator)
    user.folder = user.folder / name
    user.folder.mkdir()
    user.set(object_types='["teams"]')
    for _ in range(2):
        user.run("load")
    jobs = [job for job in simulator.world.visible() if job.object_type == 7]
    message = user.run("query", "SELECT count(*) AS jobs FROM jobs", "--format", "csv").stdout
    assert message.split() == ["jobs", str(len(jobs))]


@pytest.mark.destinations
def test_a_local_lake_may_lie_in_a_folder_of_any_name_but_those_that_delta_cannot_have(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    for name in ("100%25", "a[b", "a]b"):
        user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = str(user.folder / name)
        message = user.run("load", "--destination", "filesystem", code=2).stderr
        assert "which Delta tables cannot have. Name another folder" in " ".join(message.split())
    assert simulator.asked == []
    user.set(object_types='["teams"]')
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = str(user.folder / "o'brien? 50% #1* Büro")
    for _ in range(2):
        user.run("load", "--destination", "filesystem")
    count = ("query", "SELECT count(*) AS jobs FROM jobs", "--format", "csv", "--destination", "filesystem")
    jobs = [job for job in simulator.world.visible() if job.object_type == 7]
    assert user.run(*count).stdout.split() == ["jobs", str(len(jobs))]


@pytest.mark.parametrize("name", ["o'brien", "50% done"])
def test_a_working_folder_that_a_load_cannot_use_is_refused_before_it_starts(
    simulator: Simulator, new_user: NewUser, name: str
) -> None:
    """Test the refusal at the start: otherwise a load would read everything and fail while it writes."""
    user = new_user(simulator)
    user.environment["DLT_DATA_DIR"] = str(user.folder / name)
    message = user.run("load", code=2).stderr
    assert "Name another folder in DLT_DATA_DIR" in message
    assert simulator.asked == []
    assert "Nothing is loaded yet" in user.run("status").stdout


@pytest.mark.usual(1)
@pytest.mark.parametrize("command", ["status", "health", "query", "check", "report"])
def test_readers_leave_the_folder_of_the_loader_alone(simulator: Simulator, new_user: NewUser, command: str) -> None:
    """Test readers while dlt has moved its state file away: a reader that deletes the folder makes the load fail."""
    user = new_user(simulator)
    user.run("load")
    folder = Path(user.environment["DLT_DATA_DIR"]) / "pipelines" / "m365_jobs"
    # dlt does this for a moment each time it writes its state.
    (folder / "state.json").rename(folder / "state.json.aside")
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    more = {"query": ["SELECT 1"], "report": ["report.html"]}.get(command, [])
    user.run(command, *more, code=4 if command == "health" else 0)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_readers_need_no_folder_that_they_can_write(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    shutil.rmtree(user.environment["DLT_DATA_DIR"])
    Path(user.environment["DLT_DATA_DIR"]).write_text("a file in the way", encoding="utf-8")
    for command in ("status", "check"):
        user.run(command)
    user.run("query", "SELECT count(*) FROM jobs")
    user.run("health", code=4)


HOLD = """
import sys, duckdb
with duckdb.connect(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.usual(1)
@pytest.mark.skipif(os.name == "nt", reason="the fake load speaks through a pipe")
@pytest.mark.parametrize("command", [("status",), ("health",), ("query", "SELECT 1"), ("report", "report.html")])
def test_readers_wait_for_a_load_that_writes(simulator: Simulator, new_user: NewUser, command: tuple[str, ...]) -> None:
    """Test that readers do not fail at once: a monitor beside a load would report an outage."""
    user = new_user(simulator)
    user.run("load")
    file = user.folder / "m365_warehouse.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "open\n"
        message = user.run(*command, "--wait", "0", code=1).stderr
        assert "Another program has the warehouse open" in message
        with start_command(user, *command) as reader:
            assert reader.stderr is not None
            first = reader.stderr.readline()
            load.communicate("done\n", timeout=60)
            assert reader.wait(60) == (4 if command == ("health",) else 0)
    assert first == "Another program has the warehouse open. Waiting for it (at most 30 s).\n"
