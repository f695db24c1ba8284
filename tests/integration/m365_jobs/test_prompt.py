"""Test the prompt of ``query``: in a user's terminal, and its completions while the user types a statement."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from avepoint_simulator import Simulator
from m365_jobs.cli.completer import Names, Words, documented, stored_names
from m365_jobs.cli.shell import is_whole
from m365_jobs.marts.catalog import VIEWS, tables, views
from m365_jobs.warehouse.reader import open_reader
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from tests.support.cli import Cli, NewUser
from tests.support.terminal import CTRL_C, TAB, UP, Terminal
from tests.support.warehouse import Warehouse, administer, database, database_for

Open = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(user: Cli, *arguments: str) -> Terminal:
        opened.append(Terminal(user, "query", *arguments))
        return opened[-1]

    yield open_one
    for item in opened:
        item.close()


def count(user: Cli) -> int:
    rows: int = user.query("SELECT count(*) FROM jobs")[0][0]
    return rows


def test_statements_run_one_after_the_other(simulator: Simulator, new_user: NewUser, terminal: Open) -> None:
    user = new_user(simulator)
    prompt = terminal(user)
    prompt.ask("SELECT count(*) FROM jobs;\r")
    prompt.until("Error (query)")
    prompt.until("Table not found: jobs. ")
    # An open prompt does not stop a load from writing.
    user.run("load")
    prompt.ask("SELECT count(*) AS held\r")
    prompt.until("...>")
    prompt.type("FROM jobs -- not yet;\r;\r")
    prompt.until(f"held\r\n----\r\n{count(user):>4}\r\n")
    prompt.ask("DELETE FROM jobs;\r")
    prompt.until("Error (query): Not run: queries are read-only here, and DELETE is not.")
    prompt.ask(f"SELECT nobody wants this{CTRL_C}SELECT 6 * 7 AS answer;\r")
    prompt.until("answer\r\n------\r\n    42\r\n")
    prompt.leave()


def test_earlier_statements_come_back_in_the_next_run(simulator: Simulator, new_user: NewUser, terminal: Open) -> None:
    user = new_user(simulator)
    first = terminal(user)
    first.ask("SELECT 6 * 7\rAS answer;\r")
    first.until("    42\r\n")
    first.leave("exit\r")
    second = terminal(user, "--format", "csv")
    second.ask(f"{UP}{UP}\r")
    second.until("answer\r\n42\r\n")


def test_the_tab_key_completes(simulator: Simulator, new_user: NewUser, terminal: Open) -> None:
    user = new_user(simulator)
    user.run("load")
    prompt = terminal(user)
    prompt.ask("SELECT count(*) AS one FROM protec")
    prompt.until("protection_status")
    prompt.type(TAB)
    prompt.until("tion_status")
    prompt.type(";\r")
    (expected,) = user.query("SELECT count(*) FROM protection_status")[0]
    prompt.until(f"one\r\n---\r\n{expected:>3}\r\n")


@pytest.mark.destinations
def test_on_postgresql_it_is_the_same(simulator: Simulator, new_user: NewUser, terminal: Open) -> None:
    user = new_user(simulator)
    with database() as address:
        user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
        user.run("load", "--destination", "postgres")
        prompt = terminal(user, "--destination", "postgres")
        prompt.ask("SELECT count(*) > 0 AS some FROM job_facts WHERE '$;' <> $$;$$;\r")
        prompt.until("some\r\n----\r\ntrue\r\n")
        # Ctrl+C ends a statement that runs without an end, and the prompt continues.
        prompt.ask("SELECT pg_sleep(100000);\r")
        running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'FETCH%'"
        while administer(running, address=address) == [(0,)]:
            assert prompt.process.poll() is None
        prompt.process.send_signal(signal.SIGINT)
        prompt.until("A request cancelled the statement")
        prompt.leave()


@pytest.mark.parametrize("destination", ["duckdb", "postgres", "filesystem"])
def test_the_names_are_those_of_the_warehouse(
    destination: str, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    with database_for(destination) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        place = Warehouse(destination)
        with open_reader(place.pipeline()) as reader:
            assert stored_names(reader) == documented("m365_jobs")
        place.load(simulator)
        with open_reader(place.pipeline()) as reader:
            result = stored_names(reader)
    assert result.dataset == "m365_jobs"
    described = {item.name: [column.name for column in item.columns] for item in (*tables(), *views())}
    # A table is not created before its first row.
    assert result.columns.keys() & described.keys() >= described.keys() - {"load_check_failures"}
    for name, columns in described.items():
        if name in result.columns:
            assert {item for item in result.columns[name] if not item.startswith("_")} == set(columns)


NAMES = Names("m365_jobs", {**documented("m365_jobs").columns, "_dlt_loads": ["load_id"]})


def offered(text: str, by: str = "tab") -> list[str]:
    """Return the completions at the bar in the text."""
    before, _, after = text.partition("|")
    event = CompleteEvent(completion_requested=by == "tab", text_inserted=by != "tab")
    result = Words(NAMES).get_completions(Document(before + after, len(before)), event)
    return [result.text for result in result]


def test_completion_fits_the_position_in_the_statement() -> None:
    everything = [*NAMES.columns]
    everything.remove("_dlt_loads")
    assert offered("SELECT * FROM |") == [*everything, "m365_jobs"]
    assert offered("SELECT * FROM m365_jobs.|") == everything
    assert offered("SELECT * FROM jobs JOIN _|") == ["_dlt_loads"]
    assert offered("SELECT * FROM o|") == ["open_jobs"]
    assert offered("SELECT f.| FROM job_facts AS f") == list(NAMES.columns["job_facts"])
    assert offered("SELECT f.su| FROM job_facts f JOIN jobs__backup_details d ON f.id = d.job_id") == [
        "successful_number"
    ]
    assert offered("SELECT d.s| FROM job_facts f, jobs__backup_details d") == ["successful_number", "skipped_number"]
    assert offered("SELECT nobody.| FROM job_facts f") == []
    assert offered("SELECT ho| FROM open_jobs") == ["hours_open"]
    assert offered("SELECT ho|") == ["hours_since_success", "hours_open"]
    assert offered("sel|") == ["select"]
    assert offered("SEL|") == ["SELECT"]
    assert offered("SELECT * FROM jobs WHERE finish_time IS NOT N|") == ["NOT", "NULL", "NULLS", "NOW", "NULLIF"]


def test_nothing_is_offered_in_strings_and_comments_or_after_a_space() -> None:
    assert offered("SELECT * FROM jobs WHERE state = 'Fin|") == []
    assert offered("SELECT 'it''s' -- FROM |") == []
    assert offered("SELECT /* FROM |") == []
    assert offered("SELECT |", by="typing") == []
    assert offered("SELECT 'it''s' FROM op|", by="typing") == ["open_jobs"]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "snowflake", ""])
def test_a_statement_ends_with_its_semicolon(dialect: str) -> None:
    whole = ["", "  \n", "SELECT 1;", "SELECT 1 ; ", "SELECT ';';", "SELECT 1; -- done", "exit", "QUIT;", "\\q"]
    assert [text for text in whole if not is_whole(text, dialect)] == []
    unfinished = ["SELECT 1", "SELECT ';", "SELECT 1 -- ;", "SELECT 1 /* ;", 'SELECT 1 AS ";"', "exit now"]
    assert [text for text in unfinished if is_whole(text, dialect)] == []


def test_completion_distinguishes_views_from_tables() -> None:
    result = Words(NAMES).get_completions(Document("SELECT * FROM "), CompleteEvent(completion_requested=True))
    about = {result.text: result.display_meta_text for result in result}
    assert {name for name, what in about.items() if what == "view"} == set(VIEWS)
    assert {name for name, what in about.items() if what == "table"} == {table.name for table in tables()}


def test_an_unreachable_warehouse_is_reported_and_the_prompt_continues(
    simulator: Simulator, new_user: NewUser, terminal: Open
) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"
    prompt = terminal(user, "--destination", "postgres")
    prompt.ask("SELECT 1;\r")
    prompt.until("Error (destination): ")
    prompt.leave()
