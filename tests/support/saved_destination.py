"""Provide a destination for loads in child processes; a test can save its state and restore it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from m365_jobs.locks import base as leases

from tests.support.warehouse import SERVER, administer, require_postgres


class SavedDestination:
    """Control a destination in a folder, or a database, whose state a test can save and restore."""

    def __init__(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.folder, self.database = kind, folder, f"m365_{uuid4().hex[:12]}"
        self.now = folder / "now"
        self.now.mkdir()
        # A load waits until the lease of a killed worker expires, so make leases short.
        monkeypatch.setattr(leases, "LEASE_SECONDS", 1.5)
        monkeypatch.setattr(leases, "POLL", 0.05)
        monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(self.now / "lake"))
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{SERVER}/{self.database}")
        if kind == "postgres":
            require_postgres()
            administer(f"CREATE DATABASE {self.database}")

    @classmethod
    @contextmanager
    def of(cls, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["SavedDestination"]:
        """Yield a destination of a type (duckdb, postgres, filesystem, iceberg), and drop its database afterwards."""
        if kind == "iceberg":
            monkeypatch.setenv("DESTINATION__FILESYSTEM__TABLE_FORMAT", kind)
        place = cls("filesystem" if kind == "iceberg" else kind, folder, monkeypatch)
        try:
            yield place
        finally:
            place.drop()

    def save(self) -> None:
        """Save the present state."""
        shutil.copytree(self.now, self.folder / "kept")
        if self.kind == "postgres":
            administer(f"CREATE DATABASE {self.database}_kept TEMPLATE {self.database}")

    def restore(self) -> None:
        """Replace the present state by the saved one."""
        shutil.rmtree(self.now)
        shutil.copytree(self.folder / "kept", self.now)
        if self.kind == "postgres":
            administer(
                f"DROP DATABASE {self.database} WITH (FORCE)",
                f"CREATE DATABASE {self.database} TEMPLATE {self.database}_kept",
            )

    def drop(self) -> None:
        """Drop its databases."""
        if self.kind == "postgres":
            for name in (self.database, f"{self.database}_kept"):
                administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
