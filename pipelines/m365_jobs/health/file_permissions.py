"""Find files with secrets, and warehouses, that other users of this machine can read or change."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

SECRETS = stat.S_IRWXG | stat.S_IRWXO
"""Permission bits that a file with secrets must not have."""

WAREHOUSE = stat.S_IRWXO
"""Permission bits that a warehouse must not have; its group may use it."""


def open_files(secrets: Sequence[Path], warehouse: Path | None) -> Iterator[str]:
    """Yield a message for each file or folder that other users can access; none on Windows, which has no such bits.

    Args:
        secrets: Files with secrets; missing ones are skipped.
        warehouse: File of a DuckDB warehouse, or folder of a lake on this machine.
    """
    if os.name == "nt":
        return
    for path in secrets:
        if _is_open(path, SECRETS):
            yield f"{_rights(path)} and holds secrets. Run chmod 600 {shlex.quote(str(path))}."
    if warehouse is not None and _is_open(warehouse, WAREHOUSE):
        yield (
            f"{_rights(warehouse)} and holds names of mailboxes and sites. Run chmod o-rwx "
            f"{shlex.quote(str(warehouse))}."
        )


def _is_open(path: Path, forbidden: int) -> bool:
    """Return whether a file has forbidden permission bits, and other users can traverse all folders above it."""
    try:
        given = path.stat().st_mode & forbidden
        passable = [folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for folder in path.resolve().parents]
    except OSError:
        return False
    return bool(given) and all(passable)


def _rights(path: Path) -> str:
    return f"Open to other users: {path} has the mode {stat.S_IMODE(path.stat().st_mode):o}"
