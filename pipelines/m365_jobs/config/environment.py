"""Clean the configuration that operating systems pass on: variables with stray signs, files saved by Windows.

Call ``clean`` before dlt reads its configuration. It imports nothing of dlt, whose import lasts half a second.
"""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

Notify = Callable[[str], None]

OURS = ("SOURCES__", "DESTINATION__", "RUNTIME__", "DESTINATION_TYPE", "DESTINATION_NAME")
"""Beginnings of the variables that configure this program through dlt."""

FILES = ("config.toml", "secrets.toml")
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""First bytes of files that Notepad and PowerShell write. dlt reads plain UTF-8 only."""


def clean(notify: Notify) -> None:
    """Make variables and files of the configuration readable for dlt; ``notify`` gets a line for each change."""
    strip_variables(notify)
    convert_files(notify)


def strip_variables(notify: Notify) -> None:
    """Remove blanks, line ends and quotes around values.

    Secrets of Kubernetes and Docker often end with a line end, and ``docker run --env-file`` keeps quotes.
    """
    for name, value in os.environ.items():
        if not name.upper().startswith(OURS):
            continue
        plain = value.strip()
        if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'" and plain[0] not in plain[1:-1]:
            plain = plain[1:-1].strip()
        if plain != value and (plain or not value.isspace()):
            os.environ[name] = plain
            notify(f"The variable {name} has blanks, line ends or quotes around its value. They are ignored.")


def convert_files(notify: Notify) -> None:
    """Make dlt read copies in UTF-8 of configuration files with a byte-order mark, or in UTF-16.

    The copies lie in a folder of this user alone, and only until dlt has read them.
    """
    project = Path(os.environ.get("DLT_PROJECT_DIR") or ".").absolute()
    texts = {name: _read(project / ".dlt" / name) for name in FILES}
    if not any(data.startswith(MARKS) for data in texts.values()):
        return
    variables = {name: os.environ.get(name) for name in ("DLT_PROJECT_DIR", "DLT_LOCAL_DIR")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".dlt").mkdir()
        for name, data in texts.items():
            if data:
                (Path(folder) / ".dlt" / name).write_text(decode_text(data, name), encoding="utf-8")
        os.environ["DLT_PROJECT_DIR"] = folder
        try:
            import dlt

            # dlt reads its files when it is asked for the first value.
            dlt.config.get("runtime.log_level")
        finally:
            for variable, value in variables.items():
                os.environ.pop(variable, None)
                if value is not None:
                    os.environ[variable] = value
    notify("The configuration was saved with a byte-order mark or in UTF-16. It is read all the same.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # dlt says what is wrong with it


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        UsageError: for any other encoding.
    """
    try:
        return data.decode("utf-16" if data.startswith(MARKS[1:]) else "utf-8-sig")
    except UnicodeDecodeError as error:
        from m365_jobs.errors.exceptions import UsageError

        raise UsageError(f"{name} is not UTF-8. Save it as UTF-8, then run this again.") from error
