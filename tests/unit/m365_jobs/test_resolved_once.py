"""Test that configuration is resolved once: that of a destination, and the settings above the tenants' sections."""

from collections import Counter
from pathlib import Path
from typing import Any

import dlt
import pytest
from avepoint_simulator import Simulator, make_world
from dlt.common.configuration import resolve_configuration
from dlt.common.destination import reference
from dlt.common.storages import SchemaStorage
from dlt.dataset.utils import get_destination_client_initial_config
from m365_jobs.config.tenants import Tenant, complete_settings, resolve_all
from m365_jobs.warehouse import clients
from m365_jobs.warehouse.factory import destination_factory
from m365_jobs.warehouse.pipeline import open_pipeline

from tests.support.cli import NOW
from tests.support.warehouse import Warehouse

PREFIX = "SOURCES__AVEPOINT_M365__"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_destination_returns_copies_of_its_first_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://one:any@127.0.0.1/first")
    factory = destination_factory("postgres")
    configs = []
    for database in ("first", "second"):
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"postgresql://one:any@127.0.0.1/{database}")
        initial = get_destination_client_initial_config(factory, "m365_jobs", "avepoint_m365")
        configs.append(factory.configuration(initial))
    assert [config.credentials.database for config in configs] == ["first", "first"]
    assert configs[0].credentials is not configs[1].credentials
    other = get_destination_client_initial_config(factory, "another", "avepoint_m365")
    assert factory.configuration(other).dataset_name == "another"
    assert factory.destination_type == "dlt.destinations.postgres"


def test_each_client_of_a_duckdb_file_has_its_own_connection_pool() -> None:
    factory = destination_factory("duckdb")
    initial = get_destination_client_initial_config(factory, "m365_jobs", "avepoint_m365")
    first, other = factory.configuration(initial), factory.configuration(initial)
    assert first.credentials.database == other.credentials.database
    assert first.credentials.conn_pool is not other.credentials.conn_pool
    assert first.credentials.conn_pool.credentials is first.credentials


def test_changes_of_returned_capabilities_do_not_affect_other_callers() -> None:
    factory = destination_factory("duckdb")
    factory.capabilities().preferred_loader_file_format = "csv"
    assert factory.capabilities().preferred_loader_file_format == "insert_values"


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_a_destination_resolves_no_configuration_for_its_abilities(
    destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = []
    monkeypatch.setattr(
        reference, "resolve_configuration", lambda *args, **more: resolved.append(resolve_configuration(*args, **more))
    )
    factory, naming = destination_factory(destination), dlt.Schema("any").naming
    assert factory.capabilities().supports_transactions
    assert factory.capabilities(naming=naming).supports_transactions
    assert resolved == []


def test_a_tenants_own_settings_come_before_those_resolved_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}CREDENTIALS__CLIENT_ID", "shared")
    monkeypatch.setenv(f"{PREFIX}CREDENTIALS__CLIENT_SECRET", "secret")
    monkeypatch.setenv(f"{PREFIX}LAG_HOURS", "5")
    monkeypatch.setenv(f"{PREFIX}TENANTS__CONTOSO__PAGE_SIZE", "77")
    (tenant,) = resolve_all([Tenant("contoso", has_section=True)])
    monkeypatch.setenv(f"{PREFIX}LAG_HOURS", "6")
    settings = complete_settings(tenant, {"concurrency": 3})
    assert settings is not None
    names = ("tenant", "lag_hours", "page_size", "concurrency", "split_job_types")
    assert [settings[name] for name in names] == ["contoso", 5.0, 77, 3, True]
    assert settings["credentials"].client_id == "shared"


def test_an_invalid_setting_is_left_to_the_load_of_each_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}LAG_HOURS", "a day")
    (tenant,) = resolve_all([Tenant("contoso")])
    assert complete_settings(tenant, {}) is None


def test_clients_of_a_load_do_not_read_the_tables_of_its_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    pipeline = open_pipeline("default")
    pipeline.run([{"id": 1}], table_name="jobs", schema=dlt.Schema("avepoint_m365"))
    clients.sql_client(pipeline)
    monkeypatch.setattr(SchemaStorage, "load_schema", lambda *_: pytest.fail("the schema was read again"))
    for _ in range(2):
        with clients.sql_client(pipeline) as client:
            assert client.execute_sql(f"SELECT id FROM {client.make_qualified_table_name('jobs')}") == [(1,)]
        with clients.destination_client(pipeline) as client:
            assert client.get_stored_state(pipeline.pipeline_name).version == 1


def test_a_section_of_the_pipelines_name_counts_for_clients_of_a_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("M365_JOBS__DESTINATION__POSTGRES__CREDENTIALS", "postgresql://one:any@127.0.0.1/own")
    client = clients.sql_client(open_pipeline("default", "postgres"))
    assert client.credentials.database == "own"


def test_a_first_load_resolves_its_pipeline_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    resolved = Counter[str]()

    def counting(config: Any, **named: Any) -> Any:
        resolved[type(config).__name__] += 1
        return resolve_configuration(config, **named)

    monkeypatch.setattr("dlt.common.configuration.inject.resolve_configuration", counting)
    with Simulator(make_world(5, seed=1, now=NOW)) as simulator:
        Warehouse("duckdb").load(simulator)
    assert resolved["PipelineConfiguration"] == 1
