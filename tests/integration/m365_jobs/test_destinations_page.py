"""Test that dlt can read each configuration of docs/destinations.md completely."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dlt.common.destination.client import DestinationClientDwhConfiguration
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.target import address_of

from tests.support.project import ROOT

PAGE = (ROOT / "docs" / "destinations.md").read_text(encoding="utf-8")
KINDS = {
    "DuckDB": "duckdb",
    "PostgreSQL": "postgres",
    "A lake: Delta or Iceberg": "filesystem",
    "MotherDuck": "motherduck",
    "Snowflake": "snowflake",
    "BigQuery": "bigquery",
    "Databricks": "databricks",
    "Redshift": "redshift",
    "ClickHouse": "clickhouse",
    "SQL Server": "mssql",
    "Athena": "athena",
}


def variables(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the environment variables with the same settings, by the rule of the page."""
    for key, value in settings.items():
        name = f"{prefix}{key}".upper()
        if isinstance(value, Mapping):
            yield from variables(value, f"{name}__")
        else:
            yield name, str(value)


@pytest.mark.parametrize("section", KINDS)
def test_the_configuration_of_each_destination_is_complete(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    settings = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])
    kind = KINDS[section]
    for name, value in variables(settings):
        monkeypatch.setenv(name, value)
    # The project does not include the library of S3; this test only reads the configuration.
    monkeypatch.setitem(_registry, "s3", MemoryFileSystem)
    pipeline = warehouse.open_pipeline("default", kind)
    given = pipeline.destination.spec()
    assert isinstance(given, DestinationClientDwhConfiguration)
    given.dataset_name = pipeline.dataset_name
    result = pipeline.destination.configuration(given, accept_partial=False)
    wanted = settings["destination"][kind].get("credentials", {})
    if isinstance(wanted, Mapping):
        assert {name: str(getattr(result.credentials, name)).strip() for name in wanted} == {
            name: str(value) for name, value in wanted.items()
        }
    assert (pipeline.staging.destination_name if pipeline.staging else None) == settings.get("staging_type")


def test_a_destination_may_have_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__ARCHIVE__DESTINATION_TYPE", "filesystem")
    monkeypatch.setenv("DESTINATION__ARCHIVE__BUCKET_URL", "shelf")
    where = address_of(warehouse.open_pipeline("default", "archive"))
    assert where == f"archive {(tmp_path / 'shelf').as_uri()}"
