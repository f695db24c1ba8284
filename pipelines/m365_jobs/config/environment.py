"""Clean the configuration of the operating system: variables with stray characters, files in encodings of Windows.

Call ``clean`` before dlt reads its configuration. This module does not import dlt, whose import needs 0.5 s.
"""

from __future__ import annotations

import codecs
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m365_jobs.terminal import Notify

PREFIXES = ("SOURCES__", "DESTINATION__", "RUNTIME__", "DESTINATION_TYPE", "DESTINATION_NAME")
"""Prefixes of the variables that configure this program through dlt."""

FILES = ("config.toml", "secrets.toml")
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""First bytes of files that Notepad and PowerShell write. dlt reads UTF-8 without a mark only."""


def clean(notify: Notify) -> None:
    """Make variables and files of the configuration readable for dlt; ``notify`` receives a line for each change."""
    strip_variables(notify)
    convert_files(notify)


def variables_below(prefix: str) -> dict[str, str]:
    """Return the variables of the environment that begin with ``prefix``, by their names without the prefix."""
    return {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}


def strip_variables(notify: Notify) -> None:
    """Remove blanks, line ends and quotes around the values of this program's variables.

    Secrets of Kubernetes and Docker often end with a line end, and ``docker run --env-file`` keeps quotes.
    """
    for name, value in os.environ.items():
        if not name.upper().startswith(PREFIXES):
            continue
        plain = value.strip()
        if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'" and plain[0] not in plain[1:-1]:
            plain = plain[1:-1].strip()
        if plain != value and (plain or not value.isspace()):
            os.environ[name] = plain
            notify(f"Variable cleaned: {name} has blanks, line ends or quotes around its value. They are ignored.")


def convert_files(notify: Notify) -> None:
    """Let dlt read UTF-8 copies of configuration files with a byte-order mark, or in UTF-16.

    The copies lie in a folder that only this user can read, and are removed once dlt has read them.
    """
    project = Path(os.environ.get("DLT_PROJECT_DIR") or ".").absolute()
    texts = {name: _read(project / ".dlt" / name) for name in FILES}
    if not any(data.startswith(BYTE_ORDER_MARKS) for data in texts.values()):
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
    notify("Configuration converted: a file has a byte-order mark or is UTF-16. It is read nevertheless.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # dlt reports a file that cannot be read.


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        UsageError: for any other encoding.
    """
    try:
        return data.decode("utf-16" if data.startswith(BYTE_ORDER_MARKS[1:]) else "utf-8-sig")
    except UnicodeDecodeError as error:
        from m365_jobs.errors.exceptions import UsageError

        raise UsageError(f"Unknown encoding: {name} is not UTF-8. Save it as UTF-8, then run this again.") from error
