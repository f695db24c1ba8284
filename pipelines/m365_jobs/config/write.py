"""Write ``.dlt/config.toml`` and ``.dlt/secrets.toml`` for a user who has no configuration yet."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from m365_jobs.errors.exceptions import UsageError

CONFIG_COMMENT = """Settings of m365-jobs. Secrets belong in secrets.toml or in the environment.
Every key can also be an environment variable, such as SOURCES__AVEPOINT_M365__DATA_CENTER."""

SECRETS_COMMENT = """Secrets of m365-jobs, readable by their owner only. Keep this file out of version control."""

COMMENTS = {
    "data_center": "where the tenant lives; an unknown value lists the known ones",
    "tenant": "label on every row",
    "locations": "Multi-Geo tenants only",
    "client_id": "of the app registration in AvePoint Online Services",
    "certificate_path": ".pfx, or .pem with certificate and private key; on Windows in single quotes",
    "dlthub_telemetry": "dlt sends no usage data",
    "destination_type": "any dlt destination",
}


@dataclass(frozen=True)
class Settings:
    """Hold the settings that ``init`` writes.

    Attributes:
        source: Values of ``sources.avepoint_m365``.
        credentials: Values of ``sources.avepoint_m365.credentials``.
        destination: Name of a dlt destination; None for the DuckDB file.
        destination_credentials: Its connection string; None if the user sets it later.
    """

    source: Mapping[str, Any]
    credentials: Mapping[str, str]
    destination: str | None = None
    destination_credentials: str | None = None


def write_configuration(folder: Path, settings: Settings, *, replace: bool) -> list[Path]:
    """Write both files and return their paths. Existing keys and comments stay.

    Raises:
        UsageError: if credentials exist and ``replace`` is false.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    config, secrets = folder / "config.toml", folder / "secrets.toml"
    existing = _read(secrets, SECRETS_COMMENT)
    if _section(existing, "sources", "avepoint_m365", "credentials") and not replace:
        raise UsageError(f"Credentials exist: {secrets}. Nothing was written. To replace them, add --force.")
    document = _read(config, CONFIG_COMMENT)
    _fill(_section(document, "sources", "avepoint_m365"), settings.source)
    _fill(_section(document, "runtime"), {"dlthub_telemetry": False})
    if settings.destination:
        document["destination_type"] = settings.destination
    credentials = _section(existing, "sources", "avepoint_m365", "credentials")
    credentials.clear()
    _fill(credentials, settings.credentials)
    if settings.destination_credentials and settings.destination:
        _section(existing, "destination", settings.destination)["credentials"] = settings.destination_credentials
    _write_for_owner(config, tomlkit.dumps(document))
    _write_for_owner(secrets, tomlkit.dumps(existing))
    return [config, secrets]


def add_locations(folder: Path, locations: list[str]) -> None:
    """Add the locations of a Multi-Geo tenant to config.toml."""
    path = folder / "config.toml"
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    _fill(_section(document, "sources", "avepoint_m365"), {"locations": locations})
    _write_for_owner(path, tomlkit.dumps(document))


def _read(path: Path, comment: str) -> tomlkit.TOMLDocument:
    if path.exists():
        return tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    document = tomlkit.document()
    for line in comment.splitlines():
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    return document


def _section(document: Any, *names: str) -> Any:
    for name in names:
        if name not in document:
            document[name] = tomlkit.table(is_super_table=name == "sources")
        document = document[name]
    return document


def _fill(section: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        literal = _literal(value)
        if key in COMMENTS:
            literal.comment(COMMENTS[key])
        section[key] = literal


def _literal(value: Any) -> Any:
    """Return a TOML value. A path with backslashes is written in single quotes."""
    if isinstance(value, str) and "\\" in value and "'" not in value:
        return tomlkit.string(value, literal=True)
    return tomlkit.item(value)


def _write_for_owner(path: Path, text: str) -> None:
    """Replace a file in one step by one that only its owner can read, at any moment of its existence."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
    if os.name == "nt":
        user = f"{os.environ.get('USERNAME', '')}:F"
        subprocess.run(["icacls", str(path), "/inheritance:r", "/grant:r", user], capture_output=True, check=False)
