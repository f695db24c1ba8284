"""Load a warehouse of each type once, and copy it for each test."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.warehouse import SERVER, Warehouse, database


class WarehouseTemplates:
    """Load a warehouse of each type once, and copy it for each test, because a copy is faster than a load."""

    def __init__(self, folder: Path, load: Callable[[Warehouse], None]) -> None:
        self.folder, self._load = folder, load
        self._databases = ExitStack()
        self._names: dict[str, str] = {}

    def __enter__(self) -> "WarehouseTemplates":
        return self

    def __exit__(self, *failure: object) -> None:
        self._databases.close()

    @contextmanager
    def copy(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
        """Yield a loaded warehouse in a folder; the caller sets ``DLT_DATA_DIR`` to ``dlt`` in that folder."""
        if kind not in self._names:
            self._names[kind] = self._made(kind)
        shutil.copytree(self.folder / kind, folder, dirs_exist_ok=True)
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
        with ExitStack() as stack:
            if kind == "postgres":
                address = stack.enter_context(database(f"TEMPLATE {self._names[kind]}"))
                monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            yield Warehouse(kind)

    def _made(self, kind: str) -> str:
        """Load a warehouse, and return the name of its database for PostgreSQL, or an empty text."""
        folder, address = self.folder / kind, ""
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
            patch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
            if kind == "postgres":
                address = self._databases.enter_context(database())
                patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            self._load(Warehouse(kind))
        return address.removeprefix(f"{SERVER}/")
