"""Test that the output and SQL in the README and the documentation match the demo."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import sqlglot

from tests.support.snippets import Snippet, in_language

NUMBER = re.compile(r"\d[\d.,:-]*")
SHOWN = [item for item in in_language("text") if item.path.name in ("README.md", "index.md")]
"""Output of the demo, in the order of the pages."""

FOR_POSTGRES = ("CREATE ROLE", "ALTER ROLE", "DELETE FROM ...")
"""Statements that do not apply to a DuckDB file."""


@dataclass(frozen=True)
class Demo:
    """Hold a folder in which the demo ran, and its output."""

    folder: Path
    shown: str


def run(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"DLT_DATA_DIR": str(folder / "dlt"), "COLUMNS": "80"}
    command = [sys.executable, "-m", "m365_jobs", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    query = "SELECT object_type, status, hours_since_success FROM protection_status"
    return Demo(folder, "\n".join((run(folder, "demo"), run(folder, "health"), run(folder, "query", query))))


def plain(text: str) -> str:
    """Return a text without numbers, folders, progress and line breaks."""
    text = re.sub(r"^(Reading|Writing): .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\S*/(\w[\w.-]*)", r"\1", re.sub(r"http://\S+", "URL", text))
    return " ".join(NUMBER.sub("#", re.sub(r"[─-]{3,}", " ", text)).split())


@pytest.mark.parametrize("snippet", SHOWN, ids=str)
def test_the_output_shown_is_that_of_the_demo(demo: Demo, snippet: Snippet) -> None:
    seen = plain(demo.shown)
    for part in snippet.text.split("...\n"):
        for paragraph in part.split("\n\n"):
            lines = paragraph.splitlines() if snippet.text.startswith("object_type") else [paragraph]
            assert [line for line in lines if plain(line) not in seen] == [], seen


def test_every_page_shows_output() -> None:
    assert len(SHOWN) == 5


@pytest.mark.parametrize("snippet", in_language("sql"), ids=str)
def test_sql_runs_on_a_loaded_warehouse(demo: Demo, snippet: Snippet) -> None:
    sql = re.sub(r"\$__timeFilter\(([^()]+)\)", r"\1 IS NOT NULL", snippet.text)
    if sql.startswith(FOR_POSTGRES):
        assert sqlglot.parse(sql, dialect="postgres")
        return
    with duckdb.connect(str(demo.folder / "m365_warehouse.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
        assert connection.execute(sql).description
