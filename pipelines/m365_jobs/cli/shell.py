"""Run the prompt of ``query``: statements typed one after the other, with the checks of the command's argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlglot
from dlt.common.destination.exceptions import DestinationException
from dlt.destinations.exceptions import DatabaseException
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output.defaults import create_output
from sqlglot.errors import SqlglotError

from m365_jobs.cli.completer import Words, documented, stored_names
from m365_jobs.terminal import print_line
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.query import QueryResult, run_query
from m365_jobs.warehouse.reader import dialect, open_reader
from m365_jobs.warehouse.target import Target, address_of

PROMPT, CONTINUATION = "m365-jobs> ", "      ...> "
LEAVE = ("exit", "quit", "\\q")

Show = Callable[[QueryResult], None]
PrintFailure = Callable[[BaseException], object]


def run_prompt(pipeline: Target, show: Show, print_failure: PrintFailure) -> None:
    """Ask for statements until the user leaves. ``show`` prints a result, ``print_failure`` an error.

    The warehouse is open only while a statement runs, so a load does not wait for an open prompt.
    """
    print_line(f"SQL on {address_of(pipeline)}, read-only. A statement ends with ; and may span lines.")
    print_line("Tab completes, the arrow keys bring back earlier ones. Ctrl+C empties the line, Ctrl+D leaves.")
    kind_of(pipeline).make_queries_interruptible()
    words = Words(documented(pipeline.dataset_name))
    session = _session(dialect(pipeline), words, _history(Path(pipeline.pipelines_dir)))
    _read_names(pipeline, words)
    while True:
        try:
            text = session.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if _is_leaving(text):
            return
        if text.strip():
            _run_statement(pipeline, text, words, show, print_failure)


def _run_statement(pipeline: Target, text: str, words: Words, show: Show, print_failure: PrintFailure) -> None:
    try:
        with open_reader(pipeline) as reader:
            with run_query(reader, text) as result:
                show(result)
            # A load may have created tables meanwhile.
            words.names = stored_names(reader)
    except KeyboardInterrupt:
        print_line("Stopped.")
    except Exception as error:
        print_failure(error)


def _read_names(pipeline: Target, words: Words) -> None:
    """Set the offered names to those of the warehouse; keep the documented ones if it cannot be read."""
    try:
        with open_reader(pipeline) as reader:
            words.names = stored_names(reader)
    except (DatabaseException, DestinationException):
        return  # The destination is down, or a load writes. The first statement reports it.


def _session(sql_dialect: str, words: Words, history: History) -> PromptSession[str]:
    unfinished = Condition(lambda: not is_whole(get_app().current_buffer.text, sql_dialect))
    return PromptSession(
        PROMPT,
        # Enter begins another line until the statement is complete.
        multiline=unfinished,
        prompt_continuation=CONTINUATION,
        completer=words,
        complete_while_typing=True,
        history=history,
        enable_history_search=False,
        # The prompt is on the terminal even if results are redirected to a file.
        output=create_output(always_prefer_tty=True),
    )


def is_whole(text: str, sql_dialect: str) -> bool:
    """Return whether a statement is finished: it has its semicolon, is empty, or is a word that leaves."""
    if not text.strip() or _is_leaving(text):
        return True
    try:
        tokens = sqlglot.tokenize(text, read=sql_dialect)
    except SqlglotError:
        return False  # A string or a comment is still open.
    return bool(tokens) and tokens[-1].token_type.name == "SEMICOLON"


def _is_leaving(text: str) -> bool:
    return text.strip().rstrip(";").lower() in LEAVE


def _history(folder: Path) -> History:
    """Return the statements of earlier runs, from a private file; an empty history if it cannot be written."""
    file = folder / f"{warehouse.PIPELINE}.query_history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        print_line(f"History not saved: {file}: {error.strerror or error}.")
        return InMemoryHistory()
    return FileHistory(file)
